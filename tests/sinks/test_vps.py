"""Panoptic documents: read by the project's own scorer, and held against the world's truth."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamseg.evaluation.inputs.panoptic_folders import PanopticFolder, score_folders
from streamseg.frames import FrameResult
from streamseg.sinks.documents.records import RecordedStream
from streamseg.sinks.export import export_streams
from streamseg.sinks.panoptic_png import PanopticPngSink
from streamseg.vocabulary import Vocabulary
from streamseg.world.dials import Dials
from streamseg.world.ground_truth import GroundTruthWriter
from streamseg.world.names import world_vocabulary
from streamseg.world.video import World
from tests.recorded import Named, emissions, facts_of, record, result_of, world_results

WORDS = world_vocabulary("shapes")


def exported(
    tmp_path: Path, kind: str, results: dict[str, list[FrameResult]], *, vocabulary: Vocabulary = WORDS
) -> Path:
    streams = [RecordedStream(name, record(tmp_path / name, each), vocabulary) for name, each in results.items()]
    export_streams(kind, streams, tmp_path / kind)
    return tmp_path / kind


def ids_in(folder: PanopticFolder) -> list[np.ndarray]:
    return [folder.ids(frame.png) for frame in folder.frames.values()]


@pytest.mark.parametrize("kind", ["vps", "coco"])
def test_the_scorer_reads_it_back(tmp_path: Path, kind: str) -> None:
    results = world_results()
    epochs = [replace(result, epoch=index // 4) for index, result in enumerate(results)]
    folder = PanopticFolder.read(exported(tmp_path, kind, {"cam": epochs, "door": results[:3]}))
    assert len(folder.frames) == 11
    for ids, result in zip(ids_in(folder), [*results, *results[:3]], strict=True):
        assert (ids == result.panoptic).all()
    for frame, result in zip(folder.frames.values(), [*results, *results[:3]], strict=True):
        assert [segment.id for segment in frame.segments] == [segment.id for segment in result.segments]
    assert folder.labels == {category.id: category.label for category in WORDS.categories}


def test_truth_exported_scores_perfectly(tmp_path: Path) -> None:
    world = World(seed=3, size_hw=(96, 128), seconds=0.2, dials=Dials.from_difficulty(0.5))
    ids = {category.label: category.id for category in WORDS.categories}
    results = []
    with GroundTruthWriter(tmp_path / "truth", "cam") as truth:
        for frame in world:
            truth.write(frame)
            named = [Named(s.id, ids[s.label], s.label, s.isthing) for s in frame.segments]
            results.append(result_of(frame.ids, named, WORDS, frame.index))
    predictions = PanopticFolder.read(exported(tmp_path, "vps", {"cam": results}))
    scores = score_folders(PanopticFolder.read(tmp_path / "truth"), predictions)
    assert scores.all.pq == 1


def test_the_layout_of_vipseg(tmp_path: Path) -> None:
    ids = np.zeros((4, 6), np.int32)
    ids[:, 2:] = 70_000
    words = Vocabulary.parse("car; sky:stuff")
    results = [result_of(ids, [Named(70_000, 0, "car", True, 0.25)], words, 12)]
    folder = exported(tmp_path, "vps", {"cam": results}, vocabulary=words)
    assert json.loads((folder / "pred.json").read_text()) == {
        "videos": [
            {"video_id": "cam", "images": [{"id": "00000012", "file_name": "00000012.jpg", "width": 6, "height": 4}]}
        ],
        "annotations": [
            {
                "video_id": "cam",
                "annotations": [
                    {
                        "image_id": "00000012",
                        "file_name": "00000012.png",
                        "segments_info": [
                            {
                                "id": 70_000,
                                "category_id": 0,
                                "area": 16,
                                "bbox": [2, 0, 4, 4],
                                "score": 0.25,
                                "iscrowd": 0,
                            }
                        ],
                    }
                ],
            }
        ],
        "categories": [{"id": 0, "name": "car", "isthing": 1}, {"id": 1, "name": "sky", "isthing": 0}],
    }
    assert (folder / "pan_pred" / "cam" / "00000012.png").is_file()


def test_pngs_of_the_run_are_used_again(tmp_path: Path) -> None:
    results = world_results(3)
    sink = PanopticPngSink(facts_of(tmp_path / "cam", WORDS))
    sink.open(None)
    for emission in emissions(results, WORDS):
        sink.write(emission)
    sink.close()
    record(tmp_path / "cam", results, masks=False)
    export_streams("vps", [RecordedStream("cam", tmp_path / "cam", WORDS)], tmp_path / "vps")
    for path in sorted((tmp_path / "vps" / "pan_pred" / "cam").iterdir()):
        assert os.path.samefile(path, tmp_path / "cam" / "epoch-0" / "panoptic" / path.name)
    assert len(ids_in(PanopticFolder.read(tmp_path / "vps"))) == 3


def test_other_words_in_another_stream_get_other_ids(tmp_path: Path) -> None:
    ids = np.ones((4, 4), np.int32)
    first = result_of(ids, [Named(1, 0, "car", True)], Vocabulary.parse("car"))
    second = result_of(ids, [Named(1, 0, "bus", True)], Vocabulary.parse("bus"))
    streams = {"a": [first], "b": [second]}
    folder = exported(tmp_path, "coco", streams, vocabulary=Vocabulary.parse("car"))
    document = json.loads((folder / "panoptic.json").read_text())
    assert [each["segments_info"][0]["category_id"] for each in document["annotations"]] == [0, 1]
    assert [each["name"] for each in document["categories"]] == ["car", "bus"]

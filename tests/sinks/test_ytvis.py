"""YouTube-VIS results, held against the maps, and against a reference file made by others from the same maps."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco

from streamseg.frames import FrameResult
from streamseg.sinks.documents.records import RecordedStream
from streamseg.sinks.export import export_streams
from streamseg.vocabulary import Category, Vocabulary
from streamseg.world.names import world_vocabulary
from tests.recorded import Named, record, result_of, world_results

WORDS = world_vocabulary("shapes")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools


def exported(tmp_path: Path, streams: dict[str, list[FrameResult]], **options: Any) -> tuple[list[Any], dict[str, Any]]:
    recorded = [RecordedStream(name, record(tmp_path / name, each)) for name, each in streams.items()]
    export_streams("ytvis", recorded, tmp_path / "ytvis", **options)
    results: list[Any] = json.loads((tmp_path / "ytvis" / "results.json").read_text())
    videos: dict[str, Any] = json.loads((tmp_path / "ytvis" / "videos.json").read_text())
    return results, videos


@pytest.mark.parametrize("stuff", [False, True])
def test_tracks_are_those_of_the_maps(tmp_path: Path, stuff: bool) -> None:
    results = world_results()
    tracks, videos = exported(tmp_path, {"cam": results}, stuff=stuff)
    ids = list(dict.fromkeys(s.id for result in results for s in result.segments if stuff or s.isthing))
    assert len(tracks) == len(ids)
    for track, id_ in zip(tracks, ids, strict=True):
        seen = [result for result in results if any(s.id == id_ for s in result.segments)]
        scores = [result.segment(id_).score for result in seen]
        assert track["score"] == pytest.approx(np.mean(scores), abs=1e-6)
        assert track["category_id"] == seen[0].segment(id_).category_id
        for result, rle in zip(results, track["segmentations"], strict=True):
            if result not in seen:
                assert rle is None
            else:
                assert (coco.decode({**rle, "counts": rle["counts"].encode()}).astype(bool) == result.mask(id_)).all()
    assert any(None in track["segmentations"] for track in tracks), "or the test shows nothing"
    assert videos["videos"][0]["length"] == 8
    assert videos["videos"][0]["file_names"][-1] == "cam/00000007.jpg"


def test_videos_of_several_streams_and_epochs(tmp_path: Path) -> None:
    results = world_results(6)
    epochs = [replace(result, epoch=int(index >= 4)) for index, result in enumerate(results)]
    tracks, videos = exported(tmp_path, {"a": epochs, "b": results[:1]})
    assert [(v["id"], v["name"], v["length"]) for v in videos["videos"]] == [
        (1, "a", 4),
        (2, "a-epoch-1", 2),
        (3, "b", 1),
    ]
    lengths = {1: 4, 2: 2, 3: 1}
    assert {track["video_id"] for track in tracks} == {1, 2, 3}
    assert all(len(track["segmentations"]) == lengths[track["video_id"]] for track in tracks)


def test_a_track_that_changes_its_category_gives_two(tmp_path: Path) -> None:
    words = Vocabulary.parse("car; bus")
    ids = np.ones((4, 4), np.int32)
    results = [
        result_of(ids, [Named(1, category, label, True, score)], words, index)
        for index, (category, label, score) in enumerate([(0, "car", 0.5), (1, "bus", 0.8), (0, "car", 0.7)])
    ]
    tracks, _ = exported(tmp_path, {"cam": results})
    assert [(t["category_id"], t["score"], [s is not None for s in t["segmentations"]]) for t in tracks] == [
        (0, 0.6, [True, False, True]),
        (1, 0.8, [False, True, False]),
    ]


def test_nothing_found_is_an_empty_list(tmp_path: Path) -> None:
    empty = replace(world_results(1)[0], segments=(), panoptic=np.zeros((96, 128), np.int32))
    tracks, videos = exported(tmp_path, {"cam": [empty]})
    assert tracks == []
    assert len(videos["videos"]) == 1


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    results = world_results(4)

    def peak(name: str, times: int) -> int:
        many = [replace(result, index=index) for index, result in enumerate(results * times)]
        stream = RecordedStream(name, record(tmp_path / name, many))
        tracemalloc.start()
        export_streams("ytvis", [stream], tmp_path / f"{name}-out")
        (_, highest), _ = tracemalloc.get_traced_memory(), tracemalloc.stop()
        return highest

    short, long = peak("short", 5), peak("long", 100)
    size = (tmp_path / "long" / "records.jsonl").stat().st_size
    assert long - short < size / 20


# A reference made by others.


def reference_results(folder: Path, video: dict[str, Any], words: Vocabulary) -> list[FrameResult]:
    by_id = {category.id: category for category in words.categories}
    results = []
    for index, frame in enumerate(video["annotations"]):
        picture = cv2.imread(str(folder / "pan_pred" / video["video_id"] / frame["file_name"])).astype(np.int32)
        ids = picture[..., 2] | picture[..., 1] << 8 | picture[..., 0] << 16
        named = [
            Named(s["id"], s["category_id"], *_kind(by_id[s["category_id"]]), s.get("score", 0.5))
            for s in frame["segments_info"]
        ]
        results.append(result_of(ids, named, words, index))
    return results


def _kind(category: Category) -> tuple[str, bool]:
    return category.label, category.isthing


def test_equal_to_the_reference(tmp_path: Path, shared_dir: Path) -> None:
    folder = shared_dir / "metrics" / "public"
    listed = json.loads((folder / "gt" / "panoptic_gt.json").read_text())["categories"]
    words = Vocabulary("public", tuple(Category(c["id"], (c["name"],), bool(c["isthing"])) for c in listed))
    videos = json.loads((folder / "pred" / "pred.json").read_text())["annotations"]
    streams = {video["video_id"]: reference_results(folder / "pred", video, words) for video in videos}
    tracks, _ = exported(tmp_path, streams)
    expected = json.loads((folder / "pred" / "ytvis_pred.json").read_text())
    assert len(tracks) == len(expected)
    key = json.dumps
    in_order = [{**track, "score": round(track["score"], 4)} for track in tracks]
    assert sorted(map(key, (sorted(t.items()) for t in in_order))) == sorted(
        map(key, (sorted(t.items()) for t in expected))
    )

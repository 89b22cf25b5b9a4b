import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamseg.config.sinks import RotationSettings
from streamseg.errors import SinkError
from streamseg.evaluation.inputs.panoptic_folders import PanopticFolder, paired_frames, score_folders
from streamseg.sinks.annotations import compile_documents
from streamseg.sinks.base import Emission
from streamseg.sinks.files import encode_panoptic_png
from streamseg.sinks.panoptic_png import PanopticPngSink
from streamseg.training.data.coco import CocoPanoptic
from streamseg.training.data.vipseg import VipSeg
from streamseg.vocabulary import Vocabulary
from tests.sinks.small_stream import (
    FAILED_FRAME,
    VOCABULARY,
    assert_resumes_exactly,
    emission,
    facts,
    full_disk,
    stream,
    tree,
    write_all,
    write_and_kill,
)

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # killed sinks are never closed

ANNOTATIONS = "epoch-0/panoptic/annotations.jsonl"


def one_vocabulary(count: int) -> list[Emission]:
    return stream(count, words_change_at=count)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_files_of_a_run(tmp_path: Path) -> None:
    written = one_vocabulary(10)
    write_all(PanopticPngSink(facts(tmp_path)), written)
    files = tree(tmp_path)
    pngs = {
        f"epoch-{each.result.epoch}/panoptic/{each.result.index:08d}.png": encode_panoptic_png(each.result.panoptic)
        for each in written
    }
    documents = {"panoptic.json", "epoch-0/panoptic.json", "epoch-1/panoptic.json"}
    assert files.keys() == pngs.keys() | documents | {ANNOTATIONS, "epoch-1/panoptic/annotations.jsonl"}
    assert all(files[name] == png for name, png in pngs.items())


def test_coco_document(tmp_path: Path) -> None:
    write_all(PanopticPngSink(facts(tmp_path)), one_vocabulary(10))
    document = read(tmp_path / "epoch-1" / "panoptic.json")
    assert document["images"] == [
        {"id": index, "file_name": f"{index:08d}.jpg", "width": 20, "height": 12} for index in (8, 9)
    ]
    assert document["categories"] == [
        {"id": 0, "name": "car", "isthing": 1},
        {"id": 1, "name": "sky", "isthing": 0},
        {"id": 2, "name": "person", "isthing": 1},
    ]
    assert document["annotations"][0] == {
        "image_id": 8,
        "file_name": "00000008.png",
        "segments_info": [
            {"id": 3, "category_id": 0, "area": 16, "bbox": [8, 6, 4, 4], "score": 0.58, "iscrowd": 0},
            {"id": 70_000, "category_id": 1, "area": 80, "bbox": [0, 0, 20, 4], "score": 0.58, "iscrowd": 0},
        ],
    }


def test_vipseg_document(tmp_path: Path) -> None:
    write_all(PanopticPngSink(facts(tmp_path)), one_vocabulary(10))
    document = read(tmp_path / "panoptic.json")
    assert [video["video_id"] for video in document["videos"]] == ["epoch-0/panoptic", "epoch-1/panoptic"]
    assert document["videos"][1]["images"] == [
        {"id": f"{index:08d}", "file_name": f"{index:08d}.jpg", "width": 20, "height": 12} for index in (8, 9)
    ]
    second = document["annotations"][1]
    assert second["video_id"] == "epoch-1/panoptic"
    assert [frame["image_id"] for frame in second["annotations"]] == ["00000008", "00000009"]
    assert document["categories"] == read(tmp_path / "epoch-0" / "panoptic.json")["categories"]


@pytest.mark.parametrize("place", ["panoptic.json", "epoch-0", "epoch-1/panoptic.json", ""])
def test_the_evaluation_reads_both(tmp_path: Path, place: str) -> None:
    """As predictions and as ground truth: against itself, everything is found."""
    write_all(PanopticPngSink(facts(tmp_path)), one_vocabulary(16))
    folder = PanopticFolder.read(tmp_path / place)
    frames = list(paired_frames(folder, folder))
    assert len(frames) == (8 if "epoch" in place else 16)
    for frame in frames:
        result = emission(int(frame.image)).result
        assert (frame.predicted_ids == result.panoptic).all()
        assert [info.id for info in frame.predicted_segments] == [segment.id for segment in result.segments]
    assert score_folders(folder, folder).all.pq == 1


@pytest.mark.parametrize("layout", ["coco", "vipseg"])
def test_the_training_reads_both(tmp_path: Path, layout: str) -> None:
    written = one_vocabulary(8)
    write_all(PanopticPngSink(facts(tmp_path)), written)
    epoch, masks = tmp_path / "epoch-0", tmp_path / "epoch-0" / "panoptic"
    data: CocoPanoptic | VipSeg
    if layout == "coco":
        data = CocoPanoptic(images=masks, masks=masks, annotations=epoch / "panoptic.json", vocabulary=VOCABULARY)
    else:
        data = VipSeg(images=tmp_path, masks=tmp_path, annotations=tmp_path / "panoptic.json")
        assert [category.label for category in data.vocabulary.categories] == ["car", "sky", "person"]
    good = [number for number, entry in enumerate(data.entries) if not entry.problem]
    assert good == [number for number in range(8) if number != FAILED_FRAME]  # a frame without segments teaches nothing
    for number in good:
        entry, result = data.entries[number], written[number].result
        assert (tmp_path / entry.mask).is_file() or (masks / entry.mask).is_file()
        assert entry.segments.tolist() == [[segment.id, segment.category_id] for segment in result.segments]


def test_words_that_change_keep_their_meanings_apart(tmp_path: Path) -> None:
    """The second vocabulary numbers the same words anew, and knows one more."""
    written = stream(24)
    write_all(PanopticPngSink(facts(tmp_path)), written)
    document = read(tmp_path / "panoptic.json")
    names = {category["id"]: category["name"] for category in document["categories"]}
    assert sorted(names.values()) == ["car", "person", "sky", "tree"]
    frames = [frame for video in document["annotations"] for frame in video["annotations"]]
    assert len(frames) == 24
    for frame, each in zip(frames, written, strict=True):
        labels = {segment.id: segment.label for segment in each.result.segments}
        assert {info["id"]: names[info["category_id"]] for info in frame["segments_info"]} == labels
    second = read(tmp_path / "epoch-2" / "panoptic.json")["categories"]
    assert [category["name"] for category in second] == ["person", "car", "tree", "sky"]


def test_names_that_a_vocabulary_repeats_stay_apart(tmp_path: Path) -> None:
    repeating = replace(VOCABULARY, categories=(*VOCABULARY.categories, replace(VOCABULARY.categories[0], id=9)))
    write_all(PanopticPngSink(facts(tmp_path)), [emission(0, vocabulary=repeating)])
    assert [each["id"] for each in read(tmp_path / "panoptic.json")["categories"]] == [0, 1, 2, 9]


def test_the_same_words_are_listed_once(tmp_path: Path) -> None:
    again = Vocabulary.parse("car; sky:stuff; person", name="again")
    write_all(PanopticPngSink(facts(tmp_path)), [emission(0), emission(1, vocabulary=again), emission(2)])
    lines = (tmp_path / ANNOTATIONS).read_text().splitlines()
    assert ["categories" in json.loads(line) for line in lines] == [True, False, False, False]


def test_resume_is_exact(tmp_path: Path) -> None:
    assert_resumes_exactly(PanopticPngSink, tmp_path, stream(20))


@pytest.mark.parametrize("keep", [None, 2, 1])
def test_resume_is_exact_across_parts(tmp_path: Path, keep: int | None) -> None:
    rotation = RotationSettings(when="always", seconds=0.19, megabytes=None, keep=keep, keep_megabytes=None)
    files = assert_resumes_exactly(lambda of: PanopticPngSink(of, rotation), tmp_path, stream(20), every=3)
    parts = {name.split("/")[1] for name in files}
    assert len(parts) == (4 if keep is None else keep + 1)


def test_going_on_with_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    sink = PanopticPngSink(facts(tmp_path))
    write_all(sink, stream(10))
    finished = tree(tmp_path)
    again = PanopticPngSink(facts(tmp_path))
    again.open(json.loads(json.dumps(sink.state())))
    again.close()
    assert tree(tmp_path) == finished


def test_a_killed_run_can_be_compiled_later(tmp_path: Path) -> None:
    write_all(PanopticPngSink(facts(tmp_path / "whole")), stream(20))
    write_and_kill(PanopticPngSink(facts(tmp_path / "killed")), stream(20), 0, 20)
    with (tmp_path / "killed" / ANNOTATIONS.replace("epoch-0", "epoch-2")).open("a") as file:
        file.write('{"frame": 20, "size": [12')
    assert not (tmp_path / "killed" / "panoptic.json").exists()
    documents = compile_documents(tmp_path / "killed")
    assert [str(path.relative_to(tmp_path / "killed")) for path in documents] == [
        "panoptic.json",
        *(f"epoch-{epoch}/panoptic.json" for epoch in range(3)),
    ]
    for document in documents:
        place = document.relative_to(tmp_path / "killed")
        assert document.read_bytes() == (tmp_path / "whole" / place).read_bytes()


def test_parts_are_compiled_later(tmp_path: Path) -> None:
    rotation = RotationSettings(when="always", seconds=0.19, megabytes=None, keep=None, keep_megabytes=None)
    write_all(PanopticPngSink(facts(tmp_path), rotation), one_vocabulary(20))
    assert not list(tmp_path.rglob("*.json"))
    documents = compile_documents(tmp_path)
    assert len(documents) == 1 + 6  # three epochs, cut three times in their middle
    seen = []
    for document in documents[1:]:
        folder = PanopticFolder.read(document)
        for frame in paired_frames(folder, folder):
            assert (frame.predicted_ids == emission(int(frame.image)).result.panoptic).all()
            seen.append(int(frame.image))
    assert seen == list(range(20))
    whole = PanopticFolder.read(tmp_path / "panoptic.json")
    assert [int(frame.image) for frame in paired_frames(whole, whole)] == seen


def test_documents_do_not_outlive_what_they_list(tmp_path: Path) -> None:
    sink = PanopticPngSink(facts(tmp_path))
    state = write_and_kill(sink, stream(20), 10, 20)
    compile_documents(tmp_path)
    (tmp_path / "epoch-1" / ".streamseg-1-1.tmp").write_text("half a document")
    PanopticPngSink(facts(tmp_path)).open(state)
    assert sorted(tree(tmp_path)) == [
        *(f"epoch-0/panoptic/{index:08d}.png" for index in range(8)),
        ANNOTATIONS,
        *(f"epoch-1/panoptic/{index:08d}.png" for index in (8, 9)),
        "epoch-1/panoptic/annotations.jsonl",
    ]


def test_nothing_to_compile(tmp_path: Path) -> None:
    assert compile_documents(tmp_path) == []
    write_all(PanopticPngSink(facts(tmp_path)), [])
    assert tree(tmp_path) == {}


def test_annotations_that_are_damaged_in_their_middle(tmp_path: Path) -> None:
    write_all(PanopticPngSink(facts(tmp_path)), stream(3))
    lines = (tmp_path / ANNOTATIONS).read_text().splitlines()
    lines[2] = lines[2][:20]
    (tmp_path / ANNOTATIONS).write_text("\n".join(lines) + "\n")
    with pytest.raises(SinkError, match=r"line 3 of .*annotations.jsonl' is no JSON object, expected a frame's"):
        compile_documents(tmp_path)


@pytest.mark.parametrize("room", [50, "line"])
def test_a_full_disk_leaves_listed_pictures_alone(tmp_path: Path, room: int | str) -> None:
    """Whether the picture does not fit or the line about it: neither stays without the other."""
    sink = PanopticPngSink(facts(tmp_path))
    sink.open(None)
    for index in (0, 1):
        sink.write(emission(index))
    before = tree(tmp_path)
    limit = len(before[ANNOTATIONS]) + 10 if isinstance(room, str) else room
    with full_disk(limit), pytest.raises(SinkError, match="File too large; make room"):
        sink.write(emission(2))
    assert tree(tmp_path) == before
    sink.write(emission(3))
    sink.close()
    assert listed(tmp_path) == [0, 1, 3]
    assert [path.name for path in sorted(tmp_path.rglob("*.png"))] == ["00000000.png", "00000001.png", "00000003.png"]


def listed(folder: Path) -> list[int]:
    return [frame["image_id"] for frame in read(folder / "epoch-0" / "panoptic.json")["annotations"]]


def test_a_disk_that_is_full_at_the_end_leaves_what_is_needed_to_compile_later(tmp_path: Path) -> None:
    sink = PanopticPngSink(facts(tmp_path))
    sink.open(None)
    sink.write(emission(0))
    with full_disk(20), pytest.raises(SinkError, match=r"panoptic.json': File too large"):
        sink.close()
    assert not list(tmp_path.rglob("*.tmp"))
    assert len(compile_documents(tmp_path)) == 2


def test_compiling_holds_one_frame_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamseg.sinks import annotations

    write_all(PanopticPngSink(facts(tmp_path)), stream(20))
    largest = 0

    def measured(_: Path, content: Iterator[str]) -> None:
        nonlocal largest
        largest = max(largest, *(len(piece) for piece in content))

    monkeypatch.setattr(annotations, "write_pieces", measured)
    compile_documents(tmp_path)
    assert largest < 500
    assert largest < (tmp_path / "panoptic.json").stat().st_size / 10


def test_ids_of_all_three_bytes(tmp_path: Path) -> None:
    from PIL import Image

    write_all(PanopticPngSink(facts(tmp_path)), [emission(1)])
    pixels = np.asarray(Image.open(tmp_path / "epoch-0" / "panoptic" / "00000001.png")).astype(np.int32)
    assert (pixels @ np.array([1, 256, 65536]) == emission(1).result.panoptic).all()

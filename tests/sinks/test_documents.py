"""Records read back, whatever state a run has left them in."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamseg.config.sinks import JsonlSettings, MotsSettings, RotationSettings, VpsSettings, YtvisSettings
from streamseg.errors import SinkError
from streamseg.frames import FrameResult
from streamseg.sinks.documents.categories import Categories
from streamseg.sinks.documents.records import RecordedStream
from streamseg.sinks.documents.sink import DocumentSink
from streamseg.sinks.jsonl import JsonlSink
from streamseg.sinks.panoptic_png import PanopticPngSink
from streamseg.vocabulary import Vocabulary
from streamseg.world.names import world_vocabulary
from tests.recorded import Named, emissions, facts_of, record, result_of, world_results

WORDS = world_vocabulary("shapes")


def all_ids(stream: RecordedStream) -> list[np.ndarray]:
    return [frame.ids() for _, frames in stream.records() for frame in frames]


def assert_same_maps(stream: RecordedStream, results: list[FrameResult]) -> None:
    maps = all_ids(stream)
    assert len(maps) == len(results)
    for ids, result in zip(maps, results, strict=True):
        assert (ids == result.panoptic).all()


def test_maps_and_masks_come_back(tmp_path: Path) -> None:
    results = world_results()
    stream = RecordedStream("cam", record(tmp_path, results))
    assert_same_maps(stream, results)
    (video,) = stream.videos
    assert (video.name, video.epoch, video.size_hw, video.frames, video.first) == ("cam", 0, (96, 128), 8, 0)
    assert not stream.torn


def test_epochs_are_videos(tmp_path: Path) -> None:
    results = [replace(result, epoch=index // 3) for index, result in enumerate(world_results())]
    videos = RecordedStream("cam", record(tmp_path, results)).videos
    assert [(v.name, v.frames, v.first) for v in videos] == [
        ("cam", 3, 0),
        ("cam-epoch-1", 3, 3),
        ("cam-epoch-2", 2, 6),
    ]


def test_parts_are_read_in_order(tmp_path: Path) -> None:
    results = world_results()
    sink = JsonlSink(facts_of(tmp_path, WORDS), JsonlSettings(), RotationSettings(when="always", seconds=0.08))
    sink.open(None)
    for emission in emissions(results, WORDS):
        sink.write(emission)
    sink.close()
    assert len(list(tmp_path.glob("records*.jsonl"))) > 2
    assert_same_maps(RecordedStream("cam", tmp_path), results)


def test_a_torn_last_line_is_passed_over(tmp_path: Path) -> None:
    results = world_results()
    path = record(tmp_path, results) / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    stream = RecordedStream("cam", tmp_path)
    assert_same_maps(stream, results[:-1])
    assert stream.torn == {path}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{}", "line 3 of .* is no frame record"),
        ("[]", "line 3 of .* is no frame record"),
        ("12", "line 3 of .* is no frame record"),
        ("not json", "line 3 of .* is no frame record"),
        ('{"schema":"other/9"}', "line 3 of .* is schema 'other/9', expected schema 'streamseg.frame/1'"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = record(tmp_path, world_results(3)) / "records.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], line, lines[2], ""]))
    with pytest.raises(SinkError, match=says):
        _ = RecordedStream("cam", tmp_path).videos


def test_a_damaged_mask_is_named(tmp_path: Path) -> None:
    path = record(tmp_path, world_results(2)) / "records.jsonl"
    values = json.loads(path.read_text().splitlines()[1])
    values["segments"][0]["mask"]["counts"] = "0"
    path.write_text(json.dumps(values) + "\n")
    with pytest.raises(SinkError, match=r"frame 1 of 'cam', segment \d+: mask counts cover"):
        all_ids(RecordedStream("cam", tmp_path))


def test_no_records(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"holds no records\.jsonl, .* run again with the jsonl sink"):
        _ = RecordedStream("cam", tmp_path).videos


def test_without_masks_the_pngs_are_read(tmp_path: Path) -> None:
    results = world_results()
    png = PanopticPngSink(facts_of(tmp_path, WORDS))
    png.open(None)
    for emission in emissions(results, WORDS):
        png.write(emission)
    png.close()
    stream = RecordedStream("cam", record(tmp_path, results, masks=False))
    assert_same_maps(stream, results)
    for (_, frames), result in zip(RecordedStream("cam", tmp_path).records(), results[:1], strict=True):
        masks = next(frames).masks()
        assert {key: mask["counts"] for key, mask in masks.items()} == {
            segment["id"]: segment["mask"]["counts"] for segment in result.to_dict()["segments"]
        }


def test_without_masks_and_pngs(tmp_path: Path) -> None:
    stream = RecordedStream("cam", record(tmp_path, world_results(1), masks=False))
    with pytest.raises(SinkError, match=r"frame 0 of 'cam' was recorded without masks, .* or with the png sink"):
        all_ids(stream)


def test_a_failed_frame_is_void(tmp_path: Path) -> None:
    results = world_results(2)
    failed = replace(
        results[0], index=7, segments=(), status="failed", error="no memory", panoptic=np.zeros((0, 0), np.int32)
    )
    maps = all_ids(RecordedStream("cam", record(tmp_path, [failed, *results])))
    assert maps[0].shape == (96, 128)
    assert not maps[0].any()


# Categories.


def segment(category_id: int, label: str, isthing: bool = True) -> dict[str, object]:
    return {"category_id": category_id, "label": label, "isthing": isthing}


def test_categories_keep_their_ids() -> None:
    categories = Categories()
    categories.add_vocabulary(Vocabulary.load("lvis"))
    listed = {entry["id"]: entry["name"] for entry in categories.to_list()}
    assert listed == {category.id: category.label for category in Vocabulary.load("lvis").categories}


def test_an_id_that_means_something_else_is_renumbered() -> None:
    categories = Categories()
    found = [
        categories.id_of(each)
        for each in (
            segment(0, "car"),
            segment(4, "sky", False),
            segment(0, "bus"),
            segment(0, "car"),
            segment(1, "bus"),
            segment(0, "bus"),
            segment(4, "sky", True),
        )
    ]
    assert found == [0, 4, 5, 0, 1, 5, 6]
    assert [entry["id"] for entry in categories.to_list()] == [0, 1, 4, 5, 6]


# The sinks.


@pytest.mark.parametrize("settings", [VpsSettings(), MotsSettings(), YtvisSettings(), YtvisSettings(stuff=True)])
def test_a_resumed_run_compiles_the_same_bytes(
    tmp_path: Path, settings: VpsSettings | MotsSettings | YtvisSettings
) -> None:
    results = world_results()

    def run(folder: Path, state: dict[str, object] | None, first: int, last: int) -> dict[str, object]:
        facts = facts_of(folder / "cam", WORDS)
        document = DocumentSink(facts, settings)
        document.open(state)
        lines = record(facts.folder, results[:last])
        assert lines.exists()
        for emission in emissions(results[first:last], WORDS):
            document.write(emission)
        restored: dict[str, object] = json.loads(json.dumps(document.state()))
        document.close()
        return restored

    run(tmp_path / "whole", None, 0, 8)
    run(tmp_path / "halves", run(tmp_path / "halves", None, 0, 5), 5, 8)
    whole, halves = (contents(tmp_path / name / "cam" / settings.kind) for name in ("whole", "halves"))
    assert whole == halves
    assert whole


def test_nothing_is_compiled_of_a_stream_without_frames(tmp_path: Path) -> None:
    sink = DocumentSink(facts_of(tmp_path / "cam", WORDS), VpsSettings())
    sink.open(None)
    sink.close()
    assert list((tmp_path / "cam").iterdir()) == []


def test_colliding_ids_of_two_epochs_stay_apart(tmp_path: Path) -> None:
    words = Vocabulary.parse("car")
    ids = np.ones((8, 8), np.int32)
    results = [result_of(ids, [Named(1, 0, "car", True)], words, index, epoch=index) for index in range(2)]
    names = [video.name for video in RecordedStream("cam", record(tmp_path, results)).videos]
    assert names == ["cam", "cam-epoch-1"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

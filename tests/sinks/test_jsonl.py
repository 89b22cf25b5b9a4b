import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from streamseg.config.sinks import JsonlSettings, RotationSettings
from streamseg.errors import SinkError
from streamseg.frames import FrameResult, json_schema
from streamseg.sinks.base import StreamFacts
from streamseg.sinks.jsonl import JsonlSink
from tests.sinks.small_stream import assert_resumes_exactly, emission, facts, stream, tree, write_all

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # killed sinks are never closed

SMALL_PARTS = RotationSettings(when="always", seconds=None, megabytes=0.003, keep=None, keep_megabytes=None)


def records(folder: Path, name: str = "records.jsonl") -> list[str]:
    return (folder / name).read_text().splitlines()


def test_every_frame_is_one_valid_line(tmp_path: Path) -> None:
    written = stream(20)
    write_all(JsonlSink(facts(tmp_path), JsonlSettings()), written)
    lines = records(tmp_path)
    assert lines == [each.result.to_json() for each in written]
    validator = jsonschema.Draft202012Validator(json_schema())
    for line, each in zip(lines, written, strict=True):
        validator.validate(json.loads(line))
        assert (FrameResult.from_json(line).panoptic == each.result.panoptic).all()


def test_masks_can_be_left_out(tmp_path: Path) -> None:
    write_all(JsonlSink(facts(tmp_path), JsonlSettings(masks=False)), stream(2))
    segments = [segment for line in records(tmp_path) for segment in json.loads(line)["segments"]]
    assert segments
    assert all("mask" not in segment for segment in segments)


def test_a_line_is_there_when_its_frame_is_done(tmp_path: Path) -> None:
    sink = JsonlSink(facts(tmp_path), JsonlSettings())
    sink.open(None)
    for number, each in enumerate(stream(4), start=1):
        sink.write(each)
        assert len(records(tmp_path)) == number
    sink.close()


def test_resume_is_exact(tmp_path: Path) -> None:
    assert_resumes_exactly(lambda of: JsonlSink(of, JsonlSettings()), tmp_path, stream(20))


def test_resume_is_exact_across_parts(tmp_path: Path) -> None:
    files = assert_resumes_exactly(lambda of: JsonlSink(of, JsonlSettings(), SMALL_PARTS), tmp_path, stream(20))
    assert len(files) > 4
    assert b"".join(files[name] for name in sorted(files, key=part_order)) == b"".join(
        each.result.to_json().encode() + b"\n" for each in stream(20)
    )


def part_order(name: str) -> tuple[bool, str]:
    return name == "records.jsonl", name


@pytest.mark.parametrize("keep", [1, 2])
def test_resume_is_exact_where_old_parts_are_given_up(tmp_path: Path, keep: int) -> None:
    few = replace(SMALL_PARTS, keep=keep)
    files = assert_resumes_exactly(lambda of: JsonlSink(of, JsonlSettings(), few), tmp_path, stream(20))
    assert len(files) == keep + 1


def test_an_old_run_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text("old\n" * 1000)
    write_all(JsonlSink(facts(tmp_path), JsonlSettings()), stream(1))
    assert len(records(tmp_path)) == 1


@pytest.mark.parametrize("damage", ["short", "gone"])
def test_records_that_were_lost_since_are_not_passed_over(tmp_path: Path, damage: str) -> None:
    sink = JsonlSink(facts(tmp_path), JsonlSettings())
    write_all(sink, stream(3))
    path = tmp_path / "records.jsonl"
    path.unlink() if damage == "gone" else path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SinkError, match=r"records.jsonl' (is gone|holds \d+ bytes), expected at least \d+ bytes"):
        JsonlSink(facts(tmp_path), JsonlSettings()).open(sink.state())


def test_what_a_kill_left_half_written_is_cut_off(tmp_path: Path) -> None:
    sink = JsonlSink(facts(tmp_path), JsonlSettings())
    write_all(sink, stream(3))
    whole = tree(tmp_path)
    with (tmp_path / "records.jsonl").open("a") as file:
        file.write('{"schema": "streamse')
    JsonlSink(facts(tmp_path), JsonlSettings()).open(sink.state())
    assert tree(tmp_path) == whole


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    of = facts(tmp_path / "out")
    of.folder.rmdir()
    with pytest.raises(SinkError, match=r"cannot write .*records.jsonl': No such file or directory; "):
        JsonlSink(of, JsonlSettings()).open(None)


def test_a_closed_sink_says_so(tmp_path: Path) -> None:
    sink = JsonlSink(facts(tmp_path), JsonlSettings())
    write_all(sink, stream(1))
    state = sink.state()
    sink.close()
    with pytest.raises(SinkError, match="is closed, expected no more lines"):
        sink.write(emission(2))
    assert sink.state() == state


def test_recordings_are_not_cut_and_live_streams_are(tmp_path: Path) -> None:
    rotation = replace(SMALL_PARTS, when="live")
    for live, of in ((live, facts(tmp_path / str(live), live=live)) for live in (False, True)):
        write_all(JsonlSink(of, JsonlSettings(), rotation), stream(20, live=live))
        assert (len(tree(of.folder)) > 1) is live


def test_live_parts_end_by_the_clock(tmp_path: Path) -> None:
    of: StreamFacts = facts(tmp_path, live=True)
    rotation = RotationSettings(seconds=6, megabytes=None, keep=None, keep_megabytes=None)
    write_all(JsonlSink(of, JsonlSettings(), rotation), stream(20, live=True))  # a frame each second
    names = ["records.000001.jsonl", "records.000002.jsonl", "records.000003.jsonl", "records.jsonl"]
    assert sorted(tree(tmp_path)) == names
    assert [len(records(tmp_path, name)) for name in names] == [6, 6, 6, 2]

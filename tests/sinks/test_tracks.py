from dataclasses import replace
from pathlib import Path

import pytest

from streamseg.config.sinks import RotationSettings
from streamseg.errors import SinkError
from streamseg.sinks.tracks import TracksSink
from streamseg.tracks import TrackRow
from tests.sinks.small_stream import assert_resumes_exactly, emission, facts, full_disk, row, stream, tree, write_all

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # killed sinks are never closed

REMAINING = [row(9, 2), row(500, 1), row(8, 2)]


def rows(folder: Path) -> list[TrackRow]:
    return [TrackRow.from_json(line) for line in (folder / "tracks.jsonl").read_text().splitlines()]


def test_tracks_are_written_when_they_end_in_order_of_id(tmp_path: Path) -> None:
    sink = TracksSink(facts(tmp_path))
    sink.open(None)
    for each in stream(6):
        sink.write(each)
    assert [each.id for each in rows(tmp_path)] == [3, 103, 6, 106]
    sink.close(REMAINING)
    assert [(each.epoch, each.id) for each in rows(tmp_path)][4:] == [(1, 501), (2, 9), (2, 10)]


def test_a_run_that_can_go_on_leaves_living_tracks_out(tmp_path: Path) -> None:
    write_all(TracksSink(facts(tmp_path)), stream(3))
    assert [each.id for each in rows(tmp_path)] == [3, 103]


def test_a_run_without_tracks_has_an_empty_file(tmp_path: Path) -> None:
    write_all(TracksSink(facts(tmp_path)), stream(2))
    assert tree(tmp_path) == {"tracks.jsonl": b""}


def test_resume_is_exact(tmp_path: Path) -> None:
    assert_resumes_exactly(TracksSink, tmp_path, stream(20), REMAINING)


def test_resume_is_exact_across_parts(tmp_path: Path) -> None:
    rotation = RotationSettings(when="always", seconds=0.19, megabytes=None, keep=2, keep_megabytes=None)
    files = assert_resumes_exactly(lambda of: TracksSink(of, rotation), tmp_path, stream(20), REMAINING)
    assert len(files) == 3


def test_going_on_with_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    sink = TracksSink(facts(tmp_path))
    write_all(sink, stream(6), REMAINING)
    finished = tree(tmp_path)
    again = TracksSink(facts(tmp_path))
    again.open(sink.state())
    again.close()
    assert tree(tmp_path) == finished


def test_tracks_that_end_together_are_written_together(tmp_path: Path) -> None:
    sink = TracksSink(facts(tmp_path))
    sink.open(None)
    sink.write(emission(2))
    before = (tmp_path / "tracks.jsonl").read_bytes()
    ended = replace(emission(3), ended=(row(1), row(2), row(3)))
    with full_disk(len(before) * 2), pytest.raises(SinkError, match="File too large"):
        sink.write(ended)
    assert (tmp_path / "tracks.jsonl").read_bytes() == before
    sink.write(ended)
    assert [each.id for each in rows(tmp_path)] == [3, 103, 2, 3, 4]
    sink.close()


def test_close_lets_go_of_the_file_where_the_last_rows_do_not_fit(tmp_path: Path) -> None:
    sink = TracksSink(facts(tmp_path))
    sink.open(None)
    with full_disk(10), pytest.raises(SinkError, match="File too large"):
        sink.close(REMAINING)
    assert tree(tmp_path) == {"tracks.jsonl": b""}
    with pytest.raises(SinkError, match="is closed"):
        sink.write(emission(2))

"""Policies: what a run does when a sink fails."""

import errno
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from streamseg.config.sinks import JsonlSettings, Policy
from streamseg.errors import SinkError
from streamseg.sinks.base import Emission, Sink
from streamseg.sinks.files import cannot_write
from streamseg.sinks.guard import STEADY_FRAMES, GuardedSink, reason_of
from streamseg.sinks.jsonl import JsonlSink
from streamseg.sinks.panoptic_png import PanopticPngSink
from streamseg.sinks.segment_masks import SegmentMasksSink
from streamseg.sinks.tracks import TracksSink
from streamseg.tracks import TrackRow
from tests.sinks.small_stream import emission, facts, full_disk, row, stream, tree

Log = pytest.LogCaptureFixture


class ScriptedSink:
    """Fails at the frames that it is told to, and notes the others."""

    name = "scripted"
    external = True

    def __init__(self, failing: Sequence[int] = (), *, error: int = errno.ENOSPC, at: str = "write") -> None:
        self.failing = set(failing)
        self.written: list[int] = []
        self._error = OSError(error, os.strerror(error))
        self._at = at

    def _fail(self) -> None:
        try:
            raise self._error
        except OSError as error:
            raise cannot_write(Path("there"), error) from None

    def open(self, state: dict[str, Any] | None) -> None:  # noqa: ARG002
        if self._at == "open":
            self._fail()

    def write(self, emission: Emission) -> None:
        if emission.result.index in self.failing:
            self._fail()
        self.written.append(emission.result.index)

    def state(self) -> dict[str, Any]:
        return {"written": len(self.written)}

    def close(self, remaining: Sequence[TrackRow] = ()) -> None:  # noqa: ARG002
        if self._at == "close":
            self._fail()


def run(sink: Sink, count: int) -> None:
    sink.open(None)
    for index in range(count):
        sink.write(emission(index))
    sink.close()


def test_it_is_the_sink_that_it_guards() -> None:
    inner = ScriptedSink()
    guard = GuardedSink(inner, "stop")
    run(guard, 4)
    assert (guard.name, guard.external, guard.state(), guard.lost) == ("scripted", True, {"written": 4}, {})
    assert inner.written == [0, 1, 2, 3]


def test_stop_passes_the_error_on(caplog: Log) -> None:
    guard = GuardedSink(ScriptedSink([2]), "stop")
    with pytest.raises(SinkError, match="cannot write 'there': No space left on device"):
        run(guard, 4)
    assert caplog.records == []


def test_drop_and_count_goes_on_and_says_so_once(caplog: Log) -> None:
    inner = ScriptedSink([2, 3, 7])
    guard = GuardedSink(inner, "drop-and-count")
    run(guard, 10)
    assert inner.written == [0, 1, 4, 5, 6, 8, 9]
    assert guard.lost == {"No space left on device": 3}
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("streamseg.sinks", logging.WARNING)
    assert record.getMessage() == (
        "cam: scripted loses frames from 2 on: cannot write 'there': No space left on device; make room, or choose "
        "another --output"
    )


def test_it_says_when_the_sink_works_again(caplog: Log) -> None:
    failing = [3, 5, STEADY_FRAMES + 4, 2 * STEADY_FRAMES + 10]
    run(GuardedSink(ScriptedSink(failing), "drop-and-count"), 3 * STEADY_FRAMES + 20)
    assert [record.getMessage().partition(": cannot")[0] for record in caplog.records] == [
        "cam: scripted loses frames from 3 on",
        "cam: scripted works again, 3 frames lost",  # the third failure comes one frame too early for that
        f"cam: scripted loses frames from {2 * STEADY_FRAMES + 10} on",
        "cam: scripted works again, 1 frames lost",
    ]


def test_losses_are_counted_by_reason() -> None:
    inner = ScriptedSink([1, 2])
    guard = GuardedSink(inner, "drop-and-count")
    run(guard, 3)
    inner._error = OSError(errno.EIO, os.strerror(errno.EIO))
    run(guard, 2)
    assert guard.lost == {"No space left on device": 2, "Input/output error": 1}


def test_counts_that_were_read_do_not_change() -> None:
    guard = GuardedSink(ScriptedSink([0, 1]), "drop-and-count")
    guard.write(emission(0))
    before = guard.lost
    guard.write(emission(1))
    assert before == {"No space left on device": 1}


@pytest.mark.parametrize("policy", get_args(Policy))
def test_a_sink_that_cannot_be_opened_is_an_error(policy: Policy) -> None:
    with pytest.raises(SinkError, match="cannot write 'there'"):
        run(GuardedSink(ScriptedSink(at="open"), policy), 1)


def test_a_sink_that_cannot_be_closed(caplog: Log) -> None:
    with pytest.raises(SinkError, match="cannot write 'there'"):
        run(GuardedSink(ScriptedSink(at="close"), "stop"), 1)
    guard = GuardedSink(ScriptedSink(at="close"), "drop-and-count")
    run(guard, 1)
    assert str(guard.unfinished).startswith("cannot write 'there'")
    assert [record.getMessage() for record in caplog.records] == [f"scripted could not be finished: {guard.unfinished}"]


def test_what_is_no_failure_to_write_is_not_hidden() -> None:
    class Broken(ScriptedSink):
        def write(self, emission: Emission) -> None:  # noqa: ARG002
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        run(GuardedSink(Broken(), "drop-and-count"), 1)


def test_reasons() -> None:
    assert reason_of(SinkError("the reader takes nothing")) == "failed"
    assert reason_of(chained(OSError(errno.ENOSPC, "No space left on device", "/a/path"))) == "No space left on device"
    assert reason_of(chained(TimeoutError("/a/path"))) == "TimeoutError"


def chained(cause: Exception) -> SinkError:
    try:
        try:
            raise cause
        except Exception as error:
            raise SinkError("cannot write /a/path") from error
    except SinkError as error:
        return error


def make(kind: str, folder: Path) -> Sink:
    of = facts(folder)
    if kind == "jsonl":
        return JsonlSink(of, JsonlSettings())
    if kind == "tracks":
        return TracksSink(of)
    return PanopticPngSink(of) if kind == "png" else SegmentMasksSink(of)


@pytest.mark.parametrize("kind", ["jsonl", "png", "masks", "tracks"])
def test_a_disk_that_is_full_for_a_while(kind: str, tmp_path: Path) -> None:
    """What is written before and after is as if the frames between had never been."""
    with_rows = [emission(3 * number + 2) for number in range(9)]  # each of them ends tracks
    guard = GuardedSink(make(kind, tmp_path / "guarded"), "drop-and-count")
    guard.open(None)
    for number, each in enumerate(with_rows):
        with full_disk(30 if number in (3, 4) else 10**9):
            guard.write(each)
    guard.close([row(1)])
    assert guard.lost == {"File too large": 2}
    expected = make(kind, tmp_path / "expected")
    expected.open(None)
    for each in [*with_rows[:3], *with_rows[5:]]:
        expected.write(each)
    expected.close([row(1)])
    assert tree(tmp_path / "guarded") == tree(tmp_path / "expected")


@pytest.mark.parametrize("kind", ["jsonl", "png", "masks", "tracks"])
def test_a_run_that_a_full_disk_stopped_can_be_gone_on_with(kind: str, tmp_path: Path) -> None:
    guard = GuardedSink(make(kind, tmp_path / "stopped"), "stop")
    guard.open(None)
    for each in stream(8):
        guard.write(each)
    with full_disk(30), pytest.raises(SinkError, match="File too large"):
        guard.write(stream(9)[8])
    state = guard.state()
    guard.close()
    resumed = make(kind, tmp_path / "stopped")
    resumed.open(state)
    expected = make(kind, tmp_path / "whole")
    expected.open(None)
    for each in stream(8):
        expected.write(each)
    for sink in (resumed, expected):
        for each in stream(20)[8:]:
            sink.write(each)
        sink.close()
    assert tree(tmp_path / "stopped") == tree(tmp_path / "whole")

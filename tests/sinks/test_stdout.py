"""Standard output as a pipe: whole lines whatever the reader does, and no wait that has no end."""

import fcntl
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamseg.config.sinks import StdoutSettings
from streamseg.errors import ConfigError, SinkError
from streamseg.frames import Frame, FrameResult, Segment
from streamseg.sinks import line_pipe
from streamseg.sinks.base import Emission
from streamseg.sinks.guard import GuardedSink
from streamseg.sinks.stdout import ReaderGoneError, StdoutSink
from tests.sinks.small_stream import VOCABULARY, emission, stream

PIPE_BYTES = 4096  # the smallest that Linux makes
LONG_SECONDS = 60.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A small pipe, so that it is soon full."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        yield reader, writer
    finally:
        for end in (reader, writer):
            with suppress(OSError):
                os.close(end)


def sink_to(writer: int, *, policy: str = "stop", seconds: float = 0.05, masks: bool = True) -> StdoutSink:
    settings = StdoutSettings(masks=masks, timeout_seconds=seconds, on_error=policy)  # type: ignore[arg-type]
    sink = StdoutSink(settings, descriptor=writer)
    sink.open(None)
    return sink


def large(index: int) -> Emission:
    """A frame whose record does not fit the pipe."""
    each = emission(index)
    ids = np.random.default_rng(index).integers(0, 4, (80, 120)).astype(np.int32)
    segments = [Segment(id_, 0, "car", True, 0.5, 1, (0, 0, 1, 1)) for id_ in (1, 2, 3)]
    frame = Frame(np.zeros((80, 120, 3), np.uint8), index, "cam")
    return replace(each, result=FrameResult.from_map(frame, ids, segments, model="demo", vocabulary=VOCABULARY))


def drain(reader: int) -> bytes:
    """What is in the pipe now."""
    data = b""
    while select.select([reader], [], [], 0)[0] and (piece := os.read(reader, 65536)):
        data += piece
    return data


def line_of(each: Emission, *, masks: bool = True) -> bytes:
    return each.result.to_json(masks=masks).encode() + b"\n"


def test_records_as_lines(pipe: tuple[int, int]) -> None:
    sink = sink_to(pipe[1])
    sink.write(emission(0))
    assert drain(pipe[0]) == line_of(emission(0))
    sink.write(emission(1))
    assert drain(pipe[0]) == line_of(emission(1))
    assert (sink.external, sink.state()) == (True, {})
    sink.close()
    sink.close()


def test_masks_can_be_left_out(pipe: tuple[int, int]) -> None:
    sink = sink_to(pipe[1], masks=False)
    sink.write(emission(0))
    assert drain(pipe[0]) == line_of(emission(0), masks=False)
    sink.close()


def test_what_was_given_away_is_not_repeated(pipe: tuple[int, int]) -> None:
    sink = sink_to(pipe[1])
    sink.write(emission(0, replayed=True))
    sink.write(emission(1))
    assert drain(pipe[0]) == line_of(emission(1))
    sink.close()


def test_a_reader_that_has_gone(pipe: tuple[int, int]) -> None:
    sink = sink_to(pipe[1])
    os.close(pipe[0])
    for index in range(2):
        with pytest.raises(ReaderGoneError, match="standard output is a broken pipe, expected a reader"):
            sink.write(emission(index))
    sink.close()


def test_a_reader_that_goes_in_the_middle_of_a_line(pipe: tuple[int, int]) -> None:
    sink = sink_to(pipe[1], policy="drop-and-count")
    index = fill(sink)
    os.close(pipe[0])
    with pytest.raises(ReaderGoneError):
        sink.write(emission(index))
    sink.close()  # there is nobody who could miss the rest


def fill(sink: StdoutSink) -> int:
    """Write until the reader, who does not read, has a part of a line; returns the number of frames."""
    for index in range(100):
        try:
            sink.write(large(index))
        except SinkError:
            return index
    raise AssertionError("the pipe takes everything")


def test_a_reader_that_stalls_loses_whole_lines(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = sink_to(writer, policy="drop-and-count")
    sink.write(large(0))
    for index in range(1, 4):
        with pytest.raises(SinkError, match=r"takes nothing, expected it to within 0.05 s: let it"):
            sink.write(emission(index))
    with ThreadPoolExecutor(1) as other:  # it reads again: the rest of the line comes first
        writing = other.submit(sink_patiently, sink, emission(50))
        seen = read_until(reader, writing.done)
    seen += drain(reader)
    assert seen == line_of(large(0)) + line_of(emission(50))
    sink.close()


def sink_patiently(sink: StdoutSink, each: Emission) -> None:
    """Offer a frame until it is taken."""
    deadline = time.monotonic() + LONG_SECONDS
    while time.monotonic() < deadline:
        with suppress(SinkError):
            sink.write(each)
            return
    raise AssertionError("waited in vain")


def test_the_end_of_a_line_is_written_when_the_sink_is_closed(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = sink_to(writer, policy="drop-and-count", seconds=0.05)
    sink.write(large(0))
    sink_to_end = StdoutSink(StdoutSettings(timeout_seconds=LONG_SECONDS), descriptor=writer)
    sink_to_end.open(None)
    with ThreadPoolExecutor(1) as other:
        closing = other.submit(sink_to_end.close)
        seen = read_until(reader, closing.done)
    assert seen + drain(reader) == line_of(large(0))
    sink.close()


def test_a_reader_that_never_takes_the_end(pipe: tuple[int, int]) -> None:
    sink = sink_to(pipe[1], policy="drop-and-count")
    fill(sink)
    with pytest.raises(SinkError, match="takes nothing"):
        sink.close()


def test_losses_are_counted(pipe: tuple[int, int], caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = pipe
    settings = StdoutSettings(timeout_seconds=0.02, on_error="drop-and-count")
    guard = GuardedSink(StdoutSink(settings, descriptor=writer), settings.on_error)
    guard.open(None)
    for index in range(20):
        guard.write(emission(index))
    (count,) = guard.lost.values()
    lines = drain(reader).splitlines()
    guard.close()
    assert len(lines) + count == 20
    assert [FrameResult.from_json(line).index for line in lines] == list(range(len(lines)))
    assert len(caplog.records) == 1


def test_stop_waits_for_as_long_as_the_reader_takes(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = sink_to(writer, policy="stop", seconds=0.01)
    written = stream(20)
    with ThreadPoolExecutor(1) as other:
        writing = other.submit(lambda: [sink.write(each) for each in written])
        wait_until(lambda: pipe_is_full(writer))
        time.sleep(0.05)  # longer than timeout_seconds, which does not count here
        assert not writing.done()
        seen = read_until(reader, lambda: writing.done())
    seen += drain(reader)
    assert seen == b"".join(map(line_of, written))
    sink.close()


def test_closing_ends_a_write_that_waits(pipe: tuple[int, int]) -> None:
    sink = sink_to(pipe[1], policy="stop", seconds=0.05)
    errors: list[SinkError] = []

    def write_all() -> None:
        try:
            for index in range(100):
                sink.write(large(index))
        except SinkError as error:
            errors.append(error)

    writing = threading.Thread(target=write_all)
    writing.start()
    wait_until(lambda: pipe_is_full(pipe[1]))
    with pytest.raises(SinkError, match="takes nothing"):
        sink.close()
    writing.join(LONG_SECONDS)
    assert not writing.is_alive()
    assert len(errors) == 1
    with pytest.raises(SinkError, match="was closed before"):
        sink.write(emission(0))


def test_streams_that_share_it_do_not_mix_their_lines(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sinks = [sink_to(writer, policy="stop") for _ in range(4)]
    written = [large(index) for index in range(6)]

    def write_all(sink: StdoutSink) -> None:
        for each in written:
            sink.write(each)

    with ThreadPoolExecutor(len(sinks)) as others:
        writing = [others.submit(write_all, sink) for sink in sinks]
        seen = read_until(reader, lambda: all(each.done() for each in writing))
    for sink in sinks:
        sink.close()
    seen += drain(reader)
    indices = [FrameResult.from_json(line).index for line in seen.splitlines()]
    assert sorted(indices) == sorted(list(range(6)) * len(sinks))


def test_one_stream_finishes_the_line_that_another_began(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    first, second = (sink_to(writer, policy="drop-and-count") for _ in range(2))
    first.write(large(0))
    with ThreadPoolExecutor(1) as other:
        writing = other.submit(sink_patiently, second, emission(70))
        seen = read_until(reader, writing.done)
    assert seen + drain(reader) == line_of(large(0)) + line_of(emission(70))
    first.close()
    second.close()


def test_a_descriptor_that_is_used_anew_owes_nothing(pipe: tuple[int, int]) -> None:
    sink = sink_to(pipe[1], policy="drop-and-count")
    fill(sink)
    with pytest.raises(SinkError, match="takes nothing"):
        sink.close()
    del sink
    drain(pipe[0])
    again = sink_to(pipe[1])
    again.write(emission(0))
    assert drain(pipe[0]) == line_of(emission(0))
    again.close()


def test_a_file_takes_everything(tmp_path: Path) -> None:
    with (tmp_path / "records").open("wb") as file:
        sink = sink_to(file.fileno())
        for each in stream(20):
            sink.write(each)
        sink.close()
    assert (tmp_path / "records").read_bytes() == b"".join(map(line_of, stream(20)))


def test_a_full_disk_behind_it() -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        sink = sink_to(full.fileno())
        with pytest.raises(SinkError, match="cannot write to standard output: No space left on device; make room"):
            sink.write(emission(0))
        sink.close()


def test_no_standard_output_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SinkError, match="there is no standard output, expected a pipe, file or terminal"):
        StdoutSink(StdoutSettings()).open(None)


def test_a_sink_that_was_never_opened_can_be_closed() -> None:
    StdoutSink(StdoutSettings()).close()


def test_the_time_out_has_to_be_one() -> None:
    with pytest.raises(ConfigError, match=r"stdout\.timeout_seconds"):
        StdoutSettings(timeout_seconds=0)


def test_in_a_real_pipe_behind_what_python_has_printed() -> None:
    program = (
        "from streamseg.config.sinks import StdoutSettings\n"
        "from streamseg.sinks.stdout import StdoutSink\n"
        "from tests.sinks.small_stream import stream\n"
        "print('first')\n"
        "sink = StdoutSink(StdoutSettings())\n"
        "sink.open(None)\n"
        "for each in stream(20): sink.write(each)\n"
        "sink.close()\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, check=True)
    assert done.stdout == b"first\n" + b"".join(map(line_of, stream(20)))


def pipe_is_full(writer: int) -> bool:
    return not select.select([], [writer], [], 0)[1]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def read_until(reader: int, done: Callable[[], bool]) -> bytes:
    data = b""
    deadline = time.monotonic() + LONG_SECONDS
    while not done():
        assert time.monotonic() < deadline, "waited in vain"
        if select.select([reader], [], [], 0.01)[0]:
            data += os.read(reader, 1000)
    return data


def test_pieces_fit_a_pipe_that_is_ready() -> None:
    """What `poll` promises of a pipe holds for so many bytes: one page."""
    assert os.sysconf("SC_PAGE_SIZE") >= line_pipe.PIECE

"""Video through a pipe: standard input and named pipes, with real processes at the other end."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamseg.errors import DecodeError, SourceError
from streamseg.frames import Frame
from streamseg.sources.address import parse_address
from streamseg.sources.base import Position, SourceInfo, everything
from streamseg.sources.pipe import VideoPipe
from tests.media import CLIPS, make, number_of

RUNNING = threading.Event()


@contextmanager
def stdin_is(path: Path, *, piped: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard input is a file, or a process that writes its bytes."""
    writer = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    with writer, writer.stdout as pipe, path.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", os.fdopen(os.dup((pipe if piped else file).fileno())))
        try:
            yield
        finally:
            sys.stdin.close()
            monkeypatch.undo()
            pipe.close()


def frames_of(text: str = "-", after: Position | None = None) -> list[Frame]:
    source = VideoPipe(parse_address(text), "stdin")
    return [item for item in source.frames(RUNNING, wanted=everything, after=after) if isinstance(item, Frame)]


@pytest.mark.parametrize("name", ["mkv", "ts", "raw", "moov_first", "fragments", "avi", "mjpeg"])
def test_through_a_pipe(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path, CLIPS[name])
    with stdin_is(path, piped=True, monkeypatch=monkeypatch):
        frames = frames_of()
    assert [number_of(frame.rgb) for frame in frames] == list(range(24))
    assert [frame.index for frame in frames] == list(range(24))


def test_going_on_passes_over_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path, CLIPS["mkv"])
    with stdin_is(path, piped=True, monkeypatch=monkeypatch):
        frames = frames_of(after=Position(9, 375, epoch=3))
    assert [(frame.index, frame.epoch, number_of(frame.rgb)) for frame in frames] == [(n, 3, n) for n in range(10, 24)]


def test_an_index_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be read from a file that is standard input, not through a pipe."""
    path = make(tmp_path, CLIPS["h264"], size_hw=(240, 320))
    with stdin_is(path, piped=False, monkeypatch=monkeypatch):
        assert len(frames_of()) == 24
    with (
        stdin_is(path, piped=True, monkeypatch=monkeypatch),
        pytest.raises(
            DecodeError, match=r"an MP4 whose index is at its end cannot be piped: pass the file, or pipe MKV or TS"
        ),
    ):
        frames_of()


@pytest.mark.parametrize("content", [b"", b"hello\n" * 1000])
def test_no_video(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "text"
    path.write_bytes(content)
    with (
        stdin_is(path, piped=True, monkeypatch=monkeypatch),
        pytest.raises(DecodeError, match="'-' delivers no video that can be read"),
    ):
        frames_of()


def test_nothing_is_known_ahead() -> None:
    assert VideoPipe(parse_address("-"), "stdin").info() == SourceInfo("recorded")


def test_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = os.openpty()
    monkeypatch.setattr(sys, "stdin", os.fdopen(follower))
    with pytest.raises(SourceError, match="nothing is piped into it: pipe a video, or name a file"):
        frames_of()
    sys.stdin.close()
    os.close(leader)


def test_a_named_pipe(tmp_path: Path) -> None:
    path = make(tmp_path, CLIPS["mkv"])
    fifo = tmp_path / "video.fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cp", path, fifo]) as writer:
        assert len(frames_of(str(fifo))) == 24
        assert writer.wait(30) == 0


def test_a_writer_that_says_nothing_does_not_hold_anyone_up(monkeypatch: pytest.MonkeyPatch) -> None:
    readable, writable = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(readable))
    source = VideoPipe(parse_address("-"), "stdin")
    stop = threading.Event()
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.extend(source.frames(stop, wanted=everything)))
    before = source.heartbeat
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while source.heartbeat < before + 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert source.heartbeat >= before + 0.3, "waiting for bytes is a sign of life"
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()
    assert found == []
    sys.stdin.close()
    os.close(writable)

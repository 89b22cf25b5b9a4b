"""What every source offers: frames in order, with what is known of the stream, and a way to end it from outside."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

from ..frames import Frame

__all__ = ["Kind", "Position", "Skipped", "Source", "SourceInfo", "Stop", "Verdict", "Wanted", "everything"]

Kind = Literal["recorded", "live"]
"""Recorded input waits for its consumer and keeps every frame; live input does not wait, and keeps the newest."""

Verdict = Literal["keep", "stride", "max_fps", "before_start", "end"]
"""What to do with a frame: keep it, skip it (with the reason), or stop in front of it."""

Wanted = Callable[[int, Fraction | None], Verdict]
"""Asked once for every decoded frame, in order, with its index and time (seconds), before its pixels are converted."""


class Stop(Protocol):
    """A `threading.Event`, or anything like it: sources look at it wherever they wait."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...


@dataclass(frozen=True, slots=True)
class Position:
    """The last frame that is done; a recording goes on with the one after."""

    index: int
    pts_ticks: int | None
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Skipped:
    """A frame that was decoded, and is not wanted or not whole.

    Attributes:
        index: as of `Frame`.
        reason: a `Verdict`, or "damaged".
    """

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a stream before it is read.

    Attributes:
        kind: recorded or live.
        size_hw: height and width as frames will have them, rotation applied; None if not known.
        fps: average frames a second; None if not known.
        frames: how many there will be, as far as the container says; None if not known or without end.
        duration_seconds: None if not known or without end.
        codec: of the video, such as "h264"; None for pictures and worlds.
        start_seconds: time of the first frame, which need not be 0; None if not known.
    """

    kind: Kind
    size_hw: tuple[int, int] | None = None
    fps: Fraction | None = None
    frames: int | None = None
    duration_seconds: Fraction | None = None
    codec: str | None = None
    start_seconds: Fraction | None = None


class Source(Protocol):
    """One stream. Passive: it reads while it is iterated, in the thread that does so.

    Attributes:
        stream_id: name of the stream.
        kind: recorded or live.
        status: what it is doing, for people ("streaming", "connecting", "waiting 4.0 s: connection refused"). May be
            read from other threads.
        heartbeat: `time.monotonic()` of its last sign of life; waiting on purpose counts as one. May be read from other
            threads.
    """

    stream_id: str
    kind: Kind
    status: str
    heartbeat: float

    def info(self) -> SourceInfo:
        """What is known; opens a recording, never a camera (a camera that is off must not hold anyone up)."""
        ...

    def frames(self, stop: Stop, *, wanted: Wanted, after: Position | None = None) -> Iterator[Frame | Skipped]:
        """Every decoded frame in order: with its pixels if it is wanted, else as `Skipped`.

        Ends at the end of a recording, at the verdict "end", and soon after `stop` is set. Closing the iterator
        releases everything.

        Args:
            stop: ends the iteration, also one that waits.
            wanted: the verdict on each frame.
            after: where a recording goes on; for live input, index and epoch continue from there.

        Raises:
            SourceError: it cannot be opened or read; live input only where waiting would not help (a wrong password).
            DecodeError: what it delivers is no video.
        """
        ...


def everything(_index: int, _seconds: Fraction | None) -> Verdict:
    """Keeps every frame."""
    return "keep"

"""Where frames come from, and which of them are wanted."""

from dataclasses import dataclass, field
from typing import Literal, Self

from ..parsing import require

__all__ = ["DecodeSettings", "LiveSettings", "SelectionSettings", "SourceSettings"]

LONGEST_SECONDS = 3600.0  # of a wait or a time-out: beyond, it is a mistake


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One stream.

    Attributes:
        url: a file, folder, glob, camera index, URL, `world:...`, or `-` for standard input. It may hold a password, so
            it is left out of the repr; `${NAME}` stands for an environment variable.
        name: the stream's name in records and folders; made from the url where it is left out.
        classes, vocabulary, background: words of this stream's own, as in the vocabulary section.
    """

    url: str = field(repr=False)
    name: str | None = None
    classes: str | None = None
    vocabulary: str | None = None
    background: str | None = None

    @classmethod
    def from_text(cls, text: str) -> Self:
        """A url alone."""
        return cls(text)


@dataclass(frozen=True, slots=True)
class SelectionSettings:
    """Which frames are segmented. What is left out is counted, with its reason.

    Attributes:
        stride: every so many-th frame.
        max_fps: at most so many a second of the stream's own time.
        start_seconds, end_seconds: part of a recording, in its own time.
        max_frames: stop after so many segmented frames.
    """

    stride: int = 1
    max_fps: float | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    max_frames: int | None = None


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """How packets become frames.

    Attributes:
        threads: of the decoder; 0 leaves it to the codec library.
        hardware: "auto" takes NVDEC where there is a CUDA device and the codec allows, "off" never.
    """

    threads: int = 0
    hardware: Literal["auto", "off"] = "auto"


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """How cameras and other endless inputs are held.

    Attributes:
        transport: of RTSP; UDP loses packets.
        connect_timeout_seconds, read_timeout_seconds: without an answer for so long, a connection counts as lost.
        watchdog_seconds: a reader without any sign of life for so long is given up from outside.
        first_backoff_seconds, max_backoff_seconds: waits between attempts grow from one to the other, with jitter.
        max_attempts: the stream ends after so many attempts in a row without a frame; None goes on for ever.
    """

    transport: Literal["tcp", "udp"] = "tcp"
    connect_timeout_seconds: float = 6.0
    read_timeout_seconds: float = 5.0
    watchdog_seconds: float = 20.0
    first_backoff_seconds: float = 0.5
    max_backoff_seconds: float = 30.0
    max_attempts: int | None = None

    def __post_init__(self) -> None:
        for name in ("connect_timeout_seconds", "read_timeout_seconds", "first_backoff_seconds"):
            value = getattr(self, name)
            require(0 < value <= LONGEST_SECONDS, f"live.{name}", value, f"seconds above 0, at most {LONGEST_SECONDS}")
        longest = self.max_backoff_seconds
        require(
            self.first_backoff_seconds <= longest <= LONGEST_SECONDS,
            "live.max_backoff_seconds",
            longest,
            f"seconds from live.first_backoff_seconds ({self.first_backoff_seconds}) to {LONGEST_SECONDS}",
        )
        # A read that times out takes up to twice as long.
        least = 2 * max(self.connect_timeout_seconds, self.read_timeout_seconds)
        watchdog = self.watchdog_seconds
        require(
            watchdog >= least, "live.watchdog_seconds", watchdog, f"at least twice the longer time-out, {least} seconds"
        )
        require(
            self.max_attempts is None or self.max_attempts >= 1,
            "live.max_attempts",
            self.max_attempts,
            "a number of attempts, or null",
        )

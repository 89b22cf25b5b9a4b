"""Which frames of a stream are wanted: every so many-th, at most so many a second, from here to there."""

import logging
import math
from collections.abc import Callable
from fractions import Fraction

from ..config.sources import SelectionSettings
from ..errors import ConfigError
from .base import Verdict

__all__ = ["Selection", "check_selection"]

logger = logging.getLogger("streamseg.sources")

JITTER = Fraction(1, 8)  # of a grid step: timestamps are rounded, and a frame just short of its time still counts
RESTART_SECONDS = 1  # a clock that goes back further than this has begun anew


class Selection:
    """The verdict on each frame: a function of its index and time, and of what was kept last.

    `max_fps` lays a grid over the stream's own time, counted from its first frame, and keeps the first frame in each
    step. `stride` counts the source's frames, `max_frames` those that are kept.

    Args:
        settings: what is wanted.
        origin_seconds: time of the stream's first frame; None takes the first that is asked about.
        kept_before: frames kept before the run was interrupted.
        last_kept_seconds: time of the last of those.
        clock: seconds, for frames without a time of their own; live streams have one, pictures have none.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        settings: SelectionSettings,
        *,
        origin_seconds: Fraction | None = None,
        kept_before: int = 0,
        last_kept_seconds: Fraction | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        check_selection(settings)
        self.kept = kept_before
        self._settings = settings
        self._origin = origin_seconds
        self._last = last_kept_seconds
        self._clock = clock
        self._warned = False
        self._rate = _exact(settings.max_fps)
        self._start = _exact(settings.start_seconds)
        self._end = _exact(settings.end_seconds)

    @property
    def origin_seconds(self) -> Fraction | None:
        """Time of the stream's first frame; None before it."""
        return self._origin

    @property
    def last_kept_seconds(self) -> Fraction | None:
        """Time of the frame kept last; None before the first."""
        return self._last

    def __call__(self, index: int, seconds: Fraction | None) -> Verdict:
        """What to do with the frame of this index and time; the answer "keep" counts it as kept."""
        if seconds is None and self._clock is not None:
            seconds = Fraction(self._clock())
        if self._origin is None:
            self._origin = seconds
        if seconds is None:
            self._warn()
        verdict = self._verdict(index, seconds)
        if verdict == "keep":
            self.kept += 1
            self._last = seconds
        return verdict

    def _verdict(self, index: int, seconds: Fraction | None) -> Verdict:
        settings = self._settings
        if settings.max_frames is not None and self.kept >= settings.max_frames:
            return "end"
        if seconds is not None and self._origin is not None:
            passed = seconds - self._origin
            if self._end is not None and passed >= self._end:
                return "end"
            if self._start is not None and passed < self._start:
                return "before_start"
        if index % settings.stride:
            return "stride"
        return "keep" if self._is_due(seconds) else "max_fps"

    def _warn(self) -> None:
        """Say once what cannot be done without time."""
        settings = self._settings
        given = {
            "max_fps": settings.max_fps,
            "start_seconds": settings.start_seconds,
            "end_seconds": settings.end_seconds,
        }
        names = [f"selection.{name}" for name, value in given.items() if value]
        if names and not self._warned:
            logger.warning("frames without a time are kept: %s cannot choose among them", " and ".join(names))
        self._warned = True

    def _is_due(self, seconds: Fraction | None) -> bool:
        """Whether no frame has been kept in this frame's step of the grid."""
        if self._rate is None or seconds is None or self._last is None:
            return True
        return self._step(seconds) > self._step(self._last) or seconds < self._last - RESTART_SECONDS

    def _step(self, seconds: Fraction) -> int:
        assert self._rate is not None
        return math.floor((seconds - (self._origin or 0)) * self._rate + JITTER)


def check_selection(settings: SelectionSettings) -> None:
    """ConfigError where a setting is out of range, or two of them leave nothing."""
    _at_least("stride", settings.stride, 1)
    _at_least("max_frames", settings.max_frames, 1)
    _at_least("start_seconds", settings.start_seconds, 0)
    _at_least("end_seconds", settings.end_seconds, 0)
    if settings.max_fps is not None and not 0 < settings.max_fps < math.inf:
        raise ConfigError(f"selection.max_fps is {settings.max_fps:g}, expected more than 0: leave it out for no limit")
    start, end = settings.start_seconds or 0, settings.end_seconds
    if end is not None and end <= start:
        raise ConfigError(
            f"selection.end_seconds is {end:g} and start_seconds {start:g}: nothing lies between them, expected an end "
            "after the start"
        )


def _exact(value: float | None) -> Fraction | None:
    """The number that was written: 0.2 is a fifth, and not the nearest binary fraction."""
    return None if value is None else Fraction(str(value))


def _at_least(name: str, value: float | None, lowest: int) -> None:
    if value is not None and not lowest <= value < math.inf:
        raise ConfigError(f"selection.{name} is {value:g}, expected at least {lowest}")

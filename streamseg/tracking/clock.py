"""A stream's time as association needs it: it never goes back, and never stands still for want of timestamps."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

__all__ = ["StreamClock"]


class StreamClock:
    """Seconds since the first frame.

    Between two frames whose times are known and do not go back, their difference counts; else (pictures have no time,
    an RTSP stream's first frame has none either) so many frames at the assumed rate.
    """

    def __init__(self, assumed_fps: float) -> None:
        self.assumed_fps = assumed_fps
        self.now = 0.0
        self._frame: int | None = None
        self._seconds: float | None = None

    def tick(self, frame: int, seconds: Fraction | float | None) -> float:
        """The time of this frame."""
        known = None if seconds is None else float(seconds)
        if self._frame is not None:
            self.now += self._step(frame - self._frame, known)
        self._frame, self._seconds = frame, known
        return self.now

    def _step(self, frames: int, seconds: float | None) -> float:
        if seconds is not None and self._seconds is not None and seconds >= self._seconds:
            return seconds - self._seconds
        return max(0, frames) / self.assumed_fps

    def state_dict(self) -> dict[str, Any]:
        return {"now": self.now, "frame": self._frame, "seconds": self._seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.now, self._frame, self._seconds = state["now"], state["frame"], state["seconds"]

"""Input that comes in bursts, such as HLS with its segments of many seconds, is played at its own speed.

Live input keeps the newest frame and drops the rest, so most of a burst would be lost.
"""

from fractions import Fraction

__all__ = ["Pacer"]

LATE_SECONDS = 0.5
EARLY_SECONDS = 30.0


class Pacer:
    """Says how long to hold a frame back.

    The first frame is due at once, the others relative to it. Where the input stalls or its time jumps, it starts anew.
    """

    def __init__(self) -> None:
        self._start: float | None = None

    def ahead_seconds(self, seconds: Fraction | float | None, now: float) -> float:
        """How long until a frame is due.

        Args:
            seconds: the frame's own time; None where it has none.
            now: `time.monotonic()`.
        """
        if seconds is None:
            return 0.0
        own = float(seconds)
        if self._start is None or not -LATE_SECONDS <= self._start + own - now <= EARLY_SECONDS:
            self._start = now - own
        return max(0.0, self._start + own - now)

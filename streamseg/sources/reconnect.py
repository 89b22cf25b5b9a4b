"""When to try again: waits that grow, differ from camera to camera, and end as soon as nobody wants them."""

import random
import time
from collections.abc import Callable

from .base import Stop

__all__ = ["Backoff", "backoff_seconds", "wait"]

STEP_SECONDS = 0.5  # how often a wait shows that it is alive
JITTER = 0.5  # the part of a wait that is left to chance: cameras behind one switch come back at different moments
MOST_DOUBLINGS = 60  # a longer row of failures does not matter, and 2.0 ** 1024 is an error


def backoff_seconds(failures: int, first: float, longest: float, chance: float) -> float:
    """How long to wait after so many failures in a row.

    Args:
        failures: 1 or more.
        first: the wait after the first one, before chance takes its part; doubled with each further one.
        longest: no wait is longer.
        chance: from 0 (the whole wait) to 1 (half of it).
    """
    whole = min(longest, first * 2.0 ** min(failures - 1, MOST_DOUBLINGS))
    return whole * (1.0 - JITTER * chance)


class Backoff:
    """Says how long to wait after each failure.

    The row of failures ends only with a connection that holds for longer than the longest wait: one that is lost again
    and again after a moment is left alone for longer and longer, too.

    Args:
        first_seconds, longest_seconds: as of `backoff_seconds`.
        chance: where jitter comes from; seeded, it makes the waits exact.
    """

    def __init__(self, first_seconds: float, longest_seconds: float, chance: random.Random) -> None:
        self._first = first_seconds
        self._longest = longest_seconds
        self._chance = chance
        self._failures = 0

    def fail(self, held_seconds: float = 0.0) -> float:
        """The seconds to wait before the next attempt, after a connection that held for so long."""
        if held_seconds > self._longest:
            self._failures = 0
        self._failures += 1
        return backoff_seconds(self._failures, self._first, self._longest, self._chance.random())


def wait(stop: Stop, seconds: float, beat: Callable[[], None]) -> bool:
    """Wait in small steps, calling `beat` before each; False as soon as `stop` is set."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if stop.is_set():
            return False
        beat()
        stop.wait(min(left, STEP_SECONDS))
    return not stop.is_set()

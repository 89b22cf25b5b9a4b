"""Two ways of doing the same, measured in turns: machines compare, and drift of the machine cancels."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Mark", "Pace", "Turns", "take_turns"]


@dataclass(frozen=True, slots=True)
class Pace:
    """Frames a second, and the milliseconds of CPU time that all threads together spent on one."""

    fps: float
    cpu_ms: float

    @classmethod
    def between(cls, begin: "Mark", end: "Mark", frames: int) -> "Pace":
        """Of so many frames."""
        return cls(frames / (end.seconds - begin.seconds), 1000 * (end.cpu_seconds - begin.cpu_seconds) / frames)


class Mark(NamedTuple):
    """A moment, and the CPU time that was spent until then, both in seconds."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Turns:
    """What came out.

    Attributes:
        ratios: of each turn, frames a second over the mean of the baseline's before and after it.
        measured, baseline: medians.
    """

    ratios: tuple[float, ...]
    measured: Pace
    baseline: Pace

    @property
    def ratio(self) -> float:
        """The median."""
        return statistics.median(self.ratios)


def take_turns(measured: Callable[[], Pace], baseline: Callable[[], Pace], runs: int) -> Turns:
    """The baseline first, then `runs` times what is measured and the baseline again."""
    baselines, found, ratios = [baseline()], [], []
    for _ in range(runs):
        found.append(measured())
        baselines.append(baseline())
        ratios.append(found[-1].fps / statistics.mean(pace.fps for pace in baselines[-2:]))
    return Turns(tuple(ratios), _median(found), _median(baselines))


def _median(paces: list[Pace]) -> Pace:
    return Pace(statistics.median(pace.fps for pace in paces), statistics.median(pace.cpu_ms for pace in paces))

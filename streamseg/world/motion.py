"""How things and the camera move: functions of time alone, so any moment can be rendered without those before it."""

import math
from dataclasses import dataclass

import numpy as np

from .snapshot import Pose

__all__ = ["Crossing", "Path", "Swing", "Wander"]


@dataclass(frozen=True, slots=True)
class Swing:
    """One coordinate that goes to and fro, never quite in the same way: two sines of unrelated periods.

    Attributes:
        middle, reach: it stays within middle - reach and middle + reach.
        frequency: of the slower sine, in radians per second.
        phase: of the slower sine at time 0.
        detour: share of the reach that the faster sine has.
    """

    middle: float
    reach: float
    frequency: float
    phase: float
    detour: float = 0.25

    RATIO = 2.618  # irrational enough that the pattern does not repeat soon

    def __call__(self, seconds: float) -> float:
        slow = math.sin(self.frequency * seconds + self.phase)
        fast = math.sin(self.RATIO * self.frequency * seconds + 2 * self.phase)
        return self.middle + self.reach * ((1 - self.detour) * slow + self.detour * fast)

    @classmethod
    def random(cls, rng: np.random.Generator, middle: float, reach: float, speed: float) -> "Swing":
        """A swing whose speed is about `speed` where it is fastest."""
        frequency = speed / reach if reach > 0 else 0.0
        return cls(middle, reach, frequency * rng.uniform(0.7, 1.3), rng.uniform(0, 2 * math.pi))


@dataclass(frozen=True, slots=True)
class Wander:
    """A thing that stays around, or comes back after it left.

    Attributes:
        x, y, angle: its middle in world units, its rotation in radians.
        growth: logarithm of its size over time, 0 at its own.
        size: its longer side, in world units.
        flipped: whether it looks the other way.
    """

    x: Swing
    y: Swing
    angle: Swing
    growth: Swing
    size: float
    flipped: bool

    def pose(self, seconds: float) -> Pose | None:
        """Where it is; never gone, though it may be out of sight."""
        size = self.size * math.exp(self.growth(seconds))
        return Pose(self.x(seconds), self.y(seconds), size, self.angle(seconds), self.flipped)


@dataclass(frozen=True, slots=True)
class Crossing:
    """A thing that crosses the stage once.

    Attributes:
        start_seconds, seconds: when it sets out, and how long it takes.
        start, end: (x, y) of its middle, in world units.
        angle: its swaying, radians.
        size: its longer side, in world units.
        flipped: whether it looks the other way.
    """

    start_seconds: float
    seconds: float
    start: tuple[float, float]
    end: tuple[float, float]
    angle: Swing
    size: float
    flipped: bool

    def pose(self, seconds: float) -> Pose | None:
        """Where it is; None before and after."""
        share = (seconds - self.start_seconds) / self.seconds
        if not 0 <= share <= 1:
            return None
        x, y = (a + share * (b - a) for a, b in zip(self.start, self.end, strict=True))
        return Pose(x, y, self.size, self.angle(seconds), self.flipped)


Path = Wander | Crossing

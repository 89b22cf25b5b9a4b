"""How hard the world is to see and to follow: one number, or every dial by itself."""

from dataclasses import dataclass
from typing import Self

from ..errors import ConfigError

__all__ = ["Dials"]

# Lowest and highest value of each dial. A scene has identities for so many residents; the rest keeps numbers sane.
RANGES: dict[str, tuple[float, float]] = {
    "things": (1, 50),
    "smallest": (0.01, 4),
    "largest": (0.01, 4),
    "lookalikes": (0, 1),
    "overlap": (0, 1),
    "speed": (0, 20),
    "turning": (0, 20),
    "leaving": (0, 1),
    "traffic_seconds": (0.1, 1e6),
    "occluders": (0, 10),
    "pan": (0, 10),
    "zoom": (0, 2),
    "shake": (0, 1),
    "cut_seconds": (0.1, 1e6),
    "light": (0, 1),
    "blur": (0, 100),
    "noise": (0, 255),
    "compression": (0, 1),
    "crowds": (0, 1),
    "clutter": (0, 1),
}
SPARSE = ("traffic_seconds", "cut_seconds")  # 0 turns these off


@dataclass(frozen=True, slots=True)
class Dials:
    """What makes a scene difficult. Lengths are in frame heights, times in seconds.

    Attributes:
        things: most things on stage at once, passers-by and occluders aside; at least 1.
        smallest, largest: size of a thing, its longer side.
        lookalikes: chance that a thing is of the same kind as another one.
        overlap: most of a thing that may lie under others when a scene is set up, 0 to 1.
        speed: of things, per second.
        turning: rotation of things in radians: at most so far from upright, and so fast.
        leaving: chance that a thing leaves and comes back.
        traffic_seconds: mean time between things that cross the stage once; 0 for none.
        occluders: large things that stand in front of the others.
        pan, zoom, shake: camera motion: way, factor beyond 1, and tremble.
        cut_seconds: mean time between scene cuts; 0 for none.
        light: how much the light differs and changes, 0 to 1.
        blur: deviation, in thousandths of the height.
        noise: deviation, on the 0..255 scale.
        compression: 0 for none to 1 for heavy.
        crowds: chance of a crowd, a group annotated as one segment.
        clutter: chance of things that nobody labelled (void).
    """

    things: int = 6
    smallest: float = 0.2
    largest: float = 0.55
    lookalikes: float = 0.25
    overlap: float = 0.5
    speed: float = 0.25
    turning: float = 0.3
    leaving: float = 0.3
    traffic_seconds: float = 6.0
    occluders: int = 0
    pan: float = 0.3
    zoom: float = 0.2
    shake: float = 0.002
    cut_seconds: float = 0.0
    light: float = 0.3
    blur: float = 2.0
    noise: float = 4.0
    compression: float = 0.3
    crowds: float = 0.0
    clutter: float = 0.0

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high and not (name in SPARSE and value == 0):
                none = "0 for none, or " if name in SPARSE else ""
                raise ConfigError(f"{name} is {value}, expected {none}a number from {low:g} to {high:g}")
        if self.smallest > self.largest:
            raise ConfigError(
                f"sizes of things run from {self.smallest} to {self.largest}, expected smallest <= largest"
            )

    @classmethod
    def from_difficulty(cls, difficulty: float) -> Self:
        """All dials from one number: 0 is calm, clear and empty; 1 is crowded, fast, noisy and full of cuts.

        Raises:
            ConfigError: it is not within 0 and 1.
        """
        if not 0 <= difficulty <= 1:
            raise ConfigError(f"difficulty is {difficulty!r}, expected a number from 0 to 1")
        d = difficulty
        return cls(
            things=round(3 + 7 * d),
            smallest=0.28 - 0.14 * d,
            largest=0.6,
            lookalikes=0.5 * d,
            overlap=0.3 + 0.5 * d,
            speed=0.1 + 0.5 * d,
            turning=0.1 + 0.5 * d,
            leaving=0.6 * d,
            traffic_seconds=12.0 - 9.0 * d,
            occluders=round(1.4 * d),
            pan=0.6 * d,
            zoom=0.5 * d,
            shake=0.008 * d,
            cut_seconds=6.0 / d - 3.0 if d > 0.6 else 0.0,
            light=0.7 * d,
            blur=4.0 * d,
            noise=10.0 * d,
            compression=0.8 * d,
            crowds=max(0.0, d - 0.6),
            clutter=max(0.0, d - 0.5),
        )

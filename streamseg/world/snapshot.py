"""One moment of the world, before it becomes pixels: what is where, seen through which camera, in which light.

Renderers take this and nothing else, so the CPU path and the device path draw the same picture.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .layout import Region
from .names import STUFF, Composition

__all__ = ["CROWD_ID", "FIRST_THING_ID", "Camera", "Effects", "Pose", "Snapshot", "Sprite", "WorldSegment", "stuff_id"]

CROWD_ID = 100
FIRST_THING_ID = 101  # ids below 100 belong to stuff, which keeps one id per kind


@dataclass(frozen=True, slots=True)
class Camera:
    """Where the camera looks: world units, and how many frame heights one unit is.

    Attributes:
        x, y: the point in the middle of the frame.
        zoom: frame heights per world unit.
        roll: rotation in radians.
    """

    x: float = 0.0
    y: float = 0.0
    zoom: float = 1.0
    roll: float = 0.0

    def to_pixels(self, size_hw: tuple[int, int]) -> NDArray[np.float64]:
        """(2, 3) matrix from world units to pixels; a pixel's corners are at whole numbers."""
        scale = self.zoom * size_hw[0]
        a, b = scale * np.cos(self.roll), scale * np.sin(self.roll)
        turn = np.array([[a, -b], [b, a]])
        middle = np.array([size_hw[1] / 2, size_hw[0] / 2])
        return np.column_stack((turn, middle - turn @ (self.x, self.y)))


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a thing is: middle, longer side in world units, rotation in radians, and whether it looks the other way."""

    x: float
    y: float
    size: float
    angle: float = 0.0
    flipped: bool = False

    def to_world(self) -> NDArray[np.float64]:
        """(2, 3) matrix from the sprite's unit square to world units."""
        a, b = self.size * np.cos(self.angle), self.size * np.sin(self.angle)
        turn = np.array([[a, -b], [b, a]]) @ np.diag((-1.0 if self.flipped else 1.0, 1.0))
        return np.column_stack((turn, np.array([self.x, self.y]) - turn @ (0.5, 0.5)))


@dataclass(frozen=True, slots=True)
class Sprite:
    """A thing in a picture.

    Attributes:
        id: its identity; 0 is clutter that nobody labelled. Members of a crowd share one.
        composition: what it is.
        variant: which of the small differences between things of one kind it has.
        pose: where it is.
        iscrowd: it is part of a group that is annotated as one.
        light: its own brightness, 1 is normal.
    """

    id: int
    composition: Composition
    variant: int
    pose: Pose
    iscrowd: bool = False
    light: float = 1.0


@dataclass(frozen=True, slots=True)
class Effects:
    """What lies between the world and the picture.

    Attributes:
        gain: (R, G, B) factors of the light.
        blur: deviation of a Gaussian, in thousandths of the frame's height.
        smear: (x, y) length of motion blur in frame heights.
        noise: deviation of sensor noise, on the 0..255 scale.
        noise_seed: which noise.
        quality: of JPEG compression, 1 to 100; None for none.
    """

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    blur: float = 0.0
    smear: tuple[float, float] = (0.0, 0.0)
    noise: float = 0.0
    noise_seed: int = 0
    quality: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment.

    Attributes:
        regions: stuff, painted in this order.
        sprites: things, painted in this order over it.
        camera: where it is seen from.
        effects: how it is seen.
    """

    regions: tuple[Region, ...]
    sprites: tuple[Sprite, ...]
    camera: Camera = field(default_factory=Camera)
    effects: Effects = field(default_factory=Effects)


@dataclass(frozen=True, slots=True)
class WorldSegment:
    """What the ground truth says about one segment of a frame.

    Attributes:
        id: the value of its pixels; a thing keeps it for life, a kind of stuff always has the same.
        label: the shape's or the stuff's name.
        isthing: countable, or stuff.
        iscrowd: a group annotated as one.
        area: its visible pixels.
        visibility: visible share of its whole area, what lies outside the frame included; 1 for stuff.
        composition: what kind of thing; of a crowd, the one painted last; None for stuff.
    """

    id: int
    label: str
    isthing: bool
    iscrowd: bool
    area: int
    visibility: float
    composition: Composition | None = None

    @property
    def text(self) -> str:
        """The full name: 'red striped car', 'grass'. A crowd is of one shape in many colours: 'car'."""
        return self.label if self.composition is None or self.iscrowd else self.composition.text


_STUFF_IDS = {entry.name: index for index, entry in enumerate(STUFF, start=1)}


def stuff_id(stuff: str) -> int:
    """The id that all pixels of one kind of stuff have, in every video."""
    return _STUFF_IDS[stuff]

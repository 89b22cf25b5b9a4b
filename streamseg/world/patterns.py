"""Patterns: where the second tone of a striped, dotted or checked thing goes.

The second tone covers clearly less than half, so the thing keeps the colour that it is named after.
"""

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

__all__ = ["Mask", "pattern_mask"]

Mask = npt.NDArray[np.bool_]
Grid = npt.NDArray[np.float32]

STRIPE_SHARE = 0.36
STRIPE_PERIOD = (0.13, 0.17)  # least and most, as a share of the sprite's size
DOT_PERIOD = (0.14, 0.18)
DOT_RADIUS = 0.3  # of the distance between dots
CHECK_PERIOD = (0.19, 0.24)  # two squares
CHECK_SIDE = 0.88  # of the squares of the second tone, so that the first one has more
ROW_HEIGHT = 3**0.5 / 2  # of a hexagonal grid of dots
STRIPE_ANGLES = (0.0, 45.0, 90.0, 135.0)
TILT = 10.0  # degrees, at most, either way


def pattern_mask(name: str, size: int, rng: np.random.Generator) -> Mask:
    """(size, size) bool: the pixels of a pattern's second tone. Phase, scale and angle are drawn from `rng`."""
    return DRAW[name](size, rng)


def _plain(size: int, rng: np.random.Generator) -> Mask:  # noqa: ARG001 - a plain thing has nothing to draw
    return np.zeros((size, size), bool)


def _striped(size: int, rng: np.random.Generator) -> Mask:
    angle = STRIPE_ANGLES[int(rng.integers(len(STRIPE_ANGLES)))] + rng.uniform(-TILT, TILT)
    across, _ = _axes(size, angle, rng.uniform(*STRIPE_PERIOD), rng)
    return np.asarray(across % 1 < STRIPE_SHARE)


def _dotted(size: int, rng: np.random.Generator) -> Mask:
    x, y = _axes(size, rng.uniform(0, 60), rng.uniform(*DOT_PERIOD), rng)
    y /= np.float32(ROW_HEIGHT)
    row = np.floor(y)
    dx = (x + 0.5 * (row % 2)) % 1 - 0.5
    dy = (y - row - 0.5) * np.float32(ROW_HEIGHT)
    return np.asarray(dx**2 + dy**2 < DOT_RADIUS**2)


def _checked(size: int, rng: np.random.Generator) -> Mask:
    angle = float(rng.choice((0.0, 45.0))) + rng.uniform(-TILT, TILT)
    x, y = (2 * axis for axis in _axes(size, angle, rng.uniform(*CHECK_PERIOD), rng))
    column, row = np.floor(x), np.floor(y)
    inside = (x - column < CHECK_SIDE) & (y - row < CHECK_SIDE)
    return np.asarray(((column + row) % 2 == 0) & inside)


DRAW: Mapping[str, Callable[[int, np.random.Generator], Mask]] = MappingProxyType(
    {"plain": _plain, "striped": _striped, "dotted": _dotted, "checked": _checked}
)


def _axes(size: int, degrees: float, period: float, rng: np.random.Generator) -> tuple[Grid, Grid]:
    """Two (size, size) axes at right angles, turned, shifted by chance, one unit per period, nowhere negative."""
    x, y = _pixel_centers(size)
    turn = np.radians(degrees)
    cosine, sine = np.array([np.cos(turn), np.sin(turn)], np.float32) / np.float32(period)
    shift = rng.uniform(size=2).astype(np.float32) + np.float32(2 / period)
    return cosine * x + sine * y + shift[0], cosine * y - sine * x + shift[1]


@cache
def _pixel_centers(size: int) -> tuple[Grid, Grid]:
    """A row and a column of pixel centres in the unit square."""
    centers: Grid = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    return centers[None, :], centers[:, None]

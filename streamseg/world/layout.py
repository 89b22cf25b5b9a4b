"""Where the stuff lies: regions painted one over the other, each with a wobbly edge.

Positions are in world units: a frame at zoom 1 is one unit high; x runs right, y down.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .textures import TEXTURE_VARIANTS

__all__ = ["Edge", "Region", "inside", "random_layout"]

SCENERY: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    # what stands above the horizon, and what may lie below it
    (("sky",), ("grass", "water", "sand", "snow", "soil", "road", "gravel")),
    (("brick wall",), ("wooden floor", "tiled floor", "road", "gravel", "grass")),
)
GROUND = ("grass", "water", "sand", "snow", "soil", "road", "gravel", "wooden floor", "tiled floor", "brick wall")
PATCHES = ("grass", "water", "sand", "snow", "soil", "gravel", "road")


@dataclass(frozen=True, slots=True)
class Edge:
    """The border of a region, as a function that is positive inside.

    Attributes:
        kind: `everywhere`, `side` (beyond a line), `band` (near a line), `patch` (near a point).
        angle: of the line's normal, radians; 0 points right, pi/2 down.
        origin: a point on the line, or the middle of the patch.
        reach: half the width of a band, or a patch's radius.
        waves: (amplitude, frequency, phase) of each wobble along the edge.
    """

    kind: Literal["everywhere", "side", "band", "patch"]
    angle: float = 0.0
    origin: tuple[float, float] = (0.0, 0.0)
    reach: float = 0.0
    waves: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Region:
    """Some stuff and where it lies.

    Attributes:
        stuff: its name.
        variant: which kind of its surface.
        edge: its border.
        scale: world units that one texture tile covers.
        turn: rotation of the texture, radians.
    """

    stuff: str
    variant: int
    edge: Edge
    scale: float = 1.0
    turn: float = 0.0


def inside(edge: Edge, x: Any, y: Any, ops: Any = np) -> Any:
    """Where a region lies: positive inside, by position.

    Args:
        edge: its border.
        x, y: world coordinates, arrays of one shape.
        ops: numpy, or torch for tensors.
    """
    dx, dy = x - edge.origin[0], y - edge.origin[1]
    if edge.kind == "everywhere":
        return ops.ones_like(dx)
    if edge.kind == "patch":
        value = edge.reach - ops.sqrt(dx * dx + dy * dy)
        along = ops.arctan2(dy, dx)
    else:
        cosine, sine = float(np.cos(edge.angle)), float(np.sin(edge.angle))
        across = dx * cosine + dy * sine
        along = dy * cosine - dx * sine
        value = edge.reach - abs(across) if edge.kind == "band" else across
    for amplitude, frequency, phase in edge.waves:
        value = value + amplitude * ops.sin(frequency * along + phase)
    return value


def random_layout(rng: np.random.Generator, extent: tuple[float, float] = (1.8, 1.0)) -> tuple[Region, ...]:
    """A scenery: a horizon with something above and below it, or ground seen from above; then bands and patches.

    Args:
        rng: where chance comes from.
        extent: width and height in world units that matter most.
    """
    regions = _horizon(rng, extent) if rng.random() < 0.65 else [_region(rng, _pick(rng, GROUND), Edge("everywhere"))]
    upright = len(regions) > 1
    for _ in range(int(rng.choice(3, p=(0.45, 0.4, 0.15)))):
        used = {region.stuff for region in regions}
        free = [stuff for stuff in PATCHES if stuff not in used]
        regions.append(_region(rng, _pick(rng, free), _spot(rng, extent, lower_half=upright)))
    return tuple(regions)


def _horizon(rng: np.random.Generator, extent: tuple[float, float]) -> list[Region]:
    above, below = SCENERY[0] if rng.random() < 0.7 else SCENERY[1]
    height = rng.uniform(-0.25, 0.15) * extent[1]
    tilt = rng.normal(0, 0.05)
    ground = Edge("side", np.pi / 2 + tilt, (0.0, height), waves=_waves(rng, 0.015, (3, 12)))
    regions = [_region(rng, _pick(rng, above), Edge("everywhere"))]
    if above == ("sky",) and rng.random() < 0.45:
        ridge = height - rng.uniform(0.08, 0.22) * extent[1]
        edge = Edge("side", np.pi / 2, (0.0, ridge), waves=_waves(rng, 0.06, (2, 7)))
        regions.append(_region(rng, "hills", edge))
    regions.append(_region(rng, _pick(rng, below), ground))
    return regions


def _spot(rng: np.random.Generator, extent: tuple[float, float], *, lower_half: bool) -> Edge:
    """A patch, or a band that crosses the ground."""
    x = rng.uniform(-0.5, 0.5) * extent[0]
    y = rng.uniform(0.2 if lower_half else -0.5, 0.5) * extent[1]
    if rng.random() < 0.4:
        angle = np.pi / 2 + rng.normal(0, 0.15) if lower_half else rng.uniform(0, np.pi)
        return Edge("band", angle, (x, y), rng.uniform(0.06, 0.14), _waves(rng, 0.02, (2, 6)))
    return Edge("patch", 0.0, (x, y), rng.uniform(0.15, 0.35), _waves(rng, 0.04, (2, 6), whole=True))


def _region(rng: np.random.Generator, stuff: str, edge: Edge) -> Region:
    level = stuff in ("sky", "hills", "water", "brick wall")
    turn = rng.normal(0, 0.03) if level else rng.uniform(0, 2 * np.pi)
    return Region(stuff, int(rng.integers(TEXTURE_VARIANTS)), edge, scale=rng.uniform(0.8, 1.5), turn=turn)


def _waves(
    rng: np.random.Generator, amplitude: float, frequencies: tuple[int, int], *, whole: bool = False
) -> tuple[tuple[float, float, float], ...]:
    """Two wobbles; around a patch their frequencies are whole numbers, so that the edge closes."""
    waves = []
    for share in (1.0, 0.5):
        frequency = float(rng.integers(*frequencies)) if whole else rng.uniform(*frequencies)
        waves.append((amplitude * share * rng.uniform(0.3, 1.0), frequency, rng.uniform(0, 2 * np.pi)))
    return tuple(waves)


def _pick(rng: np.random.Generator, names: Sequence[str]) -> str:
    return names[int(rng.integers(len(names)))]


def grid(size_hw: tuple[int, int], to_world: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """World x and y of every pixel's middle: (H, W) each. `to_world` (2, 3) maps pixels, corners at whole numbers."""
    columns = np.arange(size_hw[1], dtype=np.float32) + 0.5
    rows = (np.arange(size_hw[0], dtype=np.float32) + 0.5)[:, None]
    (a, b, c), (d, e, f) = to_world.astype(np.float32)
    return a * columns + b * rows + c, d * columns + e * rows + f

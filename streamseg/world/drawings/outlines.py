"""Pen and scissors: outlines of simple forms, and the parts that drawings are made of.

Coordinates are x to the right and y down, in whatever unit a drawing likes; `streamseg.world.shapes` fits every drawing
into the unit square. Angles are degrees, clockwise as seen, from the direction of x.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = [
    "Drawing",
    "Outline",
    "Part",
    "Role",
    "arc",
    "box",
    "curve",
    "ellipse",
    "joined",
    "layer",
    "mirrored",
    "polygon",
    "rounded",
    "smooth",
    "stroke",
    "symmetric",
    "turned",
]

Role = Literal["body", "shade", "light", "dark", "glass", "metal", "white", "hole"]
Outline = npt.NDArray[np.float32]
Points = Sequence[tuple[float, float]] | Outline

CURVE_STEPS = 10  # between two given points of a curve
CORNER_STEPS = 8
CAP_STEPS = 9
SHARPEST_JOINT = 0.4  # cosine of half the turn, below which a stroke's corner grows no further


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One piece of a drawing, laid over those before it.

    Attributes:
        outline: (N, 2) float32, a closed polygon, its last point joined to the first.
        role: what it is made of. `body` takes the object's colour and pattern, `shade` and `light` a darker and a
            lighter tone of the colour; `dark`, `glass`, `metal` and `white` have colours of their own; `hole` cuts
            through everything below.
    """

    outline: Outline
    role: Role


Drawing = tuple[Part, ...]


def layer(role: Role, *outlines: Outline) -> Drawing:
    """Parts of one role. Neighbours of one role grow together: the line around them runs around them all."""
    return tuple(Part(outline, role) for outline in outlines)


def polygon(*points: tuple[float, float]) -> Outline:
    return np.array(points, np.float32)


def rounded(points: Points, radius: float) -> Outline:
    """A polygon whose corners are cut short by `radius` along both edges and bridged by a parabola."""
    corners = np.asarray(points, np.float64)
    bridges = [
        _bridge(before, corner, after, radius)
        for before, corner, after in zip(np.roll(corners, 1, 0), corners, np.roll(corners, -1, 0), strict=True)
    ]
    return np.concatenate(bridges).astype(np.float32)


def _bridge(
    before: npt.NDArray[np.float64], corner: npt.NDArray[np.float64], after: npt.NDArray[np.float64], radius: float
) -> npt.NDArray[np.float64]:
    start, end = (corner + (other - corner) * min(0.5, radius / _length(other - corner)) for other in (before, after))
    t = np.linspace(0, 1, CORNER_STEPS)[:, None]
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t**2 * end


def _length(vector: npt.NDArray[np.float64]) -> float:
    return float(np.hypot(vector[0], vector[1]))


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> Outline:
    """An upright box, with rounded corners if a radius is given."""
    corners = polygon((left, top), (right, top), (right, bottom), (left, bottom))
    return rounded(corners, radius) if radius else corners


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float, steps: int = 24) -> Outline:
    """(steps, 2) points along an ellipse around (x, y), from one angle to another: an open line."""
    angles = np.radians(np.linspace(start, end, steps))
    return np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], 1).astype(np.float32)


def ellipse(x: float, y: float, rx: float, ry: float | None = None, turn: float = 0.0) -> Outline:
    """An ellipse around (x, y), or a circle, turned around its centre."""
    steps = 48
    line = arc(x, y, rx, rx if ry is None else ry, 0, 360 * (1 - 1 / steps), steps)
    return turned(line, turn, (x, y)) if turn else line


def curve(points: Points) -> Outline:
    """The open Catmull-Rom curve through the points; its ends are straight."""
    given = np.asarray(points, np.float32)
    ends = (2 * given[:1] - given[1:2], 2 * given[-1:] - given[-2:-1])
    spans = _catmull_rom(np.concatenate([ends[0], given, ends[1]]))
    return np.concatenate([spans, given[-1:]])


def smooth(points: Points) -> Outline:
    """The closed Catmull-Rom curve through the points."""
    given = np.asarray(points, np.float32)
    return _catmull_rom(np.concatenate([given[-1:], given, given[:2]]))


def _catmull_rom(points: Outline) -> Outline:
    """The curve between the second point and the last but one, without its end."""
    p0, p1, p2, p3 = (points[i : len(points) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, CURVE_STEPS, endpoint=False, dtype=np.float32)[None, :, None]
    spans = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return spans.reshape(-1, 2).astype(np.float32)


def stroke(points: Points, width: float, end_width: float | None = None) -> Outline:
    """The outline of a brush stroke with round ends, along an open line that does not cross itself.

    Args:
        points: at least two, no two neighbours equal.
        width: of the brush; where it ends, `end_width` if given.
    """
    line = np.asarray(points, np.float64)
    steps = np.diff(line, axis=0)
    directions = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    half = np.linspace(width, width if end_width is None else end_width, len(line))[:, None] / 2
    offset = half * _miters(directions)
    caps = (_cap(line[-1], directions[-1], half[-1, 0]), _cap(line[0], -directions[0], half[0, 0]))
    return np.concatenate([line + offset, caps[0], (line - offset)[::-1], caps[1]]).astype(np.float32)


def _miters(directions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, 2) from each point of a line to the edge of a stroke of half width 1 on its left, as seen."""
    before, after = np.concatenate([directions[:1], directions]), np.concatenate([directions, directions[-1:]])
    middle = before + after
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    longer = np.maximum((middle * after).sum(1, keepdims=True), SHARPEST_JOINT)
    return np.asarray(np.stack([middle[:, 1], -middle[:, 0]], 1) / longer)


def _cap(end: npt.NDArray[np.float64], direction: npt.NDArray[np.float64], radius: float) -> npt.NDArray[np.float64]:
    """Half a circle around a stroke's end, from its left edge to its right."""
    angles = np.radians(np.linspace(-90, 90, CAP_STEPS + 2)[1:-1])[:, None]
    across = np.array([-direction[1], direction[0]])
    return np.asarray(end + radius * (np.cos(angles) * direction + np.sin(angles) * across))


def mirrored(outline: Outline, x: float = 50.0) -> Outline:
    """The outline on the other side of an upright axis."""
    return np.stack([2 * np.float32(x) - outline[:, 0], outline[:, 1]], 1)


def symmetric(line: Outline, x: float = 50.0) -> Outline:
    """An open line and its mirror image, joined at both ends."""
    return joined(line, mirrored(line, x)[::-1])


def joined(*lines: Outline) -> Outline:
    """Open lines one after another, as one outline."""
    return np.concatenate(lines)


def turned(outline: Outline, degrees: float, center: tuple[float, float] = (50.0, 50.0)) -> Outline:
    """The outline turned clockwise around a point."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rotation = np.array([[cosine, sine], [-sine, cosine]])
    return np.asarray((outline - np.array(center)) @ rotation + np.array(center), np.float32)

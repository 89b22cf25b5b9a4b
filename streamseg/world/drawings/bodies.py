"""Plain bodies and signs. Units are hundredths of a drawing's width."""

import numpy as np

from .outlines import Drawing, Outline, arc, curve, ellipse, layer, polygon, rounded, stroke

__all__ = ["ball", "cube", "heart", "pyramid", "ring", "star"]


def ball() -> Drawing:
    seams = arc(2, 50, 27, 50, -50, 50), arc(98, 50, 27, 50, 130, 230), arc(50, 38, 49, 16, 15, 165)
    return (
        layer("body", ellipse(50, 50, 48))
        + layer("shade", *(stroke(seam, 2.2) for seam in seams), stroke(((50, 3), (50, 97)), 2.2))
        + layer("light", stroke(arc(50, 50, 39, 39, 205, 235), 5))
    )


def cube() -> Drawing:
    return (
        layer("body", polygon((2, 26), (72, 26), (72, 98), (2, 98)))
        + layer("light", polygon((2, 26), (28, 4), (98, 4), (72, 26)))
        + layer("shade", polygon((72, 26), (98, 4), (98, 74), (72, 98)))
    )


def pyramid() -> Drawing:
    courses = stroke(((31, 32), (52, 37)), 1.4), stroke(((16, 58), (61, 67)), 1.4)
    return layer("body", polygon((46, 6), (1, 85), (72, 96))) + layer(
        "shade", *courses, polygon((46, 6), (72, 96), (99, 76))
    )


def star() -> Drawing:
    return layer("body", rounded(_star(52, 24), 3)) + layer("light", _star(20, 9))


def _star(outer: float, inner: float) -> Outline:
    angles = np.radians(np.arange(10) * 36 - 90)
    radii = np.where(np.arange(10) % 2, inner, outer)
    return np.stack([50 + radii * np.cos(angles), 54 + radii * np.sin(angles)], 1).astype(np.float32)


def heart() -> Drawing:
    t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    outline = np.stack([50 + 3 * x, 46 + 3 * y], 1).astype(np.float32)
    return layer("body", outline) + layer("light", stroke(curve(((15, 36), (18, 24), (28, 17))), 6))


def ring() -> Drawing:
    return (
        layer("body", ellipse(50, 50, 48))
        + layer("hole", ellipse(50, 50, 27))
        + layer("light", stroke(arc(50, 50, 39, 39, 200, 250), 4))
        + layer("shade", stroke(arc(50, 50, 39, 39, 20, 70), 4))
    )

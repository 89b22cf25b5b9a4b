"""Plants. Units are hundredths of a drawing's height."""

from .outlines import (
    Drawing,
    arc,
    box,
    curve,
    ellipse,
    joined,
    layer,
    mirrored,
    polygon,
    rounded,
    smooth,
    stroke,
    turned,
)

__all__ = ["cactus", "flower", "mushroom", "tree"]


def tree() -> Drawing:
    crown = ((50, 20, 22, 18), (29, 34, 21, 17), (71, 34, 21, 17), (36, 52, 23, 17), (64, 52, 23, 17), (50, 40, 24, 20))
    tufts = (stroke(arc(x, y, 10, 8, 195, 315), 2.4) for x, y in ((38, 30), (62, 44), (32, 52)))
    return (
        layer("shade", rounded(((43, 60), (57, 60), (59, 88), (66, 97), (34, 97), (41, 88)), 3))
        + layer("body", *(ellipse(*tuft) for tuft in crown))
        + layer("shade", *tufts)
    )


def flower() -> Drawing:
    heart = (50.0, 33.0)
    petals = [turned(ellipse(50, 13, 11.5, 14), 60 * i, heart) for i in range(6)]
    veins = [turned(stroke(((50, 20), (50, 26)), 1.6), 60 * i, heart) for i in range(6)]
    leaf = smooth(((50, 90), (60, 72), (78, 68), (71, 84)))
    return (
        layer("shade", stroke(curve(((50, 40), (52, 66), (50, 97))), 5), leaf, mirrored(leaf))
        + layer("body", *petals[::2])
        + layer("shade", *veins[::2])
        + layer("body", *petals[1::2])
        + layer("shade", *veins[1::2])
        + layer("white", ellipse(*heart, 9))
        + layer("dark", *(ellipse(x, y, 1.5) for x, y in arc(*heart, 5, 5, 0, 300, 6)))
    )


def cactus() -> Drawing:
    right = stroke(curve(((58, 58), (72, 57), (79, 50), (80, 28))), 15)
    left = stroke(curve(((42, 66), (28, 65), (21, 58), (20, 40))), 15)
    spines = (
        ((64, 14), (64, 28), (64, 42), (64, 72), (86, 34), (86, 48)),
        ((64, 16), (64, 30), (64, 44), (86, 46), (83, 62)),
    )
    spikes = [[stroke(((x - 3, y), (x + 4, y - 3)), 2) for x, y in side] for side in spines]
    return (
        layer("dark", *spikes[0], *(mirrored(spike) for spike in spikes[1]))
        + layer("shade", rounded(((30, 84), (70, 84), (65, 99), (35, 99)), 2))
        + layer("body", box(36, 3, 64, 86, 13), left, right)
        + layer("shade", stroke(((50, 12), (50, 76)), 2))
        + layer("shade", box(26, 81, 74, 88, 3))
    )


def mushroom() -> Drawing:
    cap = joined(arc(50, 50, 48, 46, 180, 360), curve(((98, 50), (88, 59), (50, 61), (12, 59), (2, 50))))
    stem = ((38, 52), (38, 76), (31, 94), (50, 98), (69, 94), (62, 76), (62, 52))
    return (
        layer("white", smooth(stem))
        + layer("metal", polygon((38, 62), (62, 62), (61, 68), (39, 68)))
        + layer("body", cap)
        + layer("shade", ellipse(50, 56, 40, 4.5))
        + layer("light", stroke(arc(50, 50, 38, 36, 205, 250), 4))
    )

"""Animals, in the view that shows best what they are. Units are hundredths of a drawing's width."""

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
)

__all__ = ["bird", "butterfly", "cat", "elephant", "fish", "rabbit", "snail", "turtle"]


def eyes(*centers: tuple[float, float], radius: float) -> Drawing:
    """White eyes with dark pupils."""
    whites = (ellipse(x, y, radius) for x, y in centers)
    pupils = (ellipse(x, y, 0.58 * radius) for x, y in centers)
    return layer("white", *whites) + layer("dark", *pupils)


def fish() -> Drawing:
    flank = ((4, 52), (16, 36), (38, 26), (60, 33), (77, 48), (60, 67), (38, 75), (16, 66))
    return (
        layer(
            "shade", smooth(((28, 32), (44, 12), (62, 16), (66, 38))), smooth(((36, 70), (46, 90), (60, 86), (58, 64)))
        )
        + layer("body", smooth(flank), rounded(((68, 50), (95, 24), (89, 50), (96, 78)), 5))
        + layer("shade", stroke(arc(18, 51, 12, 20, -55, 55), 2.4), smooth(((42, 50), (60, 44), (63, 55), (57, 62))))
        + layer("dark", stroke(curve(((5, 55), (10, 58), (14, 57))), 2))
        + eyes((18, 44), radius=5.5)
    )


def bird() -> Drawing:
    torso = ((14, 28), (22, 17), (35, 14), (46, 22), (58, 35), (76, 45), (98, 50))
    belly = ((96, 60), (76, 66), (60, 74), (42, 76), (26, 68), (18, 52), (16, 40))
    return (
        layer("dark", stroke(((42, 72), (38, 94), (29, 95)), 3), stroke(((54, 72), (53, 94), (44, 95)), 3))
        + layer("dark", polygon((18, 24), (1, 34), (18, 39)))
        + layer("body", smooth(torso + belly))
        + layer("shade", smooth(((42, 44), (58, 42), (82, 55), (66, 62), (50, 59))))
        + layer("light", stroke(curve(((52, 52), (64, 55), (76, 57))), 2.4))
        + eyes((29, 28), radius=5)
    )


def cat() -> Drawing:
    torso = ((36, 48), (28, 66), (23, 86), (32, 97), (50, 96), (68, 97), (77, 86), (72, 66), (64, 48))
    tail = curve(((70, 92), (88, 88), (94, 72), (86, 56)))
    ear, inner = polygon((27, 30), (25, 1), (47, 14)), polygon((31, 20), (30, 9), (39, 14))
    whiskers = stroke(((30, 39), (13, 36)), 1.6), stroke(((30, 43), (14, 46)), 1.6)
    return (
        layer("body", stroke(tail, 10, 7))
        + layer("shade", stroke(tail[-7:], 8, 7))
        + layer("body", smooth(torso))
        + layer("light", ellipse(50, 76, 10, 15))
        + layer("shade", stroke(((43, 84), (43, 95)), 2), stroke(((57, 84), (57, 95)), 2))
        + layer("body", ellipse(50, 33, 26, 22), ear, mirrored(ear))
        + layer("shade", inner, mirrored(inner))
        + eyes((40, 30), (60, 30), radius=5.5)
        + layer("dark", polygon((46, 39), (54, 39), (50, 44)), *whiskers, *(mirrored(line) for line in whiskers))
    )


def rabbit() -> Drawing:
    back = ((24, 62), (40, 50), (62, 46), (82, 56), (90, 76), (82, 92), (56, 94), (34, 92), (24, 78))
    ear = ellipse(22, 20, 7, 21, -10)
    return (
        layer("white", ellipse(91, 77, 8.5))
        + layer("shade", ellipse(37, 22, 6.5, 21, 16))
        + layer("body", smooth(back), ellipse(24, 50, 19, 16), ear)
        + layer("light", ellipse(22, 21, 3, 14, -10))
        + layer("shade", stroke(arc(70, 74, 17, 17, 160, 300), 2.2))
        + layer("body", ellipse(38, 94, 13, 5), ellipse(72, 94, 17, 5.5))
        + layer("dark", ellipse(7, 50, 3.4))
        + eyes((19, 45), radius=5)
    )


def elephant() -> Drawing:
    trunk = stroke(curve(((16, 40), (8, 58), (8, 78), (18, 88), (24, 82))), 16, 8)
    ear = smooth(((32, 20), (50, 18), (56, 36), (48, 56), (38, 52), (33, 38)))
    return (
        layer("dark", stroke(curve(((92, 44), (98, 56), (96, 68))), 3))
        + layer("shade", box(44, 66, 56, 93, 3), box(70, 66, 82, 93, 3))
        + layer("body", ellipse(63, 47, 33, 27), ellipse(27, 36, 20, 21), trunk)
        + layer("body", box(33, 58, 47, 95, 4), box(80, 50, 94, 95, 4))
        + layer("shade", ear)
        + layer("white", stroke(curve(((20, 54), (22, 64), (30, 67))), 5, 2))
        + layer("white", *(ellipse(x, 93, 2.4, 2) for x in (37, 43, 84, 90)))
        + eyes((19, 31), radius=4)
    )


def turtle() -> Drawing:
    shell = joined(arc(44, 69, 44, 52, 180, 360), polygon((91, 75), (-3, 75)))
    foot = rounded(((14, 68), (31, 68), (28, 88), (5, 88), (5, 82), (13, 79)), 4)
    scute = rounded(((33, 32), (55, 32), (64, 48), (54, 62), (34, 62), (24, 48)), 2)
    seams = ((33, 33), (26, 24)), ((55, 33), (62, 24)), ((24, 48), (5, 50)), ((64, 48), (83, 50))
    return (
        layer("shade", foot, mirrored(foot, 44), polygon((2, 66), (-10, 76), (4, 73)))
        + layer("shade", stroke(curve(((80, 68), (91, 61), (97, 49))), 11), ellipse(101, 45, 11, 9))
        + layer("body", shell)
        + layer("shade", *(stroke(seam, 1.6) for seam in seams), stroke(joined(scute, scute[:1]), 1.6))
        + layer("body", scute)
        + layer("shade", stroke(((1, 69), (87, 69)), 1.6))
        + eyes((103, 42), radius=3.8)
    )


def butterfly() -> Drawing:
    upper = smooth(((49, 46), (40, 24), (22, 6), (5, 8), (3, 28), (12, 46), (30, 53)))
    lower = smooth(((49, 50), (28, 54), (13, 66), (16, 84), (30, 93), (42, 80)))
    feeler = stroke(curve(((49, 26), (44, 12), (36, 5))), 2)
    high_spot, low_spot = ellipse(18, 24, 6, 7.5, -30), ellipse(27, 74, 5, 6, 30)
    return (
        layer("dark", feeler, mirrored(feeler), ellipse(36, 5, 2.6), ellipse(64, 5, 2.6))
        + layer("body", lower, mirrored(lower))
        + layer("light", low_spot, mirrored(low_spot))
        + layer("body", upper, mirrored(upper))
        + layer("light", high_spot, mirrored(high_spot))
        + layer("dark", ellipse(50, 52, 4.5, 27), ellipse(50, 26, 5.5))
    )


def snail() -> Drawing:
    foot = ((10, 95), (6, 82), (3, 64), (7, 55), (16, 55), (19, 64), (25, 80), (50, 86), (80, 86), (99, 95), (60, 97))
    horns = ((7, 58), (2, 40)), ((14, 58), (16, 38))
    turns = [(59 + r * x, 49 + r * y) for r, (x, y) in _spiral()]
    return (
        layer("dark", *(stroke(horn, 2.4) for horn in horns), *(ellipse(*horn[1], 3) for horn in horns))
        + layer("light", smooth(foot))
        + layer("body", ellipse(59, 49, 39))
        + layer("shade", stroke(turns, 2.6))
        + layer("dark", stroke(curve(((5, 69), (9, 72), (14, 70))), 1.8))
    )


def _spiral() -> list[tuple[float, tuple[float, float]]]:
    """Radius and direction along two turns of a shell."""
    angles = range(110, 110 + 630, 15)
    directions = arc(0, 0, 1, 1, angles[0], angles[-1], len(angles))
    return [(5 + 33 * (1 - i / len(angles)), (float(x), float(y))) for i, (x, y) in enumerate(directions)]

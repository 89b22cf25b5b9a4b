"""Tools, household goods and an instrument. Units are hundredths of a drawing's longer side."""

from .outlines import Drawing, arc, box, curve, ellipse, joined, layer, mirrored, polygon, rounded, smooth, stroke

__all__ = ["bottle", "chair", "cup", "guitar", "hammer", "key", "scissors", "umbrella"]


def hammer() -> Drawing:
    claw = smooth(((34, 8), (20, 9), (6, 20), (2, 34), (14, 26), (24, 25), (34, 28)))
    return (
        layer("body", rounded(((43, 24), (57, 24), (60, 98), (40, 98)), 4))
        + layer("metal", claw, box(70, 4, 84, 34, 3))
        + layer("body", box(30, 7, 74, 31, 3))
        + layer("shade", box(39, 84, 61, 89, 2), box(39, 92, 61, 97, 2), box(42, 31, 58, 35, 1))
    )


def scissors() -> Drawing:
    blade = rounded(((44, 58), (66, 2), (69, 6), (57, 62)), 1)
    shank = stroke(((50, 53), (33, 72)), 12)
    loop, hole = ellipse(26, 80, 18, 19, 25), ellipse(26, 80, 9, 10, 25)
    return (
        layer("metal", blade, mirrored(blade))
        + layer("body", mirrored(shank), mirrored(loop))
        + layer("hole", mirrored(hole))
        + layer("body", shank, loop)
        + layer("hole", hole)
        + layer("dark", ellipse(50, 53, 3.4))
    )


def key() -> Drawing:
    return (
        layer("body", ellipse(25, 50, 25), box(40, 43, 98, 57, 3), box(70, 52, 80, 77, 1), box(87, 52, 97, 73, 1))
        + layer("hole", ellipse(19, 50, 10))
        + layer("shade", box(48, 40, 55, 60, 2))
    )


def umbrella() -> Drawing:
    scallops = [arc(x, 52, 12, 9, 0, -180, 12) for x in (86, 62, 38, 14)]
    ribs = [stroke(curve(((50, 8), (50 + 0.62 * (x - 50), 26), (x, 50))), 2) for x in (26, 50.01, 74)]
    return (
        layer("dark", stroke(((50, 2), (50, 80)), 4), stroke(arc(41, 82, 9, 13, 0, 180), 4.6))
        + layer("body", joined(arc(50, 52, 48, 44, 180, 360), *scallops))
        + layer("shade", *ribs)
    )


def cup() -> Drawing:
    return (
        layer("body", ellipse(74, 50, 23, 23))
        + layer("hole", ellipse(75, 50, 12, 12.5))
        + layer("body", rounded(((4, 14), (72, 14), (68, 90), (8, 90)), 9))
        + layer("shade", ellipse(38, 15, 34, 7.5), box(8, 82, 68, 86))
        + layer("dark", ellipse(38, 16, 28, 4.6))
    )


def bottle() -> Drawing:
    side = rounded(((40, 8), (60, 8), (60, 30), (73, 46), (73, 99), (27, 99), (27, 46), (40, 30)), 7)
    return (
        layer("body", side)
        + layer("dark", box(38, 1, 62, 14, 2))
        + layer("white", box(27, 60, 73, 78))
        + layer("shade", stroke(((36, 69), (64, 69)), 3), box(40, 22, 60, 26))
        + layer("light", stroke(((34, 48), (34, 55)), 4))
    )


def guitar() -> Drawing:
    side = ((50, 36), (61, 36), (68, 44), (66, 56), (74, 68), (76, 84), (66, 96), (50, 99))
    pegs = [ellipse(x, y, 2.6) for x in (40, 60) for y in (4, 10)]
    return (
        layer("metal", *pegs)
        + layer("shade", rounded(((43, 0), (57, 0), (55, 15), (45, 15)), 2))
        + layer("body", smooth(side + tuple((100 - x, y) for x, y in side[-2:0:-1])))
        + layer("dark", box(46, 13, 54, 54, 1), ellipse(50, 60, 8))
        + layer("dark", box(39, 80, 61, 84, 1))
        + layer("metal", stroke(((48.6, 14), (48.6, 81)), 0.8), stroke(((51.4, 14), (51.4, 81)), 0.8))
    )


def chair() -> Drawing:
    return (
        layer("shade", box(16, 58, 23, 88, 1), box(60, 60, 67, 86, 1))
        + layer("body", box(16, 2, 68, 60, 5))
        + layer("hole", box(24, 11, 36, 46, 3), box(48, 11, 60, 46, 3))
        + layer("light", polygon((16, 55), (67, 55), (86, 69), (33, 69)))
        + layer("body", polygon((33, 69), (86, 69), (86, 77), (33, 77)), box(33, 70, 41, 99, 1), box(78, 70, 86, 99, 1))
    )

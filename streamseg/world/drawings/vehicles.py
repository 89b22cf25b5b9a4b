"""Vehicles, seen from the side; they drive to the right. Units are hundredths of a drawing's width."""

from .outlines import (
    Drawing,
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
    symmetric,
)

__all__ = ["airplane", "bicycle", "bus", "car", "rocket", "sailboat", "train", "truck"]


def wheels(centers: tuple[float, ...], y: float, radius: float) -> Drawing:
    """Tyres and hubs in a row."""
    tyres = (ellipse(x, y, radius) for x in centers)
    hubs = (ellipse(x, y, 0.42 * radius) for x in centers)
    return layer("dark", *tyres) + layer("metal", *hubs)


def car() -> Drawing:
    shell = ((2, 60), (4, 45), (21, 41), (34, 21), (67, 21), (81, 41), (94, 46), (98, 58), (97, 70), (3, 70))
    return (
        layer("body", rounded(shell, 6))
        + layer("glass", rounded(((31, 41), (39, 28), (49, 28), (49, 41)), 2))
        + layer("glass", rounded(((54, 28), (63, 28), (71, 41), (54, 41)), 2))
        + layer("shade", box(3, 66.5, 97, 70, 2), box(54, 48, 61, 50, 1))
        + layer("white", ellipse(93, 53, 3.4, 3))
        + wheels((24, 76), 71, 10)
    )


def bus() -> Drawing:
    windows = (box(x, 24, x + 13, 38, 2) for x in (8, 25, 42, 59))
    return (
        layer("body", box(2, 15, 98, 72, 8))
        + layer("glass", *windows)
        + layer("glass", rounded(((78, 24), (93, 24), (96.5, 42), (78, 42)), 2))
        + layer("shade", box(2, 66, 98, 69))
        + layer("white", ellipse(94, 57, 3))
        + wheels((23, 76), 73, 9)
    )


def truck() -> Drawing:
    cab = ((66, 66), (66, 29), (82, 29), (89, 45), (97, 48), (99, 66))
    return (
        layer("dark", box(4, 62, 97, 71, 2))
        + layer("body", box(2, 10, 62, 65, 2))
        + layer("shade", box(2, 57, 62, 61))
        + layer("body", rounded(cab, 3))
        + layer("glass", rounded(((72, 34), (80, 34), (85, 46), (72, 46)), 2))
        + layer("white", ellipse(96, 54, 2.6))
        + wheels((16, 37, 84), 72, 10)
    )


def bicycle() -> Drawing:
    rear, front, crank, seat, head = (22.0, 66.0), (78.0, 66.0), (46.0, 67.0), (38.0, 38.0), (67.0, 36.0)
    frame = ((rear, seat), (rear, crank), (seat, crank), (seat, head), (crank, head), (head, front))
    return (
        layer("body", *(ellipse(*hub, 21) for hub in (rear, front)))
        + layer("hole", *(ellipse(*hub, 13.5) for hub in (rear, front)))
        + layer("dark", stroke((seat, (36, 30)), 4), stroke((head, (64, 22), (76, 20)), 4.5))
        + layer("body", *(stroke(tube, 6.5) for tube in frame))
        + layer("dark", smooth(((26, 26), (36, 25), (47, 28), (36, 32), (27, 31))))
        + layer("metal", ellipse(*crank, 5), ellipse(*rear, 3.5), ellipse(*front, 3.5))
    )


def airplane() -> Drawing:
    fuselage = ((3, 47), (12, 43), (34, 41), (70, 41), (88, 44), (98, 52), (88, 58), (62, 61), (32, 59), (12, 54))
    return (
        layer("shade", polygon((50, 44), (33, 16), (43, 16), (70, 44)))
        + layer("body", smooth(fuselage), polygon((4, 48), (1, 22), (11, 22), (27, 43)))
        + layer("glass", rounded(((83, 45), (89, 46), (93, 50), (83, 50)), 2))
        + layer("glass", *(ellipse(x, 48, 2.2) for x in (36, 44, 52, 60, 68)))
        + layer("body", rounded(((37, 54), (64, 54), (34, 87), (22, 87)), 2))
        + layer("shade", rounded(((9, 49), (22, 49), (8, 63), (1, 63)), 1))
    )


def sailboat() -> Drawing:
    mainsail = joined(curve(((50, 6), (77, 32), (93, 66))), polygon((50, 66)))
    jib = joined(curve(((10, 66), (32, 44), (47, 14))), polygon((47, 66)))
    return (
        layer("dark", box(46.5, 3, 50.5, 76, 1))
        + layer("body", rounded(((4, 72), (97, 72), (84, 95), (18, 95)), 5))
        + layer("shade", box(9.5, 78, 93, 83, 1))
        + layer("body", mainsail)
        + layer("white", jib)
    )


def train() -> Drawing:
    return (
        layer("dark", polygon((86, 62), (99, 84), (80, 84)))
        + layer("body", box(30, 36, 91, 70, 7), box(5, 19, 38, 72, 2), ellipse(55, 37, 8, 10))
        + layer("body", polygon((72, 38), (69, 14), (87, 14), (84, 38)))
        + layer("dark", box(1, 13, 42, 19, 3), box(66, 9, 90, 15, 3))
        + layer("glass", box(13, 27, 29, 40, 2))
        + layer("shade", box(4, 69, 90, 73, 2), box(63, 36.5, 66, 69))
        + layer("white", ellipse(91, 50, 3.6))
        + wheels((17, 42, 67), 78, 9.5)
    )


def rocket() -> Drawing:
    side = curve(((50, 0), (66, 18), (74, 42), (71, 64), (62, 82)))
    nose = side[side[:, 1] <= 17]
    fin = rounded(((66, 52), (93, 74), (92, 95), (60, 80)), 3)
    return (
        layer("light", smooth(((42, 86), (58, 86), (54, 94), (50, 100), (46, 94))))
        + layer("dark", polygon((41, 78), (59, 78), (63, 88), (37, 88)))
        + layer("body", fin, mirrored(fin))
        + layer("shade", *(stroke(((x, 76), (x + 0.28 * (x - 50), 86)), 2) for x in (22, 78)))
        + layer("body", symmetric(side))
        + layer("shade", symmetric(nose))
        + layer("metal", ellipse(50, 40, 9.5))
        + layer("glass", ellipse(50, 40, 6.5))
        + layer("shade", stroke(((50, 66), (50, 88)), 4))
    )

"""The drawings: complete, in bounds, mostly body, and each its own silhouette; and the pen that draws them."""

import cv2
import numpy as np
import pytest

from streamseg.errors import ConfigError
from streamseg.world.drawings.outlines import (
    Outline,
    arc,
    box,
    curve,
    ellipse,
    layer,
    mirrored,
    polygon,
    rounded,
    smooth,
    stroke,
    symmetric,
    turned,
)
from streamseg.world.names import SHAPES
from streamseg.world.shapes import DRAWINGS, EXTENT, drawing
from streamseg.world.sprites import INKS, role_map

NAMES = [shape.name for shape in SHAPES]
MOST_ALIKE = 0.86  # intersection over union; a ball in a cube has 0.84
FINE = 480  # pixels

every_shape = pytest.mark.parametrize("name", NAMES)


def area(outline: Outline) -> float:
    """By the shoelace formula; negative if it runs the other way round."""
    x, y = outline.astype(np.float64).T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)


def silhouette(name: str) -> np.ndarray:
    return role_map(name, FINE) != INKS.index("hole")


def test_every_shape_is_drawn_and_nothing_else() -> None:
    assert sorted(DRAWINGS) == sorted(NAMES)


def test_an_unknown_shape_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'lamp'.*car, bus"):
        drawing("lamp")


@every_shape
def test_a_drawing_fills_its_square(name: str) -> None:
    points = np.concatenate([part.outline for part in drawing(name)])
    low, high = points.min(0), points.max(0)
    assert (high - low).max() == pytest.approx(EXTENT, abs=1e-4)
    np.testing.assert_allclose((low + high) / 2, 0.5, atol=1e-4)


@every_shape
def test_outlines_are_polygons_with_an_area(name: str) -> None:
    for part in drawing(name):
        assert part.outline.dtype == np.float32
        assert part.outline.ndim == 2
        assert part.outline.shape[1] == 2
        assert len(part.outline) >= 3
        assert np.isfinite(part.outline).all()
        assert abs(area(part.outline)) > 1e-5


@every_shape
def test_most_of_a_thing_is_in_its_colour(name: str) -> None:
    inks = role_map(name, FINE)
    assert (inks == INKS.index("body")).sum() > 0.5 * silhouette(name).sum()


@every_shape
def test_no_part_is_hidden_by_later_ones(name: str) -> None:
    """Without any one part, the picture would be another."""
    parts, whole = drawing(name), painted(name)
    for index in range(len(parts)):
        without = np.zeros_like(whole)
        for part in (*parts[:index], *parts[index + 1 :]):
            fill(without, part.outline, INKS.index(part.role))
        assert (without != whole).any(), f"part {index}, {parts[index].role}"


def painted(name: str) -> np.ndarray:
    canvas = np.zeros((FINE, FINE), np.uint8)
    for part in drawing(name):
        fill(canvas, part.outline, INKS.index(part.role))
    return canvas


def fill(canvas: np.ndarray, outline: Outline, ink: int) -> None:
    cv2.fillPoly(canvas, [np.rint(outline * len(canvas)).astype(np.int32)], ink)


@every_shape
def test_a_thing_is_in_one_piece(name: str) -> None:
    count, _ = cv2.connectedComponents(silhouette(name).astype(np.uint8))
    assert count == 2  # the background, and it


@every_shape
def test_no_other_shape_has_this_silhouette(name: str) -> None:
    own = silhouette(name)
    for other in NAMES:
        if other != name:
            its = silhouette(other)
            assert (own & its).sum() < MOST_ALIKE * (own | its).sum(), other


@pytest.mark.parametrize(
    ("name", "holes"),
    [("ring", 1), ("cup", 1), ("key", 1), ("scissors", 2), ("chair", 2), ("ball", 0), ("heart", 0), ("car", 0)],
)
def test_holes_are_enclosed_and_empty(name: str, holes: int) -> None:
    count, _ = cv2.connectedComponents((~silhouette(name)).astype(np.uint8))
    assert count - 2 == holes  # less the silhouette, and what lies around it


def test_an_ellipse_has_its_area_and_keeps_it_when_turned() -> None:
    upright, leaning = ellipse(50, 40, 20, 10), ellipse(50, 40, 20, 10, turn=30)
    assert area(upright) == pytest.approx(np.pi * 200, rel=0.01)
    assert area(leaning) == pytest.approx(area(upright), rel=1e-4)
    tip = leaning[0]  # its right end went clockwise, which is down
    np.testing.assert_allclose(tip, (50 + 20 * np.cos(np.pi / 6), 50), atol=1e-4)


def test_an_arc_runs_clockwise_from_the_right() -> None:
    np.testing.assert_allclose(arc(0, 0, 2, 1, 0, 90, 3)[[0, -1]], [(2, 0), (0, 1)], atol=1e-6)


def test_rounding_cuts_corners_only() -> None:
    sharp, soft = box(0, 0, 10, 6), box(0, 0, 10, 6, 2)
    np.testing.assert_allclose((soft.min(0), soft.max(0)), (sharp.min(0), sharp.max(0)), atol=1e-6)
    cut_per_corner = 2 * 2 / 6  # between a corner and its parabola
    assert area(sharp) - area(soft) == pytest.approx(4 * cut_per_corner, rel=0.05)


def test_a_radius_beyond_half_an_edge_is_cut_back() -> None:
    np.testing.assert_allclose(rounded(box(0, 0, 4, 4), 100), rounded(box(0, 0, 4, 4), 2), atol=1e-6)


def test_curves_pass_through_their_points() -> None:
    points = polygon((0, 0), (10, 5), (20, 0), (12, -8))
    for line in (curve(points), smooth(points)):
        for point in points:
            assert np.linalg.norm(line - point, axis=1).min() < 1e-5
    np.testing.assert_allclose(curve(points)[-1], points[-1])


def test_a_stroke_has_width_and_round_ends() -> None:
    line = stroke(((0, 0), (30, 0)), 4)
    assert abs(area(line)) == pytest.approx(30 * 4 + np.pi * 2**2, rel=0.01)
    np.testing.assert_allclose((line.min(0), line.max(0)), ((-2, -2), (32, 2)), atol=1e-5)


def test_a_stroke_tapers() -> None:
    line = stroke(((0, 0), (30, 0)), 8, 2)
    assert abs(area(line)) == pytest.approx(30 * 5 + np.pi * (4**2 + 1**2) / 2, rel=0.01)


def test_a_stroke_keeps_its_width_around_a_corner() -> None:
    line = stroke(((0, 0), (20, 0), (20, 20)), 4)
    assert any(np.allclose(point, (22, -2), atol=1e-4) for point in line)
    assert any(np.allclose(point, (18, 2), atol=1e-4) for point in line)


def test_mirror_and_turn() -> None:
    corner = polygon((60, 50), (80, 50), (80, 60))
    np.testing.assert_allclose(mirrored(corner), [(40, 50), (20, 50), (20, 60)])
    np.testing.assert_allclose(turned(corner, 90), [(50, 60), (50, 80), (40, 80)], atol=1e-4)
    assert abs(area(symmetric(polygon((50, 0), (60, 0), (60, 20), (50, 20))))) == pytest.approx(400)


def test_a_layer_gives_all_its_outlines_one_role() -> None:
    parts = layer("glass", box(0, 0, 1, 1), box(2, 0, 3, 1))
    assert [part.role for part in parts] == ["glass", "glass"]

"""Where stuff lies: what each kind of edge encloses, and what sceneries are made of."""

import math

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from streamseg.world.layout import Edge, Region, grid, inside, random_layout
from streamseg.world.names import STUFF
from streamseg.world.seeds import generator
from streamseg.world.snapshot import Camera
from streamseg.world.textures import TEXTURE_VARIANTS

EDGES = [
    Edge("everywhere"),
    Edge("side", math.pi / 2 + 0.1, (0.0, 0.1), waves=((0.02, 7.5, 1.0), (0.01, 4.0, 2.0))),
    Edge("band", 0.7, (0.2, -0.1), 0.1, ((0.02, 5.0, 0.3),)),
    Edge("patch", 0.0, (-0.3, 0.2), 0.25, ((0.04, 3.0, 0.5),)),
]
SAMPLES = range(60)


def layouts() -> list[tuple[Region, ...]]:
    return [random_layout(generator("test layout", seed)) for seed in SAMPLES]


def at(edge: Edge, *points: tuple[float, float]) -> list[bool]:
    x, y = np.array(points, np.float64).T
    return [bool(value > 0) for value in inside(edge, x, y)]


def world_grid(count: int = 41) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    x, y = np.meshgrid(np.linspace(-0.9, 0.9, count), np.linspace(-0.5, 0.5, count))
    return x.astype(np.float32), y.astype(np.float32)


def test_everywhere() -> None:
    assert all(at(Edge("everywhere"), (0, 0), (-9, 9)))


def test_a_side_lies_beyond_its_line() -> None:
    below = Edge("side", math.pi / 2, (0.0, 0.1))
    assert at(below, (5, 0.11), (-5, 0.09)) == [True, False]
    right = Edge("side", 0.0, (0.1, 0.0))
    assert at(right, (0.11, 5), (0.09, -5)) == [True, False]


def test_a_band_lies_along_its_line() -> None:
    band = Edge("band", math.pi / 2, (0.0, 0.2), reach=0.1)
    assert at(band, (7, 0.2), (-7, 0.29), (0, 0.31), (0, 0.09)) == [True, True, False, False]


def test_a_patch_lies_around_its_middle() -> None:
    patch = Edge("patch", origin=(0.5, 0.2), reach=0.3)
    assert at(patch, (0.5, 0.2), (0.79, 0.2), (0.81, 0.2), (0.5, -0.11)) == [True, True, False, False]


def test_waves_move_the_line_along_its_normal() -> None:
    wavy = Edge("side", math.pi / 2, waves=((0.05, 2.0, 0.0),))
    # The line's direction is the normal turned back by a quarter: along the horizon, minus x.
    crest, trough = -math.pi / 4, math.pi / 4
    assert at(wavy, (crest, -0.049), (crest, -0.051), (trough, 0.051), (trough, 0.049)) == [True, False, True, False]


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: edge.kind)
def test_torch_and_numpy_agree(edge: Edge) -> None:
    x, y = world_grid()
    expected = inside(edge, x, y)
    found = inside(edge, torch.from_numpy(x), torch.from_numpy(y), torch)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-6)


def test_a_scenery_leaves_nothing_bare_and_repeats_no_stuff() -> None:
    for regions in layouts():
        assert regions[0].edge.kind == "everywhere"
        stuff = [region.stuff for region in regions]
        assert len(stuff) == len(set(stuff))
        assert all(0 <= region.variant < TEXTURE_VARIANTS for region in regions)


def test_sceneries_use_all_stuff_and_all_kinds_of_edge() -> None:
    regions = [region for layout in layouts() for region in layout]
    assert {region.stuff for region in regions} == {entry.name for entry in STUFF}
    assert {region.edge.kind for region in regions} == {"everywhere", "side", "band", "patch"}


def test_sky_is_above() -> None:
    """Where there is sky, it holds the top of the frame, and the ground the bottom."""
    skies = [regions for regions in layouts() if regions[0].stuff == "sky"]
    assert len(skies) > 10
    for regions in skies:
        covered_top = [at(region.edge, (0.0, -0.49))[0] for region in regions[1:]]
        covered_bottom = [at(region.edge, (0.0, 0.49))[0] for region in regions[1:]]
        assert not any(covered_top[:1])
        assert any(covered_bottom)


def test_the_edge_of_a_patch_closes() -> None:
    patches = [region.edge for layout in layouts() for region in layout if region.edge.kind == "patch"]
    assert patches
    for edge in patches:
        x, y = edge.origin[0] - edge.reach, edge.origin[1]
        above, below = inside(edge, np.array([x, x]), np.array([y - 1e-9, y + 1e-9]))
        assert above == pytest.approx(below, abs=1e-6)


def test_the_same_generator_gives_the_same_scenery() -> None:
    assert random_layout(generator("a", 1)) == random_layout(generator("a", 1))
    assert random_layout(generator("a", 1)) != random_layout(generator("a", 2))


def test_the_grid_is_where_the_camera_looks() -> None:
    size_hw = (6, 10)
    camera = Camera(x=0.3, y=-0.2, zoom=1.5, roll=0.2)
    to_pixels = camera.to_pixels(size_hw)
    x, y = grid(size_hw, cv2.invertAffineTransform(to_pixels).astype(np.float64))
    assert x.shape == y.shape == size_hw
    for row, column in ((0, 0), (5, 9), (2, 7)):
        pixel = to_pixels @ (x[row, column], y[row, column], 1.0)
        np.testing.assert_allclose(pixel, (column + 0.5, row + 0.5), atol=1e-5)


def test_the_camera_looks_at_its_middle() -> None:
    to_pixels = Camera(x=0.3, y=-0.2, zoom=2.0, roll=0.1).to_pixels((100, 180))
    np.testing.assert_allclose(to_pixels @ (0.3, -0.2, 1.0), (90.0, 50.0))
    assert math.sqrt(np.linalg.det(to_pixels[:, :2])) == pytest.approx(200)  # pixels a unit

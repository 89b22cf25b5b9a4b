"""Points: where they are drawn, and what masks are worth there."""

import pytest
import torch

from streamseg.fcclip.point_sampling import sample_maps, sample_masks, uncertain_points, uniform_points
from tests.fcclip.loops import value_at

CPU = torch.device("cpu")


def test_values_equal_loops() -> None:
    torch.manual_seed(0)
    maps, points = torch.randn(2, 3, 4, 6), torch.rand(2, 9, 2)
    points[0, 0], points[0, 1], points[0, 2] = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.999, 0.001]])
    values = sample_maps(maps, points)
    assert values.shape == (2, 3, 9)
    for image in range(2):
        for channel in range(3):
            expected = [value_at(maps[image, channel].double(), x, y) for x, y in points[image].tolist()]
            assert values[image, channel].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("size", [(4, 6), (1, 1), (33, 17)])
def test_bool_masks_are_sampled_like_float_maps(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    masks = [torch.rand(count, *size) > 0.5 for count in (3, 0, 2)]
    points = torch.rand(5, 200, 2)
    points[:, 0], points[:, 1] = 0.0, 1.0
    values = sample_masks(masks, points, [3, 0, 2])
    assert [tuple(value.shape) for value in values] == [(3, 200), (0, 200), (2, 200)]
    expected = sample_maps(torch.cat(masks).float().unsqueeze(1), points).squeeze(1)
    torch.testing.assert_close(torch.cat(values), expected, atol=1e-5, rtol=0)


def test_masks_may_share_points() -> None:
    torch.manual_seed(0)
    masks = [torch.rand(count, 8, 8) > 0.5 for count in (3, 0, 2)]
    points = torch.rand(3, 50, 2)
    shared = sample_masks(masks, points, [1, 1, 1])
    own = sample_masks(masks, torch.cat([points[:1].expand(3, -1, -1), points[2:].expand(2, -1, -1)]), [3, 0, 2])
    assert torch.equal(torch.cat(shared), torch.cat(own))


def test_one_point_is_one_place_at_every_resolution() -> None:
    """A ramp from 0 to 1 keeps its value, but for the half pixel at each edge."""
    points = 0.2 + 0.6 * torch.rand(1, 100, 2)
    for width in (10, 40, 160):
        ramp = ((torch.arange(width) + 0.5) / width).expand(1, 1, width, width)
        torch.testing.assert_close(sample_maps(ramp, points)[0, 0], points[0, :, 0])


def test_an_images_points_depend_on_its_seed_and_the_stream_alone() -> None:
    together = uniform_points([2, 0, 3], 7, [5, 6, 7], (1, 0), CPU)
    assert together.shape == (5, 7, 2)
    assert torch.equal(together[2:], uniform_points([3], 7, [7], (1, 0), CPU))
    assert torch.equal(together[:2], uniform_points([1, 2], 7, [9, 5], (1, 0), CPU)[1:])
    others = [uniform_points([2], 7, [seed], stream, CPU) for seed, stream in ((5, (2, 0)), (5, (1, 1)), (6, (1, 0)))]
    assert not any(torch.equal(together[:2], other) for other in others)


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64 - 1])
def test_any_integer_is_a_seed(seed: int) -> None:
    points = uniform_points([1], 1000, [seed], (0, 0), CPU)
    assert points.min() >= 0
    assert points.max() < 1
    assert points.mean(1)[0].tolist() == pytest.approx([0.5, 0.5], abs=0.05)


def test_seeds_that_differ_in_high_bits_differ() -> None:
    low, high = (uniform_points([1], 5, [seed], (0,), CPU) for seed in (3, 3 + 2**40))
    assert not torch.equal(low, high)


def test_the_most_uncertain_candidates_are_kept() -> None:
    torch.manual_seed(0)
    maps, candidates = torch.randn(3, 8, 8), torch.rand(3, 40, 2)
    kept = uncertain_points(maps, candidates, 10)
    assert kept.shape == (3, 10, 2)
    distance = sample_maps(maps.unsqueeze(1), candidates).squeeze(1).abs()
    for row in range(3):
        expected = candidates[row, distance[row].argsort()[:10]]
        assert {tuple(point) for point in kept[row].tolist()} == {tuple(point) for point in expected.tolist()}


def test_no_masks_no_points() -> None:
    assert uncertain_points(torch.zeros(0, 4, 4), torch.zeros(0, 30, 2), 10).shape == (0, 10, 2)
    assert uniform_points([0, 0], 4, [1, 2], (0,), CPU).shape == (0, 4, 2)

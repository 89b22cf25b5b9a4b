"""Cues and gates against loops."""

import numpy as np
import pytest
import torch

from streamseg.config.tracking import TrackingSettings
from streamseg.tracking.cost import FORBIDDEN, cost_of, gate, mask_iou, shifted, similarity


def random_masks(count: int, seed: int) -> torch.Tensor:
    return (torch.rand(count, 7, 9, generator=torch.Generator().manual_seed(seed)) > 0.6).float()


def test_iou_of_binary_masks_is_intersection_over_union() -> None:
    first, second = random_masks(5, 0), random_masks(3, 1)
    second[2] = 0
    found = mask_iou(first, second)
    for t in range(5):
        for n in range(3):
            a, b = first[t] > 0, second[n] > 0
            assert float(found[t, n]) == pytest.approx(float((a & b).sum() / (a | b).sum()), abs=1e-6)


def test_iou_of_equal_partial_coverage_is_one() -> None:
    mask = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert float(mask_iou(mask, mask)) == pytest.approx(1)


@pytest.mark.parametrize("offset", [(0, 0), (2, -3), (-1, 4), (50, 0), (0, -50)])
def test_shifted_masks_leave_and_nothing_comes_in(offset: tuple[int, int]) -> None:
    masks = random_masks(2, 0)
    found = shifted(masks, torch.tensor([offset, (0, 1)]))
    for y in range(7):
        for x in range(9):
            from_y, from_x = y - offset[0], x - offset[1]
            inside = 0 <= from_y < 7 and 0 <= from_x < 9
            assert found[0, y, x] == (masks[0, from_y, from_x] if inside else 0)
    assert torch.equal(found[1, :, 1:], masks[1, :, :-1])
    assert not found[1, :, 0].any()


def test_similarity_is_a_weighted_mean() -> None:
    cues = [torch.full((1, 1), value) for value in (0.9, 0.5, 0.3, 0.7)]
    expected = 0.40 * 0.9 + 0.35 * 0.5 + 0.15 * 0.3 + 0.10 * 0.7
    weights = TrackingSettings(query_weight=0.8, iou_weight=0.7, feature_weight=0.3, class_weight=0.2)  # sum to 2
    assert float(similarity(*cues, weights)) == pytest.approx(expected)
    iou_alone = TrackingSettings(query_weight=0, feature_weight=0, class_weight=0)
    assert float(similarity(*cues, iou_alone)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("iou", "distance", "area", "possible"),
    [
        (0.1, 100.0, 16.0, True),  # overlapping
        (0.0, 5.9, 16.0, True),  # near: below 1.5 x sqrt(16)
        (0.0, 6.1, 16.0, False),
        (0.5, 0.0, 64.0, True),  # four times as large
        (0.5, 0.0, 65.0, False),
        (0.5, 0.0, 4.0, True),
        (0.5, 0.0, 3.9, False),
        (0.5, 0.0, 0.0, False),  # an empty mask
    ],
)
def test_gates(iou: float, distance: float, area: float, possible: bool) -> None:
    found = gate(
        np.array([[iou]]),
        np.array([[3.0, 4.0]]),
        np.array([16.0]),
        np.array([[3.0, 4.0 + distance]]),
        np.array([area]),
        TrackingSettings(gate_iou=0.1, gate_distance=1.5, gate_area_ratio=4.0),
    )
    assert found.tolist() == [[possible]]


def test_what_a_gate_excludes_costs_more_than_any_limit_and_stays_finite() -> None:
    cost = cost_of(np.array([[0.7, 0.7]]), np.array([[True, False]]))
    assert cost.tolist() == [[pytest.approx(0.3), FORBIDDEN]]
    assert np.isfinite(cost).all()

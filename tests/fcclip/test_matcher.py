"""Matching: costs against plain loops, assignment against all permutations."""

from itertools import permutations

import pytest
import torch
from torch import Tensor

from streamseg.fcclip.matcher import CostWeights, Matching, assign, matching_costs
from streamseg.fcclip.targets import Targets
from tests.fcclip.loops import cross_entropy, dice_loss, random_targets, value_at

WEIGHTS = CostWeights()


def pair_cost(class_logits: Tensor, mask: Tensor, label: int, target: Tensor, points: Tensor) -> float:
    """2 (-p) + 5 BCE + 5 (1 - dice), in float64 loops."""
    logits = [value_at(mask.double(), x, y) for x, y in points.tolist()]
    inside = [value_at(target.double(), x, y) for x, y in points.tolist()]
    entropy = sum(map(cross_entropy, logits, inside)) / len(logits)
    return -2 * float(class_logits.double().softmax(-1)[label]) + 5 * entropy + 5 * dice_loss(logits, inside)


@pytest.mark.parametrize("counts", [[3, 1], [0, 2], [5, 5]])
def test_costs_equal_loops(counts: list[int]) -> None:
    torch.manual_seed(1)
    class_logits, mask_logits = torch.randn(2, 4, 6), 3 * torch.randn(2, 4, 5, 7)
    targets = random_targets(counts, 5, 9, 11)
    points = torch.rand(2, 13, 2)
    costs = matching_costs(class_logits, mask_logits, targets, points, WEIGHTS)
    assert costs.shape == (2, 4, max(counts))
    for image, target in enumerate(targets):
        for query in range(4):
            for number in range(len(target)):
                expected = pair_cost(
                    class_logits[image, query],
                    mask_logits[image, query],
                    int(target.labels[number]),
                    target.masks[number],
                    points[image],
                )
                assert float(costs[image, query, number]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("part", ["category", "mask", "dice"])
def test_each_part_has_its_weight(part: str) -> None:
    torch.manual_seed(2)
    arguments = (torch.randn(1, 3, 4), torch.randn(1, 3, 6, 6), random_targets([2], 3, 8, 8), torch.rand(1, 20, 2))
    names = ("category", "mask", "dice")
    alone = {name: matching_costs(*arguments, CostWeights(**{n: float(n == name) for n in names})) for name in names}
    trebled = CostWeights(**{name: 3.0 if name == part else 1.0 for name in names})
    expected = sum(alone.values()) + 2 * alone[part]
    torch.testing.assert_close(matching_costs(*arguments, trebled), expected)


def test_costs_carry_no_gradient_and_stay_finite_at_extremes() -> None:
    class_logits = torch.tensor([[[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]]], requires_grad=True)
    mask_logits = torch.stack([torch.full((4, 4), 1e4), torch.full((4, 4), -1e4)])[None].requires_grad_()
    targets = [Targets(torch.tensor([0, 1]), torch.stack([torch.ones(8, 8), torch.zeros(8, 8)]).bool())]
    points = 0.25 + torch.rand(1, 50, 2) / 2  # away from the edge, where interpolation meets zeros
    costs = matching_costs(class_logits, mask_logits, targets, points, WEIGHTS)
    assert not costs.requires_grad
    assert costs.isfinite().all()
    assert costs[0].diagonal().tolist() == pytest.approx([-2, -2], abs=1e-2)
    assert (costs[0, [0, 1], [1, 0]] > 1e4).all()


def best_total(cost: Tensor) -> float:
    """Over every way of giving distinct queries to targets (or targets to queries, if there are more of them)."""
    if cost.shape[0] < cost.shape[1]:
        cost = cost.T
    queries, targets = cost.shape
    return min(
        sum(float(cost[query, target]) for target, query in enumerate(chosen))
        for chosen in permutations(range(queries), targets)
    )


def pairs_of(matching: Matching, stage: int, image: int) -> list[tuple[int, int]]:
    mine = matching.images == image
    return list(zip(matching.queries[stage, mine].tolist(), matching.targets[stage, mine].tolist(), strict=True))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("num_targets", [[3, 5], [0, 1], [7, 6], [0, 0]])
def test_assignment_is_the_best_of_all_permutations(num_targets: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    costs = torch.randn(2, 2, 5, max(num_targets))
    matching = assign(costs, num_targets)
    assert matching.counts == tuple(min(5, number) for number in num_targets)
    for stage in range(2):
        for image, number in enumerate(num_targets):
            pairs = pairs_of(matching, stage, image)
            own = costs[stage, image, :, :number]
            queries, targets = {query for query, _ in pairs}, [target for _, target in pairs]
            assert len(pairs) == len(queries) == matching.counts[image]
            assert targets == sorted(set(targets))
            if number:
                assert sum(float(own[pair]) for pair in pairs) == pytest.approx(best_total(own), abs=1e-5)


def test_columns_past_an_images_targets_are_ignored() -> None:
    costs = torch.randn(1, 2, 4, 3)
    clean = assign(costs, [3, 1])
    costs[0, 1, :, 1:] = float("nan")
    dirty = assign(costs, [3, 1])
    assert torch.equal(clean.queries, dirty.queries)
    assert torch.equal(clean.targets, dirty.targets)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_costs_that_are_not_finite_say_so(value: float) -> None:
    costs = torch.zeros(3, 1, 4, 2)
    costs[1, 0, 2, 1] = value
    with pytest.raises(FloatingPointError, match=r"stage 1 hold 1 values that are not finite.*learning rate"):
        assign(costs, [2])


def test_matched_targets_in_the_order_of_the_pairs() -> None:
    targets = random_targets([3, 1], 9, 4, 4)
    costs = torch.zeros(1, 2, 2, 3)
    costs[0, 0] = torch.tensor([[5.0, 5, 1], [1, 5, 5]])  # two queries for three targets: 1 gets target 0, 0 target 2
    matching = assign(costs, [3, 1])
    assert pairs_of(matching, 0, 0) == [(1, 0), (0, 2)]
    chosen, other = matching.select(targets, 0)
    assert chosen.labels.tolist() == targets[0].labels[[0, 2]].tolist()
    assert torch.equal(chosen.masks, targets[0].masks[[0, 2]])
    assert other is targets[1]

"""Assignment against scipy, which knows no limit: pairs that cost too much are worth nothing there instead."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from streamseg.tracking.assign import assign


def oracle(cost: np.ndarray, limit: float) -> tuple[float, set[tuple[int, int]]]:
    rows, columns = linear_sum_assignment(np.minimum(cost - limit, 0))
    pairs = {(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if cost[r, c] < limit}
    return sum(cost[r, c] - limit for r, c in pairs), pairs


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (3, 9), (9, 3), (40, 31)])
@pytest.mark.parametrize("limit", [0.2, 0.6, 0.95])
def test_pairs_are_optimal_under_the_limit(shape: tuple[int, int], limit: float) -> None:
    for seed in range(20):
        cost = np.random.default_rng(seed).random(shape)
        cost[np.random.default_rng(seed + 1).random(shape) < 0.3] = 1e3
        pairs = assign(cost, limit)
        gain, expected = oracle(cost, limit)
        assert sum(cost[r, c] - limit for r, c in pairs) == pytest.approx(gain)
        assert set(map(tuple, pairs.tolist())) == expected
        assert pairs[:, 0].tolist() == sorted(set(pairs[:, 0].tolist()))


def test_without_a_limit_everybody_who_can_is_paired() -> None:
    cost = np.random.default_rng(0).random((7, 4)) + 5
    pairs = assign(cost)
    rows, columns = linear_sum_assignment(cost)
    assert set(map(tuple, pairs.tolist())) == set(zip(rows.tolist(), columns.tolist(), strict=True))


def test_a_bad_pair_is_not_forced() -> None:
    cost = np.array([[0.1, 0.2], [0.15, 0.9]])
    assert assign(cost, 0.5).tolist() == [[0, 1], [1, 0]]
    assert assign(np.array([[0.1, 0.9], [0.9, 0.9]]), 0.5).tolist() == [[0, 0]]


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0)])
def test_nobody_to_pair(shape: tuple[int, int]) -> None:
    assert assign(np.zeros(shape), 0.5).shape == (0, 2)
    assert assign(np.zeros(shape)).shape == (0, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_costs_have_to_be_finite(bad: float) -> None:
    with pytest.raises(ValueError, match="1 of the 4 costs"):
        assign(np.array([[0.1, bad], [0.2, 0.3]]), 0.5)

"""Paths are functions of time: bounded, smooth, as fast as asked for."""

import math

import numpy as np
import pytest

from streamseg.world.motion import Crossing, Swing, Wander

STILL = Swing(0.0, 0.0, 0.0, 0.0)
TIMES = np.linspace(0, 400, 4001)


def swing(seed: int, middle: float = 0.4, reach: float = 0.3, speed: float = 0.2) -> Swing:
    return Swing.random(np.random.default_rng(seed), middle, reach, speed)


def test_a_swing_keeps_to_its_reach_and_uses_it() -> None:
    for seed in range(10):
        values = [swing(seed)(t) for t in TIMES]
        assert 0.1 - 1e-9 <= min(values) < 0.15
        assert 0.65 < max(values) <= 0.7 + 1e-9


def test_a_swing_is_about_as_fast_as_asked_for() -> None:
    fastest = [np.abs(np.gradient([swing(seed)(t) for t in TIMES], TIMES)).max() for seed in range(10)]
    assert min(fastest) > 0.7 * 0.2
    assert max(fastest) < 1.3 * 0.2 * (0.75 + 0.25 * Swing.RATIO) + 1e-3
    assert np.mean(fastest) == pytest.approx(0.2 * (0.75 + 0.25 * Swing.RATIO), rel=0.25)


def test_a_swing_without_reach_or_speed_stands_still() -> None:
    assert {swing(0, reach=0.0)(t) for t in (0, 7, 1e6)} == {0.4}
    assert len({swing(0, speed=0.0)(t) for t in (0, 7, 1e6)}) == 1


def test_a_swing_does_not_repeat_soon() -> None:
    path = Swing(0.0, 1.0, 1.0, 0.3)
    period = 2 * math.pi
    assert max(abs(path(t + period) - path(t)) for t in TIMES[:500]) > 0.2


def test_a_wanderer_is_always_somewhere() -> None:
    path = Wander(swing(1), swing(2), swing(3, 0.0, 0.2), Swing(0.0, 0.5, 0.3, 0.0), size=0.4, flipped=True)
    for seconds in (0.0, 3.3, 1e5):
        pose = path.pose(seconds)
        assert pose is not None
        assert (pose.x, pose.y, pose.angle) == (path.x(seconds), path.y(seconds), path.angle(seconds))
        assert pose.flipped
        assert 0.4 * math.exp(-0.5) <= pose.size <= 0.4 * math.exp(0.5)


def test_a_crossing_goes_from_start_to_end_once() -> None:
    path = Crossing(10.0, 4.0, (-1.0, 0.2), (1.0, 0.4), STILL, size=0.3, flipped=False)
    assert path.pose(9.999) is None
    assert path.pose(14.001) is None
    for seconds, x, y in ((10.0, -1.0, 0.2), (12.0, 0.0, 0.3), (14.0, 1.0, 0.4)):
        pose = path.pose(seconds)
        assert pose is not None
        assert (pose.x, pose.y) == pytest.approx((x, y))
        assert pose.size == 0.3

"""Growth that is there is found, growth that is not there is not, whatever noise and deaths there are."""

import numpy as np
import pytest

from streamseg.benchmark.drift import fit_drift


def life(begin: float, seconds: float, slope: float, noise: float, seed: int) -> list[tuple[float, float]]:
    """A process that claims its memory within a few seconds, and then grows by `slope` a second."""
    rng = np.random.default_rng(seed)
    ages = np.arange(0.0, seconds, 2.0)
    values = 1e8 * (1 - np.exp(-ages / 5)) + slope * ages + rng.normal(0, noise, len(ages))
    return [(begin + age, float(value)) for age, value in zip(ages, values, strict=True)]


@pytest.mark.parametrize("slope", [1e4, 1e5])
def test_a_leak_is_found_in_processes_that_die(slope: float) -> None:
    lives = {number: life(180.0 * number, 170, slope, 1e5, number) for number in range(10)}
    drift = fit_drift(lives, settling=0.3, bin_seconds=15)
    assert drift is not None
    assert drift.low < slope < drift.high
    assert not drift.is_flat
    assert drift.slope == pytest.approx(slope, rel=0.2)
    assert (drift.lives, drift.mean) == (10, pytest.approx(1e8, rel=0.2))


def test_noise_is_no_leak() -> None:
    drift = fit_drift({"driver": life(0, 1800, 0.0, 1e6, 1)}, settling=0.25, bin_seconds=15)
    assert drift is not None
    assert drift.is_flat
    assert abs(drift.slope) < 200


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        drift = fit_drift({0: life(0, 600, 50.0, 1e5, seed)}, settling=0.25, bin_seconds=15)
        assert drift is not None
        held += drift.low <= 50.0 <= drift.high
    assert 180 <= held <= 199


def test_what_is_too_short_says_nothing() -> None:
    assert fit_drift({}, settling=0.25, bin_seconds=15) is None
    assert fit_drift({0: [(0.0, 1.0)]}, settling=0.25, bin_seconds=15) is None
    assert fit_drift({0: life(0, 40, 0, 0, 0)}, settling=0.25, bin_seconds=15) is None

"""Light, blur, noise and compression do what they say, by as much as they say."""

import numpy as np
import numpy.typing as npt
import pytest

from streamseg.world.effects import apply_effects
from streamseg.world.snapshot import Effects

Picture = npt.NDArray[np.uint8]


def flat(value: int = 100, size_hw: tuple[int, int] = (64, 64)) -> Picture:
    return np.full((*size_hw, 3), value, np.uint8)


def dot(side: int = 101) -> Picture:
    """Black, with one white pixel in the middle, padded to be bright enough after blurring."""
    picture = np.zeros((side, side, 3), np.uint8)
    picture[side // 2 - 4 : side // 2 + 5, side // 2 - 4 : side // 2 + 5] = 255
    return picture


def spread(picture: Picture, axis: int) -> float:
    """Variance of the light's position along an axis."""
    weights = picture.astype(float).sum((1 - axis, 2))
    places = np.arange(len(weights))
    middle = (weights * places).sum() / weights.sum()
    return float((weights * (places - middle) ** 2).sum() / weights.sum())


def noise(picture: Picture) -> Picture:
    return np.random.default_rng(0).integers(0, 256, picture.shape).astype(np.uint8)


def test_no_effect_changes_nothing() -> None:
    picture = noise(flat())
    np.testing.assert_array_equal(apply_effects(picture.copy(), Effects()), picture)


def test_gain_is_a_factor_for_each_channel_and_saturates() -> None:
    lit = apply_effects(flat(200), Effects(gain=(0.5, 1.0, 2.0)))
    assert lit.reshape(-1, 3).min(0).tolist() == lit.reshape(-1, 3).max(0).tolist() == [100, 200, 255]


@pytest.mark.parametrize("axis", [0, 1])
def test_blur_has_its_deviation(axis: int) -> None:
    thousandths = 30.0
    pixels = thousandths * 101 / 1000
    gained = spread(apply_effects(dot(), Effects(blur=thousandths)), axis) - spread(dot(), axis)
    assert gained == pytest.approx(pixels**2, rel=0.1)


def test_smear_goes_along_its_direction() -> None:
    smeared = apply_effects(dot(), Effects(smear=(0.2, 0.0)))
    length = 0.2 * 101
    assert spread(smeared, 1) - spread(dot(), 1) == pytest.approx(length**2 / 12, rel=0.15)
    assert spread(smeared, 0) == pytest.approx(spread(dot(), 0), rel=0.01)
    diagonal = apply_effects(dot(), Effects(smear=(0.1, 0.1)))
    assert spread(diagonal, 0) == pytest.approx(spread(diagonal, 1), rel=0.05)
    assert spread(diagonal, 0) > spread(dot(), 0) + 3


def test_a_smear_below_a_pixel_and_a_half_is_none() -> None:
    np.testing.assert_array_equal(apply_effects(dot(), Effects(smear=(0.01, 0.0))), dot())


def test_noise_has_its_deviation_and_no_bias() -> None:
    noisy = apply_effects(flat(size_hw=(128, 128)), Effects(noise=8.0, noise_seed=1)).astype(float)
    assert noisy.std() == pytest.approx(8, rel=0.03)
    assert noisy.mean() == pytest.approx(100, abs=0.2)


def test_noise_is_that_of_its_seed() -> None:
    first, again, other = (apply_effects(flat(), Effects(noise=8.0, noise_seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.8


def test_lower_quality_loses_more() -> None:
    picture = noise(flat())
    losses = [np.abs(apply_effects(picture, Effects(quality=q)) - picture.astype(float)).mean() for q in (95, 60, 20)]
    assert losses == sorted(losses)
    assert losses[0] > 0


def test_channels_keep_their_places() -> None:
    """Compression goes through OpenCV, which counts blue first."""
    red = flat() * np.array((1, 0, 0), np.uint8)
    compressed = apply_effects(red, Effects(quality=95)).reshape(-1, 3).mean(0)
    np.testing.assert_allclose(compressed, (100, 0, 0), atol=3)

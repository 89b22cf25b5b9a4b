"""Surfaces: without a seam, each its own, the same everywhere."""

import numpy as np
import numpy.typing as npt
import pytest

from streamseg.errors import ConfigError
from streamseg.world.names import STUFF
from streamseg.world.textures import TEXTURE_VARIANTS, TILE, texture, texture_level

NAMES = [entry.name for entry in STUFF]
Picture = npt.NDArray[np.uint8]

every_stuff = pytest.mark.parametrize("stuff", NAMES)


def steps(picture: Picture, axis: int) -> npt.NDArray[np.float64]:
    """(TILE,): mean difference of each line to the next; the last entry is across the seam."""
    moved = np.roll(picture, -1, axis=axis)
    difference = np.abs(moved.astype(np.float64) - picture).mean(axis=(1 - axis, 2))
    return np.asarray(difference)


def looks(picture: Picture) -> npt.NDArray[np.float64]:
    """A few numbers that describe a surface: colour, contrast, and how fast it changes along both axes."""
    small = picture.reshape(128, 4, 128, 4, 3).mean((1, 3))
    gradients = [np.abs(np.diff(grid, axis=axis)).mean() for grid in (picture.astype(float), small) for axis in (0, 1)]
    return np.array([*picture.mean((0, 1)) / 20, *picture.std((0, 1)) / 20, *np.log(gradients)])


@every_stuff
def test_a_texture_is_a_tile_that_nobody_changes(stuff: str) -> None:
    picture = texture(stuff, 0)
    assert picture.shape == (TILE, TILE, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 2
    with pytest.raises(ValueError, match="read-only"):
        picture[0, 0] = 0


@every_stuff
@pytest.mark.parametrize("axis", [0, 1])
def test_opposite_edges_fit_together(axis: int, stuff: str) -> None:
    """The step across the seam is none that does not occur inside, too."""
    for variant in range(TEXTURE_VARIANTS):
        *inside, seam = steps(texture(stuff, variant), axis)
        assert seam <= 1.1 * max(inside)


def test_no_two_kinds_are_equal() -> None:
    pictures = {texture(stuff, variant).tobytes() for stuff in NAMES for variant in range(TEXTURE_VARIANTS)}
    assert len(pictures) == len(NAMES) * TEXTURE_VARIANTS


def test_a_surface_resembles_its_own_kind_most() -> None:
    descriptions = {(stuff, variant): looks(texture(stuff, variant)) for stuff in NAMES for variant in range(3)}
    for key, own in descriptions.items():
        others = {other: np.linalg.norm(its - own) for other, its in descriptions.items() if other != key}
        assert min(others, key=lambda other: others[other])[0] == key[0], key


def test_variants_come_round_again() -> None:
    np.testing.assert_array_equal(texture("grass", TEXTURE_VARIANTS + 2), texture("grass", 2))


@every_stuff
def test_from_afar_the_colour_stays(stuff: str) -> None:
    for level in (1, 3, 5):
        picture = texture_level(stuff, 1, level)
        assert picture.shape == (TILE >> level, TILE >> level, 3)
        np.testing.assert_allclose(picture.mean((0, 1)), texture(stuff, 1).mean((0, 1)), atol=1.5)


def test_unknown_stuff_names_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"unknown stuff 'lava', expected one of sky, grass"):
        texture("lava", 0)

import numpy as np
import numpy.typing as npt
import pytest

from streamseg.errors import ConfigError
from streamseg.training.data.jitter import PADDING, LargeScaleJitter, Placement


def placements(jitter: LargeScaleJitter, size_hw: tuple[int, int], count: int = 200) -> list[Placement]:
    return [jitter.place(np.random.default_rng(seed), size_hw) for seed in range(count)]


# Drawing.


@pytest.mark.parametrize(
    ("size_hw", "scale", "expected"),
    [
        ((480, 640), 1.0, (768, 1024)),
        ((480, 640), 2.0, (1536, 2048)),
        ((480, 640), 0.1, (77, 102)),
        ((640, 427), 1.0, (1024, 683)),
        ((333, 333), 0.5, (512, 512)),
        ((3000, 2), 0.1, (102, 1)),
    ],
)
def test_scale_is_relative_to_the_crop(size_hw: tuple[int, int], scale: float, expected: tuple[int, int]) -> None:
    (placement,) = placements(LargeScaleJitter(scale=(scale, scale)), size_hw, count=1)
    assert placement.scaled_hw == expected


def test_scale_is_uniform_over_its_range() -> None:
    sides = [placement.scaled_hw[0] for placement in placements(LargeScaleJitter(), (100, 100), count=2000)]
    shares, _ = np.histogram(sides, bins=4, range=(0.1 * 1024, 2.0 * 1024))
    assert sum(shares) == 2000  # none outside
    assert all(440 < share < 560 for share in shares)


@pytest.mark.parametrize(("flip", "low", "high"), [(0.0, 0, 0), (0.5, 900, 1100), (1.0, 2000, 2000)])
def test_flips_as_often_as_asked(flip: float, low: int, high: int) -> None:
    flips = sum(placement.flip for placement in placements(LargeScaleJitter(flip=flip), (100, 100), count=2000))
    assert low <= flips <= high


def test_crops_reach_from_corner_to_corner_of_large_pictures() -> None:
    found = placements(LargeScaleJitter(size=64, scale=(2.0, 2.0)), (50, 50), count=2000)
    offsets = [placement.offset_yx for placement in found]
    assert min(offsets) == (0, 0)
    assert max(offsets) == (64, 64)
    assert all(top == left for top, left in offsets)  # one number for both, as published


def test_small_pictures_stay_in_the_corner() -> None:
    assert {p.offset_yx for p in placements(LargeScaleJitter(size=64, scale=(0.1, 1.0)), (50, 70))} == {(0, 0)}


def test_only_the_longer_side_slides_where_the_other_fits() -> None:
    offsets = [p.offset_yx for p in placements(LargeScaleJitter(size=64, scale=(1.5, 1.5)), (20, 60))]
    assert {top for top, _ in offsets} == {0}
    assert {left for _, left in offsets} == set(range(33))


def test_same_generator_same_placement() -> None:
    jitter = LargeScaleJitter(size=64)
    assert placements(jitter, (30, 50)) == placements(jitter, (30, 50))


def test_a_setting_leaves_the_other_draws_alone() -> None:
    plain, flipped = LargeScaleJitter(size=64, flip=0.0), LargeScaleJitter(size=64, flip=1.0)
    for a, b in zip(placements(plain, (30, 50)), placements(flipped, (30, 50)), strict=True):
        assert (a.scaled_hw, a.offset_yx) == (b.scaled_hw, b.offset_yx)


# Moving pixels.


@pytest.mark.parametrize("size_hw", [(37, 53), (64, 64), (200, 90), (1, 9)])
@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_ids_are_those_of_the_nearest_pixel(size_hw: tuple[int, int], flip: float) -> None:
    height, width = size_hw
    ids = (np.arange(height)[:, None] * 1000 + np.arange(width) + 1).astype(np.int32)  # each tells its place
    for placement in placements(LargeScaleJitter(size=64, flip=flip), size_hw, count=40):
        moved = placement.move_ids(ids)
        shown = min(placement.scaled_hw[0], 64), min(placement.scaled_hw[1], 64)
        rows, columns = np.divmod(moved[: shown[0], : shown[1]] - 1, 1000)
        if flip:
            columns = width - 1 - columns
        assert (np.abs(rows - centers(placement, 0, size_hw)[:, None]) <= 0.5 + 1e-9).all()
        assert (np.abs(columns - centers(placement, 1, size_hw)) <= 0.5 + 1e-9).all()


def centers(placement: Placement, axis: int, size_hw: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Where the centre of each pixel in sight lies in the original, counted from the centre of its first pixel."""
    scaled, offset = placement.scaled_hw[axis], placement.offset_yx[axis]
    seen = np.arange(offset, offset + min(scaled, placement.size))
    return (seen + 0.5) * size_hw[axis] / scaled - 0.5


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_pictures_are_interpolated(flip: float) -> None:
    """On a ramp, bilinear interpolation finds the value of the place itself, away from the picture's borders."""
    ramp = np.stack(np.broadcast_arrays(np.arange(100)[:, None], 2 * np.arange(120), 50), axis=2).astype(np.uint8)
    for placement in placements(LargeScaleJitter(size=64, scale=(0.3, 4.0), flip=flip), (100, 120), count=40):
        rows, columns = (centers(placement, axis, (100, 120)) for axis in (0, 1))
        columns = 119 - columns if flip else columns
        inside = ((rows > 8) & (rows < 91))[:, None] & ((columns > 8) & (columns < 111))
        moved = placement.move_picture(ramp)[: len(rows), : len(columns)]
        assert inside.any()
        assert (np.abs(moved[..., 0] - rows[:, None])[inside] <= 1).all()
        assert (np.abs(moved[..., 1] - 2 * columns)[inside] <= 1).all()
        assert (moved[..., 2] == 50).all()


def test_shrunken_pictures_are_smoothed() -> None:
    board = np.indices((128, 128)).sum(axis=0) % 2 * np.uint8(200)
    placement = Placement(flip=False, scaled_hw=(32, 32), offset_yx=(0, 0), size=32)
    moved = placement.move_picture(np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8))
    assert (np.abs(moved.astype(int) - 100) <= 3).all()


def test_around_a_small_picture_is_grey_and_void() -> None:
    placement = Placement(flip=False, scaled_hw=(20, 30), offset_yx=(0, 0), size=32)
    picture = placement.move_picture(np.full((40, 60, 3), 7, np.uint8))
    ids = placement.move_ids(np.full((40, 60), 9, np.int32))
    assert (picture[:20, :30] == 7).all()
    assert (ids[:20, :30] == 9).all()
    assert (picture[20:] == PADDING).all()
    assert (picture[:, 30:] == PADDING).all()
    assert ids.sum() == 20 * 30 * 9
    assert (picture.dtype, picture.shape, ids.dtype, ids.shape) == (np.uint8, (32, 32, 3), np.int32, (32, 32))


def test_picture_and_ids_move_together() -> None:
    """Four fields of one colour each: whatever the placement, a pixel well inside a field has the field's colour."""
    ids = np.repeat(np.repeat(np.array([[1, 2], [3, 4]], np.int32), 40, axis=0), 60, axis=1)
    colors = np.array([[PADDING] * 3, [200, 0, 0], [0, 200, 0], [0, 0, 200], [90, 90, 0]], np.uint8)
    seen = set()
    for placement in placements(LargeScaleJitter(size=64), (80, 120), count=60):
        moved, picture = placement.move_ids(ids), placement.move_picture(colors[ids])
        around = np.pad(moved, 3, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(around, (7, 7))
        inside = (windows == moved[:, :, None, None]).all(axis=(2, 3))
        assert (picture[inside] == colors[moved[inside]]).all()
        seen |= set(moved[inside].tolist())
    assert seen == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 100}, "crop size 100: expected a multiple of 32"),
        ({"size": 0}, "crop size 0"),
        ({"scale": (0.0, 2.0)}, "scale range 0.0 to 2.0"),
        ({"scale": (2.0, 1.0)}, "the smaller one first"),
        ({"scale": (0.1, float("nan"))}, "expected two positive factors"),
        ({"flip": 1.5}, "flip probability 1.5: expected 0 to 1"),
    ],
)
def test_settings_out_of_range(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LargeScaleJitter(**settings)

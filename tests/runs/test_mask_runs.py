"""Masks as column runs: equal to the pixels they stand for, and compared as pictures would be."""

import numpy as np
import pytest

from streamseg.errors import ConfigError
from streamseg.rle import encode_map, encode_mask
from streamseg.runs.mask_runs import ColumnRuns, Overlap, box_shift, overlaps

SIZES = [(1, 1), (7, 5), (48, 64), (31, 2)]


def patches(seed: int, size_hw: tuple[int, int], ids: int = 5) -> np.ndarray:
    """Ids in patches and single pixels."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, ids + 1, (max(1, size_hw[0] // 4 + 1), max(1, size_hw[1] // 4 + 1)))
    ids_map = np.kron(coarse, np.ones((4, 4), np.int32))[: size_hw[0], : size_hw[1]].astype(np.int32)
    noise = rng.random(size_hw) < 0.1
    return np.where(noise, rng.integers(0, ids + 1, size_hw), ids_map).astype(np.int32)


def painted(runs: ColumnRuns, id_: int) -> np.ndarray:
    mask = np.zeros(runs.size_hw, bool)
    _, xs, tops, bottoms = runs.select([id_])
    for x, top, bottom in zip(xs, tops, bottoms, strict=True):
        assert top < bottom
        mask[top:bottom, x] = True
    return mask


def slow_overlap(before: np.ndarray, after: np.ndarray, shift: tuple[int, int]) -> Overlap:
    """Pixel by pixel."""
    height, width = before.shape
    counts = [0, 0, 0]
    for y in range(height):
        for x in range(width):
            source_y, source_x = y - shift[1], x - shift[0]
            if 0 <= source_y < height and 0 <= source_x < width:
                was, now = before[source_y, source_x], after[y, x]
                counts = [counts[0] + bool(was), counts[1] + bool(now), counts[2] + bool(was and now)]
    return Overlap(*counts)


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("seed", range(4))
def test_runs_are_the_pixels(size_hw: tuple[int, int], seed: int) -> None:
    ids = patches(seed, size_hw)
    runs = ColumnRuns.of(size_hw, encode_map(ids))
    assert set(runs.places) == set(np.unique(ids[ids > 0]).tolist())
    for id_ in runs.places:
        assert np.array_equal(painted(runs, id_), ids == id_)


def test_a_full_mask_and_an_empty_one() -> None:
    masks = {3: encode_mask(np.ones((4, 6), bool)), 9: encode_mask(np.zeros((4, 6), bool))}
    runs = ColumnRuns.of((4, 6), masks)
    assert painted(runs, 3).all()
    assert not painted(runs, 9).any()
    assert not ColumnRuns.of((4, 6), {}).places


@pytest.mark.parametrize("seed", range(6))
def test_overlaps_are_those_of_the_pixels(seed: int) -> None:
    size_hw = (13, 17)
    before, after = patches(seed, size_hw), patches(seed + 100, size_hw)
    shared = sorted({*np.unique(before)} & {*np.unique(after)} - {0})
    rng = np.random.default_rng(seed)
    shifts = [(int(rng.integers(-20, 21)), int(rng.integers(-8, 9))) for _ in shared]
    found = overlaps(
        ColumnRuns.of(size_hw, encode_map(before)), ColumnRuns.of(size_hw, encode_map(after)), shared, shifts
    )
    assert found == [
        slow_overlap(before == id_, after == id_, shift) for id_, shift in zip(shared, shifts, strict=True)
    ]


def test_a_mask_that_moved_as_a_whole_is_the_same() -> None:
    before, after = np.zeros((20, 30), np.int32), np.zeros((20, 30), np.int32)
    before[3:9, 4:10] = after[5:11, 11:17] = 7
    before[4, 4] = after[6, 11] = 0
    runs = [ColumnRuns.of((20, 30), encode_map(ids)) for ids in (before, after)]
    shift = box_shift((4, 3, 6, 6), (11, 5, 6, 6), (20, 30))
    assert shift == (7, 2)
    assert overlaps(*runs, [7], [shift]) == [Overlap(35, 35, 35)]
    assert overlaps(*runs, [7], [(40, 0)])[0].iou is None


@pytest.mark.parametrize(
    ("before", "after", "shift"),
    [
        ((5, 5, 4, 4), (8, 3, 4, 4), (3, -2)),
        ((5, 5, 4, 4), (5, 5, 5, 4), (0, 0)),  # half a pixel is none
        ((5, 5, 4, 4), (4, 5, 4, 4), (-1, 0)),
        ((5, 5, 4, 4), (4, 5, 5, 3), (0, 0)),
        ((0, 5, 6, 4), (0, 5, 4, 4), (-2, 0)),  # leaves on the left: its right edge counts
        ((16, 5, 4, 4), (17, 5, 3, 4), (1, 0)),  # leaves on the right
        ((0, 0, 20, 3), (0, 0, 20, 5), (0, 2)),  # as wide as the picture
        ((0, 0, 20, 12), (0, 0, 20, 12), (0, 0)),
    ],
)
def test_how_far_a_box_moved(before: tuple[int, ...], after: tuple[int, ...], shift: tuple[int, int]) -> None:
    assert box_shift(before, after, (12, 20)) == shift


@pytest.mark.parametrize(
    ("counts", "complaint"),
    [
        ("5", "do not cover 24 pixels"),
        ("", "no run lengths"),
        ("P", "no run lengths"),
        ("é", "no run lengths"),
        ("oooooooooooooo0", "too long"),
        ("8", "do not cover"),
    ],
)
def test_damaged_counts_are_named(counts: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        ColumnRuns.of((4, 6), {1: {"size": [4, 6], "counts": counts}})


def test_a_mask_of_another_size_is_named() -> None:
    with pytest.raises(ConfigError, match=r"segment 1 has size \[4, 6\], expected \[6, 4\]"):
        ColumnRuns.of((6, 4), {1: encode_mask(np.ones((4, 6), bool))})

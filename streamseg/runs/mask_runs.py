"""The masks of a frame as runs down its columns, straight from their run lengths: no picture is ever made.

All masks of a frame are handled at once, so that the cost of a frame is a few dozen array operations.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError

__all__ = ["ColumnRuns", "Overlap", "box_shift", "overlaps"]

Integers = npt.NDArray[np.int64]
Box = Sequence[int]


@dataclass(frozen=True, slots=True, eq=False)
class ColumnRuns:
    """The masks of one frame.

    Mask i has the runs `first[i]` to `first[i + 1]`; a run is the rows `top` to `bottom` - 1 of column `x`. Within a
    mask they go from left to right and from top to bottom.

    Attributes:
        size_hw: of the frame.
        places: position of a mask by its id.
    """

    size_hw: tuple[int, int]
    places: Mapping[int, int]
    first: Integers
    x: Integers
    top: Integers
    bottom: Integers

    @classmethod
    def of(cls, size_hw: tuple[int, int], masks: Mapping[int, Mapping[str, Any]]) -> "ColumnRuns":
        """From run lengths by id; ConfigError where they are damaged or of another size."""
        for id_, mask in masks.items():
            if tuple(mask["size"]) != size_hw:
                raise ConfigError(f"the mask of segment {id_} has size {mask['size']}, expected {list(size_hw)}")
        starts, ends, per_mask = _decode([mask["counts"] for mask in masks.values()], size_hw[0] * size_hw[1])
        height = max(1, size_hw[0])
        left, right = starts // height, (ends - 1) // height
        columns = right - left + 1  # a run that goes on at the top of the next column is cut into one for each
        run = np.repeat(np.arange(len(starts)), columns)
        step = np.arange(len(run)) - np.repeat(np.cumsum(columns) - columns, columns)
        x = left[run] + step
        first = np.concatenate(([0], np.cumsum(columns)))[np.concatenate(([0], np.cumsum(per_mask)))]
        top = np.maximum(starts[run] - x * height, 0)
        bottom = np.minimum(ends[run] - x * height, height)
        return cls(size_hw, {id_: place for place, id_ in enumerate(masks)}, first, x, top, bottom)

    def select(self, ids: Iterable[int]) -> tuple[Integers, Integers, Integers, Integers]:
        """The runs of some masks one after the other: whose they are (0 for the first id), x, top, bottom."""
        places = np.array([self.places[id_] for id_ in ids], np.int64)
        lengths = self.first[places + 1] - self.first[places]
        owner = np.repeat(np.arange(len(places)), lengths)
        rows = np.arange(len(owner)) + np.repeat(self.first[places] - np.cumsum(lengths) + lengths, lengths)
        return owner, self.x[rows], self.top[rows], self.bottom[rows]


class Overlap(NamedTuple):
    """Pixels of a mask before, after, and in both; those that only one of the two frames can show are left out."""

    before: int
    after: int
    both: int

    @property
    def iou(self) -> float | None:
        """Intersection over union; None where there is nothing to compare."""
        union = self.before + self.after - self.both
        return self.both / union if union else None


def box_shift(before: Box, after: Box, size_hw: tuple[int, int]) -> tuple[int, int]:
    """How far a box (x, y, width, height) has moved, in whole pixels to the right and down.

    The mean of what its two edges have moved, rounded towards 0. An edge at the border of the picture in either frame
    says nothing: then the opposite one counts alone, and where both are at the border, 0.
    """
    height, width = size_hw
    return (
        _edge_shift(before[0], before[2], after[0], after[2], width),
        _edge_shift(before[1], before[3], after[1], after[3], height),
    )


def overlaps(
    before: ColumnRuns, after: ColumnRuns, ids: Sequence[int], shifts: Sequence[tuple[int, int]]
) -> list[Overlap]:
    """Compare masks of two frames of one size, those of the first moved by `shifts` (right, down).

    Args:
        before, after: both hold all of `ids`.
        ids: which masks.
        shifts: one for each of them.
    """
    if not ids:
        return []
    moves = np.array(shifts, np.int64).reshape(-1, 2)
    first = _Spans.of(before.select(ids), moves, moves, before.size_hw)
    second = _Spans.of(after.select(ids), np.zeros_like(moves), moves, before.size_hw)
    covered = first.covered(second.ends) - first.covered(second.starts)
    counts = (first.sums(first.ends - first.starts), second.sums(second.ends - second.starts), second.sums(covered))
    return [Overlap(*values) for values in zip(*(count.tolist() for count in counts), strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class _Spans:
    """Runs as spans of one number line, on which the masks lie one after the other; ascending, apart."""

    owner: Integers
    starts: Integers
    ends: Integers
    masks: int

    @classmethod
    def of(
        cls,
        runs: tuple[Integers, Integers, Integers, Integers],
        moves: Integers,
        window_moves: Integers,
        size_hw: tuple[int, int],
    ) -> "_Spans":
        """Runs moved by `moves`, and cut to where a frame and one moved by `window_moves` lie over each other."""
        owner, x, top, bottom = runs
        height, width = size_hw
        x = x + moves[owner, 0]
        right, down = window_moves[owner, 0], window_moves[owner, 1]
        top = np.maximum(top + moves[owner, 1], np.maximum(down, 0))
        bottom = np.minimum(bottom + moves[owner, 1], np.minimum(down, 0) + height)
        inside = (bottom > top) & (x >= np.maximum(right, 0)) & (x < np.minimum(right, 0) + width)
        column = (owner * width + x) * height
        return cls(owner[inside], (column + top)[inside], (column + bottom)[inside], len(moves))

    def covered(self, positions: Integers) -> Integers:
        """How many positions before each of these are within a span."""
        if not len(self.starts):
            return np.zeros(len(positions), np.int64)
        lengths = self.ends - self.starts
        span = np.searchsorted(self.starts, positions, side="right") - 1
        within = np.minimum(positions - self.starts[span], lengths[span])
        return np.where(span < 0, 0, (np.cumsum(lengths) - lengths)[span] + within)

    def sums(self, values: Integers) -> Integers:
        """Sum of a value of each span, by mask."""
        return np.bincount(self.owner, values, self.masks).astype(np.int64)


def _edge_shift(start: int, length: int, later_start: int, later_length: int, limit: int) -> int:
    end, later_end = start + length, later_start + later_length
    at_start, at_end = min(start, later_start) <= 0, max(end, later_end) >= limit
    if at_start and at_end:
        return 0
    if at_start or at_end:
        return later_end - end if at_start else later_start - start
    return int((later_start - start + later_end - end) / 2)


def _decode(texts: Sequence[str], pixels: int) -> tuple[Integers, Integers, Integers]:
    """Compressed counts of many masks to the starts and ends of their runs, and how many each has.

    Positions count down the columns. The format: see `streamseg/rle.py`.
    """
    text = "".join(texts)
    raw = np.frombuffer(text.encode() if text.isascii() else b"\0" * len(text), np.uint8).astype(np.int64) - 48
    lengths = np.array([len(text) for text in texts], np.int64)
    ends = (raw & 0x20) == 0  # letters that end a number
    if ((raw < 0) | (raw >= 64)).any() or not lengths.all() or not ends[np.cumsum(lengths) - 1].all():
        raise ConfigError("a mask's counts are no run lengths, expected COCO's compressed format")
    values, per_text = _numbers(raw, ends), np.add.reduceat(ends, np.cumsum(lengths) - lengths) if texts else lengths
    counts = _undo_differences(values, per_text)
    begin = np.cumsum(per_text) - per_text
    if (counts < 0).any() or (texts and (np.add.reduceat(counts, begin) != pixels).any()):
        raise ConfigError(f"a mask's counts do not cover {pixels} pixels, expected run lengths of the whole frame")
    position = np.cumsum(counts) - np.repeat(np.arange(len(texts)) * pixels, per_text)
    inside = (np.arange(len(counts)) - np.repeat(begin, per_text)) % 2 == 1
    inside &= counts > 0
    per_mask = np.add.reduceat(inside, begin) if texts else per_text
    return (position - counts)[inside], position[inside], per_mask


def _numbers(raw: Integers, ends: npt.NDArray[np.bool_]) -> Integers:
    """Groups of five bits, low ones first, to signed numbers."""
    if not len(raw):
        return raw
    stops = np.flatnonzero(ends)
    starts = np.concatenate(([0], stops[:-1] + 1))
    digits = stops - starts + 1
    if digits.max() > 12:
        raise ConfigError("a mask's counts hold a number that is too long, expected run lengths")
    place = np.arange(len(raw)) - np.repeat(starts, digits)
    values: Integers = np.add.reduceat((raw & 0x1F) << (5 * place), starts)
    return values - np.where(raw[stops] & 0x10, np.int64(1) << (5 * digits), 0)


def _undo_differences(values: Integers, per_text: Integers) -> Integers:
    """From the fourth number of a text on, each is the difference to the one two before."""
    place = np.arange(len(values)) - np.repeat(np.cumsum(per_text) - per_text, per_text)
    owner = np.repeat(np.arange(len(per_text)), per_text)
    counts = values.copy()
    for chain in (place % 2 == 1, (place % 2 == 0) & (place > 0)):
        sums, text = np.cumsum(values[chain]), owner[chain]
        before = np.concatenate(([0], sums))[np.searchsorted(text, np.arange(len(per_text)))]
        counts[chain] = sums - before[text]
    return counts

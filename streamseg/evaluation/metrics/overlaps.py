"""How two id maps overlap: what every score of segments against segments is computed from."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ...errors import EvaluationError

__all__ = ["VOID", "Counts", "Ids", "OverlapSum", "Overlaps"]

VOID = 0
ID_BITS = 32

Ids = npt.NDArray[np.integer[Any]]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """How many pixels each pair of a true and a predicted id shares; pairs without any are left out.

    Attributes:
        ground_truth_ids, predicted_ids: (N,) int64, 0 for void.
        pixels: (N,) int64.
    """

    ground_truth_ids: Counts
    predicted_ids: Counts
    pixels: Counts

    @classmethod
    def between(cls, ground_truth_ids: Ids, predicted_ids: Ids) -> Self:
        """Compare two maps of one shape, such as (H, W), whose ids lie in [0, 2^31).

        Raises:
            EvaluationError: the shapes differ.
        """
        if ground_truth_ids.shape != predicted_ids.shape:
            raise EvaluationError(
                f"ground truth is {_size(ground_truth_ids)} and prediction {_size(predicted_ids)}, "
                "expected one size: predict at the size of the ground truth"
            )
        true, predicted = ground_truth_ids.ravel(), predicted_ids.ravel()
        # Maps are made of long runs: finding them first leaves a hundredth of the pixels to sort.
        changes = np.flatnonzero((true[1:] != true[:-1]) | (predicted[1:] != predicted[:-1])) + 1
        starts = np.concatenate(([0], changes)) if true.size else changes
        return cls.of_pairs(true[starts], predicted[starts], np.diff(starts, append=true.size))

    @classmethod
    def of_pairs(cls, ground_truth_ids: Ids, predicted_ids: Ids, pixels: Counts) -> Self:
        """Pairs that may repeat, each with its pixels: (N,) each."""
        keys = ground_truth_ids.astype(np.int64) << ID_BITS | predicted_ids.astype(np.int64)
        pairs, position = np.unique(keys, return_inverse=True)
        # Sums are doubles inside: exact up to 2^53 pixels.
        total = np.bincount(position.ravel(), weights=pixels, minlength=len(pairs)).astype(np.int64)
        return cls(pairs >> ID_BITS, pairs & ((1 << ID_BITS) - 1), total)

    def __add__(self, other: "Overlaps") -> "Overlaps":
        """The overlaps of both units together, ids meaning the same in both."""
        return Overlaps.of_pairs(
            np.concatenate((self.ground_truth_ids, other.ground_truth_ids)),
            np.concatenate((self.predicted_ids, other.predicted_ids)),
            np.concatenate((self.pixels, other.pixels)),
        )

    def true_areas(self) -> dict[int, int]:
        """Pixels of each true id, 0 included."""
        return _sums(self.ground_truth_ids, self.pixels)

    def predicted_areas(self) -> dict[int, int]:
        """Pixels of each predicted id, 0 included."""
        return _sums(self.predicted_ids, self.pixels)


class OverlapSum:
    """Overlaps of any number of units together, in the memory of the pairs that there are.

    Units are collected and added up when they outweigh the sum so far, so that a unit costs what it holds.
    """

    def __init__(self) -> None:
        self._total = Overlaps(*(np.zeros(0, np.int64) for _ in range(3)))
        self._pending: list[Overlaps] = []
        self._waiting = 0

    def add(self, ground_truth_ids: Counts, predicted_ids: Counts, pixels: Counts) -> None:
        """Pairs that may repeat: (N,) each."""
        self._pending.append(Overlaps(ground_truth_ids, predicted_ids, pixels))
        self._waiting += len(pixels)
        if self._waiting > max(4096, len(self._total.pixels)):
            self.total()

    def total(self) -> Overlaps:
        """Everything so far."""
        if self._pending:
            every = [self._total, *self._pending]
            self._total = Overlaps.of_pairs(
                np.concatenate([each.ground_truth_ids for each in every]),
                np.concatenate([each.predicted_ids for each in every]),
                np.concatenate([each.pixels for each in every]),
            )
            self._pending, self._waiting = [], 0
        return self._total


def _sums(ids: Counts, pixels: Counts) -> dict[int, int]:
    found, position = np.unique(ids, return_inverse=True)
    total = np.bincount(position.ravel(), weights=pixels, minlength=len(found)).astype(np.int64)
    return dict(zip(found.tolist(), total.tolist(), strict=True))


def _size(ids: Ids) -> str:
    return "x".join(map(str, ids.shape))

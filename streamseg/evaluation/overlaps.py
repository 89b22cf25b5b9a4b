"""How two id maps overlap: what every score of segments against segments is computed from."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ..errors import EvaluationError

__all__ = ["VOID", "Counts", "Ids", "Overlaps"]

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
        keys = (ground_truth_ids.astype(np.int64) << ID_BITS | predicted_ids.astype(np.int64)).ravel()
        # Maps are made of long runs: finding them first leaves a hundredth of the pixels to sort.
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        return cls._summed(keys[starts], np.diff(starts, append=keys.size))

    def __add__(self, other: "Overlaps") -> "Overlaps":
        """The overlaps of both units together, ids meaning the same in both."""
        keys = np.concatenate((self._keys, other._keys))
        return Overlaps._summed(keys, np.concatenate((self.pixels, other.pixels)))

    @property
    def _keys(self) -> Counts:
        return self.ground_truth_ids << ID_BITS | self.predicted_ids

    @classmethod
    def _summed(cls, keys: Counts, pixels: Counts) -> Self:
        pairs, position = np.unique(keys, return_inverse=True)
        # Sums are doubles inside: exact up to 2^53 pixels.
        total = np.bincount(position.ravel(), weights=pixels, minlength=len(pairs)).astype(np.int64)
        return cls(pairs >> ID_BITS, pairs & ((1 << ID_BITS) - 1), total)


def _size(ids: Ids) -> str:
    return "x".join(map(str, ids.shape))

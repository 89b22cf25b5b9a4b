"""Identity metrics, number for number as TrackEval computes them on masks.

Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking" (arXiv 1609.01775),
section 4: true and predicted tracks of a video are assigned one to one, so that as many frames as can be agree (IoU of
at least half). What does not agree is IDFN and IDFP, and IDF1 = 2 IDTP / (2 IDTP + IDFP + IDFN).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from .detections import Detections

__all__ = ["IdentityCounts", "IdentityVideo"]

MATCH_IOU = 0.5


@dataclass(frozen=True, slots=True)
class IdentityCounts:
    """Sums over videos of detections under the best assignment."""

    tp: int = 0
    fn: int = 0
    fp: int = 0

    def __add__(self, other: "IdentityCounts") -> "IdentityCounts":
        return IdentityCounts(self.tp + other.tp, self.fn + other.fn, self.fp + other.fp)

    def scores(self) -> dict[str, float]:
        """IDF1, IDP and IDR."""
        return {
            "IDF1": self.tp / max(1, self.tp + 0.5 * self.fp + 0.5 * self.fn),
            "IDP": self.tp / max(1, self.tp + self.fp),
            "IDR": self.tp / max(1, self.tp + self.fn),
        }

    def whole(self) -> dict[str, int]:
        """The counts, as TrackEval calls them."""
        return {"IDTP": self.tp, "IDFN": self.fn, "IDFP": self.fp}


class IdentityVideo:
    """One video: `add` every frame, then read the `counts`."""

    def __init__(self) -> None:
        self._truth = self._predicted = 0
        self._together: dict[tuple[int, int], int] = {}

    def add(self, frame: Detections) -> None:
        """The next frame."""
        self._truth += len(frame.truth)
        self._predicted += len(frame.predicted)
        rows, columns = np.nonzero(frame.similarity >= MATCH_IOU)
        for pair in zip(frame.truth[rows].tolist(), frame.predicted[columns].tolist(), strict=True):
            self._together[pair] = self._together.get(pair, 0) + 1

    def counts(self) -> IdentityCounts:
        """The sums under the assignment with the most agreement: the least IDFN and IDFP, as the paper has it."""
        rows = {id_: row for row, id_ in enumerate(dict.fromkeys(true for true, _ in self._together))}
        columns = {id_: column for column, id_ in enumerate(dict.fromkeys(guess for _, guess in self._together))}
        frames = np.zeros((len(rows), len(columns)), np.int64)
        for (true, guess), count in self._together.items():
            frames[rows[true], columns[guess]] = count
        agreed = int(frames[linear_sum_assignment(-frames)].sum())
        return IdentityCounts(agreed, self._truth - agreed, self._predicted - agreed)

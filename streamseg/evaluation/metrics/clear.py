"""CLEAR MOT, number for number as TrackEval computes it on masks.

Bernardin & Stiefelhagen, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics" (2008), section 2.
A frame's matches have an IoU of at least half; a pair that was matched in the previous frame is kept if it can be. An
identity switch is a match with another prediction than the last one the object was ever matched to.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from .detections import Detections

__all__ = ["ClearCounts", "ClearVideo"]

MATCH_IOU = 0.5
EPSILON = float(np.finfo("float").eps)
CONTINUITY = 1000.0  # outweighs any similarity
MOSTLY_TRACKED, PARTLY_TRACKED = 0.8, 0.2


@dataclass(frozen=True, slots=True)
class ClearCounts:
    """Sums over videos.

    Attributes:
        tp, fn, fp: detections.
        switches: of identity.
        similarity: summed over true positives.
        mostly, partly, lost: true tracks matched in more than 80 % of their frames, in at least 20 %, in less.
        fragments: how often a track was found again after it had been lost.
    """

    tp: int = 0
    fn: int = 0
    fp: int = 0
    switches: int = 0
    similarity: float = 0.0
    mostly: int = 0
    partly: int = 0
    lost: int = 0
    fragments: int = 0

    def __add__(self, other: "ClearCounts") -> "ClearCounts":
        return ClearCounts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def scores(self) -> dict[str, float]:
        """MOTA (equation 2 of the paper), MOTP (equation 1) and the soft MOTA of MOTS."""
        true = max(1, self.tp + self.fn)
        return {
            "MOTA": (self.tp - self.fp - self.switches) / true,
            "MOTP": self.similarity / max(1, self.tp),
            "sMOTA": (self.similarity - self.fp - self.switches) / true,
        }

    def whole(self) -> dict[str, int]:
        """The counts, as TrackEval calls them."""
        return {
            "CLR_TP": self.tp,
            "CLR_FN": self.fn,
            "CLR_FP": self.fp,
            "IDSW": self.switches,
            "MT": self.mostly,
            "PT": self.partly,
            "ML": self.lost,
            "Frag": self.fragments,
        }


class ClearVideo:
    """One video: `add` every frame, then read the `counts`."""

    def __init__(self) -> None:
        self._tp = self._fn = self._fp = self._switches = 0
        self._similarity = 0.0
        self._seen: dict[int, int] = {}  # frames of each true track
        self._found: dict[int, int] = {}  # of those, matched ones
        self._starts: dict[int, int] = {}  # how often it began to be matched
        self._last: dict[int, int] = {}  # what it was last matched to
        self._previous: dict[int, int] = {}  # what it was matched to in the previous frame that had both sides

    def add(self, frame: Detections) -> None:
        """The next frame. One without truth or without prediction does not end what went before."""
        truth, predicted = frame.truth.tolist(), frame.predicted.tolist()
        for id_ in truth:
            self._seen[id_] = self._seen.get(id_, 0) + 1
        if not truth or not predicted:
            self._fn += len(truth)
            self._fp += len(predicted)
            return
        matched = self._matched(frame, truth, predicted)
        for id_, prediction in matched.items():
            self._switches += self._last.get(id_, prediction) != prediction
            self._found[id_] = self._found.get(id_, 0) + 1
            self._starts[id_] = self._starts.get(id_, 0) + (id_ not in self._previous)
        self._last |= matched
        self._previous = matched
        self._tp += len(matched)
        self._fn += len(truth) - len(matched)
        self._fp += len(predicted) - len(matched)

    def counts(self) -> ClearCounts:
        """The sums of the video."""
        ratios = [self._found.get(id_, 0) / seen for id_, seen in self._seen.items()]
        mostly = sum(ratio > MOSTLY_TRACKED for ratio in ratios)
        partly = sum(ratio >= PARTLY_TRACKED for ratio in ratios) - mostly
        return ClearCounts(
            self._tp,
            self._fn,
            self._fp,
            self._switches,
            self._similarity,
            mostly,
            partly,
            len(ratios) - mostly - partly,
            sum(starts - 1 for starts in self._starts.values() if starts),
        )

    def _matched(self, frame: Detections, truth: list[int], predicted: list[int]) -> dict[int, int]:
        before = np.array([self._previous.get(id_, -1) for id_ in truth])
        score = CONTINUITY * (frame.predicted[None] == before[:, None]) + frame.similarity
        score[frame.similarity < MATCH_IOU - EPSILON] = 0
        rows, columns = linear_sum_assignment(-score)
        real = score[rows, columns] > EPSILON
        rows, columns = rows[real], columns[real]
        self._similarity += float(frame.similarity[rows, columns].sum())
        return {truth[row]: predicted[column] for row, column in zip(rows.tolist(), columns.tolist(), strict=True)}

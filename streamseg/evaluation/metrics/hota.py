"""Higher order tracking accuracy, number for number as TrackEval computes it.

Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking" (IJCV 2021, arXiv 2009.07736),
section 5: at each localisation threshold alpha

    DetA = TP / (TP + FN + FP)          AssA = mean over TP of TPA / (TPA + FNA + FPA)          HOTA = sqrt(DetA * AssA)

and all are averaged over alpha. Frames are matched once, for all thresholds, with a preference for pairs of tracks that
go together over the whole video; so a video is gone through twice.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from .detections import Detections

__all__ = ["ALPHAS", "HotaCounts", "HotaVideo"]

Values = npt.NDArray[np.float64]

ALPHAS: Values = np.arange(0.05, 0.99, 0.05)
EPSILON = float(np.finfo("float").eps)
TINY = 1e-10  # so that LocA is 1 where nothing matches


def _zeros() -> Values:
    return np.zeros(len(ALPHAS))


@dataclass(frozen=True, slots=True, eq=False)
class HotaCounts:
    """Sums over videos, each (19,), one place for each alpha.

    Attributes:
        tp, fn, fp: detections.
        ass_a, ass_re, ass_pr: association scores, summed over true positives.
        similarity: summed over true positives.
    """

    tp: Values = field(default_factory=_zeros)
    fn: Values = field(default_factory=_zeros)
    fp: Values = field(default_factory=_zeros)
    ass_a: Values = field(default_factory=_zeros)
    ass_re: Values = field(default_factory=_zeros)
    ass_pr: Values = field(default_factory=_zeros)
    similarity: Values = field(default_factory=_zeros)

    def __add__(self, other: "HotaCounts") -> "HotaCounts":
        return HotaCounts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def scores(self) -> dict[str, Values]:
        """HOTA, DetA, AssA, DetRe, DetPr, AssRe, AssPr and LocA at each alpha."""
        det_a = self.tp / np.maximum(1, self.tp + self.fn + self.fp)
        matched = np.maximum(1, self.tp)
        ass_a = self.ass_a / matched
        return {
            "HOTA": np.sqrt(det_a * ass_a),
            "DetA": det_a,
            "AssA": ass_a,
            "DetRe": self.tp / np.maximum(1, self.tp + self.fn),
            "DetPr": self.tp / np.maximum(1, self.tp + self.fp),
            "AssRe": self.ass_re / matched,
            "AssPr": self.ass_pr / matched,
            "LocA": np.maximum(TINY, self.similarity) / np.maximum(TINY, self.tp),
        }


class HotaVideo:
    """One video: `look` at every frame, then `match` every frame, then read the `counts`."""

    def __init__(self) -> None:
        self._truth: dict[int, int] = {}  # frames of each track
        self._predicted: dict[int, int] = {}
        self._pairs: dict[tuple[int, int], int] = {}  # number of each pair of tracks that ever overlap
        self._alignment: list[float] = []  # by pair, as the others
        self._levels: dict[int, Values] = {}  # matches by how many thresholds they pass
        self._tp, self._fn, self._fp, self._similarity = (_zeros() for _ in range(4))

    def look(self, frame: Detections) -> None:
        """First pass: which tracks go together."""
        for counts, ids in ((self._truth, frame.truth), (self._predicted, frame.predicted)):
            for id_ in ids.tolist():
                counts[id_] = counts.get(id_, 0) + 1
        similarity = frame.similarity
        rows, columns = np.nonzero(similarity)
        if not len(rows):
            return
        union = similarity.sum(0)[None] + similarity.sum(1)[:, None] - similarity
        shares = similarity[rows, columns] / union[rows, columns]
        for pair, share in zip(_named(frame, rows, columns), shares.tolist(), strict=True):
            number = self._pairs.setdefault(pair, len(self._pairs))
            if number == len(self._alignment):
                self._alignment.append(0.0)
            self._alignment[number] += share

    def match(self, frame: Detections) -> None:
        """Second pass, after all frames have been looked at."""
        found: Values = np.zeros(0)
        if len(frame.truth) and len(frame.predicted):
            found = self._matched(frame)
        # Of one column for each threshold: which matches pass it.
        passed = found[:, None] >= ALPHAS - EPSILON
        matches = passed.sum(0)
        self._tp += matches
        self._fn += len(frame.truth) - matches
        self._fp += len(frame.predicted) - matches
        self._similarity += (found[:, None] * passed).sum(0)

    def counts(self) -> HotaCounts:
        """The sums of the video."""
        if not self._levels:
            return HotaCounts(self._tp, self._fn, self._fp, similarity=self._similarity)
        pairs = list(self._pairs)
        chosen = list(self._levels)
        together = np.array([self._levels[number] for number in chosen])
        true = np.array([[self._truth[pairs[number][0]]] for number in chosen], np.float64)
        predicted = np.array([[self._predicted[pairs[number][1]]] for number in chosen], np.float64)
        squares = together * together
        return HotaCounts(
            self._tp,
            self._fn,
            self._fp,
            (squares / np.maximum(1, true + predicted - together)).sum(0),
            (squares / np.maximum(1, true)).sum(0),
            (squares / np.maximum(1, predicted)).sum(0),
            self._similarity,
        )

    def _matched(self, frame: Detections) -> Values:
        """Similarity of each match of a frame; the matches are noted by pair of tracks."""
        similarity = frame.similarity
        rows, columns = np.nonzero(similarity)
        numbers = np.full(similarity.shape, -1)
        weight = np.zeros(similarity.shape)
        for row, column, pair in zip(rows.tolist(), columns.tolist(), _named(frame, rows, columns), strict=True):
            number = numbers[row, column] = self._pairs[pair]
            shared = self._alignment[number]
            weight[row, column] = shared / (self._truth[pair[0]] + self._predicted[pair[1]] - shared)
        chosen = linear_sum_assignment(-(weight * similarity))
        for number, value in zip(numbers[chosen].tolist(), similarity[chosen].tolist(), strict=True):
            if number >= 0:
                if number not in self._levels:
                    self._levels[number] = _zeros()
                self._levels[number] += value >= ALPHAS - EPSILON
        found: Values = similarity[chosen]
        return found


def _named(frame: Detections, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> list[tuple[int, int]]:
    """The ids of each pair."""
    return list(zip(frame.truth[rows].tolist(), frame.predicted[columns].tolist(), strict=True))

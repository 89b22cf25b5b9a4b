"""Average precision and recall of tracks, number for number as the YouTube-VIS evaluation computes them.

Yang et al., "Video Instance Segmentation" (arXiv 1905.04804), section 3: COCO's average precision where a detection is
a whole track, and the IoU of two tracks is the sum of their intersections over the sum of their unions. What that
leaves open follows YTVOSeval: 10 thresholds from 0.5 to 0.95, 101 recall points, and at most 1, 10 and 100 detections
of each video and category.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PredictedTrack", "TrackPrecision", "TrackPrecisionScores", "TrueTrack"]

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

THRESHOLDS: Values = np.linspace(0.5, 0.95, 10)
RECALLS: Values = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = (1, 10, 100)
LARGEST = 1e5**2
AREAS = {"all": (0.0, LARGEST), "small": (0.0, 128.0**2), "medium": (128.0**2, 256.0**2), "large": (256.0**2, LARGEST)}
NONE = -1.0  # where nothing is defined
EMPTY = {"error": "IndexError (empty result list)"}  # what becomes of the reference code


@dataclass(frozen=True, slots=True)
class TrueTrack:
    """A true track: its category, whether it is a crowd, and its mean area over the frames that show it."""

    category_id: int
    iscrowd: bool
    area: float


@dataclass(frozen=True, slots=True)
class PredictedTrack:
    """A predicted track: its category, its score, and its mean area over the frames that show it."""

    category_id: int
    score: float
    area: float


@dataclass(frozen=True, slots=True, eq=False)
class TrackPrecisionScores:
    """Precision and recall at every setting; -1 where a category has no true track.

    Attributes:
        category_ids: (C,) in ascending order.
        precision: (10 thresholds, 101 recalls, C, 4 areas, 3 limits).
        recall: (10, C, 4, 3), the highest that is reached.
        detections: how many tracks were predicted.
    """

    category_ids: Sequence[int]
    precision: Values
    recall: Values
    detections: int

    def ap(self, *, threshold: int | None = None, area: str = "all", category: int | None = None) -> float:
        """Average precision at 100 detections: a mean over thresholds (or at one of them) and categories."""
        table = self.precision[..., _place(area), -1]
        return _mean(_taken(table, threshold, category, category_axis=2))

    def ar(self, limit: int = 100, *, area: str = "all", category: int | None = None) -> float:
        """Average recall with so many detections."""
        table = self.recall[..., _place(area), MAX_DETECTIONS.index(limit)]
        return _mean(_taken(table, None, category, category_axis=1))

    def to_dict(self) -> dict[str, Any]:
        """For JSON, under the names that the reference prints."""
        if not self.detections:
            return dict(EMPTY)
        summary = {"AP": self.ap(), "AP50": self.ap(threshold=0), "AP75": self.ap(threshold=5)}
        summary |= {f"AP{area[0]}": self.ap(area=area) for area in list(AREAS)[1:]}
        summary |= {f"AR{limit}": self.ar(limit) for limit in MAX_DETECTIONS}
        summary |= {f"AR{area[0]}": self.ar(area=area) for area in list(AREAS)[1:]}
        return summary | {"per_class": {str(key): self._class(place) for place, key in enumerate(self.category_ids)}}

    def _class(self, place: int) -> dict[str, float]:
        scores = {
            "AP": self.ap(category=place),
            "AP50": self.ap(threshold=0, category=place),
            "AP75": self.ap(threshold=5, category=place),
        }
        return scores | {f"AR{limit}": self.ar(limit, category=place) for limit in MAX_DETECTIONS}


class TrackPrecision:
    """Matches of any number of videos. Precision is a matter of all detections together, so a few bytes are kept of
    each; masks are not.

    Args:
        category_ids: to be scored.
    """

    def __init__(self, category_ids: Sequence[int]) -> None:
        self.category_ids = sorted(category_ids)
        self._matches: dict[int, list[_Matches]] = {category: [] for category in self.category_ids}
        self._detections = 0

    def add(self, truth: Sequence[TrueTrack], predicted: Sequence[PredictedTrack], iou: Values) -> None:
        """One video.

        Args:
            truth: in the order in which they were listed, as of several with the same IoU the last one is taken.
            predicted: likewise; of several with one score the first comes first.
            iou: (len(truth), len(predicted)); only pairs of one category are looked at.
        """
        self._detections += len(predicted)
        for category, matches in self._matches.items():
            rows = [row for row, track in enumerate(truth) if track.category_id == category]
            columns = [column for column, track in enumerate(predicted) if track.category_id == category]
            columns.sort(key=lambda column: -predicted[column].score)
            columns = columns[: MAX_DETECTIONS[-1]]
            if rows or columns:
                matches.append(
                    _match([truth[row] for row in rows], [predicted[c] for c in columns], iou[rows][:, columns])
                )

    def result(self) -> TrackPrecisionScores:
        """The scores of all videos so far."""
        shape = len(self.category_ids), len(AREAS), len(MAX_DETECTIONS)
        precision = np.full((len(THRESHOLDS), len(RECALLS), *shape), NONE)
        recall = np.full((len(THRESHOLDS), *shape), NONE)
        for place, category in enumerate(self.category_ids):
            for area in range(len(AREAS)):
                for limit, most in enumerate(MAX_DETECTIONS):
                    curve = _curve(self._matches[category], area, most)
                    if curve is not None:
                        precision[:, :, place, area, limit], recall[:, place, area, limit] = curve
        return TrackPrecisionScores(self.category_ids, precision, recall, self._detections)


@dataclass(frozen=True, slots=True, eq=False)
class _Matches:
    """One category in one video, D detections by falling score.

    Attributes:
        scores: (D,).
        hit, ignored: (4 areas, 10 thresholds, D).
        positives: (4,) true tracks that count.
    """

    scores: Values
    hit: Flags
    ignored: Flags
    positives: npt.NDArray[np.int64]


def _match(truth: Sequence[TrueTrack], predicted: Sequence[PredictedTrack], iou: Values) -> _Matches:
    crowd = np.array([track.iscrowd for track in truth], bool)
    true_areas = np.array([track.area for track in truth])
    areas = np.array([track.area for track in predicted])
    hits, ignoreds, positives = [], [], []
    for lowest, highest in AREAS.values():
        outside = (true_areas < lowest) | (true_areas > highest) | crowd
        order = np.argsort(outside, kind="stable")
        hit, ignored = _greedy(iou[order], crowd[order], outside[order])
        ignored |= ~hit & ((areas < lowest) | (areas > highest))
        hits.append(hit)
        ignoreds.append(ignored)
        positives.append(np.count_nonzero(~outside))
    scores = np.array([track.score for track in predicted])
    return _Matches(scores, np.array(hits), np.array(ignoreds), np.array(positives))


def _greedy(iou: Values, crowd: Flags, outside: Flags) -> tuple[Flags, Flags]:
    """(T, D) whether each detection matches, and whether what it matches is left out.

    Detections choose in their order: the free true track with the highest IoU, of equals the last; one that is left
    out only where there is no other. Crowds stay free.
    """
    tracks, detections = iou.shape
    hit, ignored = (np.zeros((len(THRESHOLDS), detections), bool) for _ in range(2))
    if not tracks:
        return hit, ignored
    free = np.ones((len(THRESHOLDS), tracks), bool)
    lines = np.arange(len(THRESHOLDS))
    lowest = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
    for detection in range(detections):
        fits = (iou[:, detection] >= lowest) & (free | crowd)
        fits &= ~(outside & (fits & ~outside).any(1, keepdims=True))
        best = tracks - 1 - np.where(fits, iou[:, detection], NONE)[:, ::-1].argmax(1)
        found = fits[lines, best]
        hit[:, detection] = found
        ignored[:, detection] = found & outside[best]
        free[lines[found], best[found]] = False
    return hit, ignored


def _curve(videos: Sequence[_Matches], area: int, most: int) -> tuple[Values, Values] | None:
    """(10, 101) precision at each recall and (10,) highest recall; None where no true track counts."""
    positives = sum(int(video.positives[area]) for video in videos)
    if not positives:
        return None
    scores = np.concatenate([video.scores[:most] for video in videos])
    order = np.argsort(-scores, kind="stable")
    hit = np.concatenate([video.hit[area, :, :most] for video in videos], axis=1)[:, order]
    ignored = np.concatenate([video.ignored[area, :, :most] for video in videos], axis=1)[:, order]
    true, false = np.cumsum(hit & ~ignored, axis=1), np.cumsum(~hit & ~ignored, axis=1)
    recall = true / positives
    precision = true / (true + false + np.spacing(1))
    # The best that is reached at this recall or a higher one.
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    read = np.zeros((len(THRESHOLDS), len(RECALLS)))
    for line in range(len(THRESHOLDS)):
        places = np.searchsorted(recall[line], RECALLS, side="left")
        reached = places < len(order)
        read[line, reached] = precision[line, places[reached]]
    return read, recall[:, -1] if len(order) else np.zeros(len(THRESHOLDS))


def _place(area: str) -> int:
    return list(AREAS).index(area)


def _taken(table: Values, threshold: int | None, category: int | None, category_axis: int) -> Values:
    if category is not None:
        table = table.take([category], category_axis)
    return table if threshold is None else table[[threshold]]


def _mean(values: Values) -> float:
    defined = values[values > NONE]
    return float(defined.mean()) if len(defined) else NONE

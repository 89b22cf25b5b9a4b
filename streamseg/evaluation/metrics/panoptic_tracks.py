"""Tracks of panoptic video for average precision: one for each id and category of a thing, in order of appearance.

Segments of a map are disjoint, so the joint histogram of the frames gives every intersection and no mask is needed.
"""

from collections.abc import Mapping

import numpy as np

from .compared_frame import ComparedFrame, by_id
from .overlaps import Counts, OverlapSum
from .panoptic_quality import SegmentInfo
from .track_precision import PredictedTrack, TrackPrecision, TrackPrecisionScores, TrueTrack

__all__ = ["PanopticTrackPrecision"]

NO_SCORE = 1.0


class PanopticTrackPrecision:
    """Average precision of tracks over any number of panoptic videos.

    A true track's crowd flag is that of its first frame. A predicted one's score is the mean over the frames that list
    it, and 1 where none is given.

    Args:
        categories: whether each category id is a thing; only things are scored.
    """

    def __init__(self, categories: Mapping[int, bool]) -> None:
        self._precision = TrackPrecision([category for category, isthing in categories.items() if isthing])
        self._things = set(self._precision.category_ids)
        self._begin()

    def add(self, frame: ComparedFrame) -> None:
        """The next frame of the video."""
        overlaps = frame.overlaps
        truth = self._truth.add(frame.truth, overlaps.true_areas())
        predicted = self._predicted.add(frame.predicted, overlaps.predicted_areas())
        self._shared.add(
            _numbered(overlaps.ground_truth_ids, truth), _numbered(overlaps.predicted_ids, predicted), overlaps.pixels
        )

    def end_video(self, name: str) -> None:  # noqa: ARG002 - as every metric
        total = self._shared.total()
        shared = np.zeros((len(self._truth.areas) + 1, len(self._predicted.areas) + 1))
        shared[total.ground_truth_ids, total.predicted_ids] = total.pixels
        union = shared.sum(1, keepdims=True) + shared.sum(0) - shared
        iou = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)[1:, 1:]
        truth = [
            TrueTrack(category, crowd, area)
            for (_, category), crowd, area in zip(
                self._truth.numbers, self._truth.crowds, self._truth.mean_areas(), strict=True
            )
        ]
        predicted = [
            PredictedTrack(category, score, area)
            for (_, category), score, area in zip(
                self._predicted.numbers, self._predicted.mean_scores(), self._predicted.mean_areas(), strict=True
            )
        ]
        self._precision.add(truth, predicted, iou)
        self._begin()

    def result(self) -> TrackPrecisionScores:
        """The scores of all videos that have ended."""
        return self._precision.result()

    def _begin(self) -> None:
        self._truth, self._predicted = _Tracks(self._things), _Tracks(self._things)
        self._shared = OverlapSum()


class _Tracks:
    """Those of one side of a video, by number from 1."""

    def __init__(self, things: set[int]) -> None:
        self._things = things
        self.numbers: dict[tuple[int, int], int] = {}
        self.areas: list[int] = []
        self.crowds: list[bool] = []
        self._shown: list[int] = []  # frames with pixels
        self._listed: list[int] = []
        self._scores: list[float] = []

    def add(self, segments: tuple[SegmentInfo, ...], areas: Mapping[int, int]) -> dict[int, int]:
        """The number of each id in this frame; others are 0."""
        found = {}
        for id_, segment in by_id(segments).items():
            if segment.category_id in self._things:
                place = self._place(segment)
                area = areas.get(id_, 0)
                self.areas[place] += area
                self._shown[place] += area > 0
                self._listed[place] += 1
                self._scores[place] += NO_SCORE if segment.score is None else segment.score
                found[id_] = place + 1
        return found

    def mean_areas(self) -> list[float]:
        return [area / shown if shown else 0.0 for area, shown in zip(self.areas, self._shown, strict=True)]

    def mean_scores(self) -> list[float]:
        # Rounded, so that a constant score comes out as it went in, and ties stay ties.
        return [round(score / listed, 9) for score, listed in zip(self._scores, self._listed, strict=True)]

    def _place(self, segment: SegmentInfo) -> int:
        number = self.numbers.setdefault((segment.id, segment.category_id), len(self.numbers) + 1)
        if number > len(self.areas):
            self.areas.append(0)
            self.crowds.append(segment.iscrowd)
            self._shown.append(0)
            self._listed.append(0)
            self._scores.append(0.0)
        return number - 1


def _numbered(ids: Counts, numbers: Mapping[int, int]) -> Counts:
    return np.array([numbers.get(id_, 0) for id_ in ids.tolist()], np.int64)

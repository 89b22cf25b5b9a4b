"""Segmentation and tracking quality, number for number as the field's reference class computes it.

Weber et al., "STEP: Segmenting and Tracking Every Pixel" (arXiv 2102.11859), section 4: with true tubes g and predicted
tubes p of things,

    AQ  = mean over g of 1/|g| * sum over p of |g & p| * |g & p| / |g | p|      (equations 1 to 3)
    SQ  = mean IoU of categories                                                (equation 4)
    STQ = sqrt(AQ * SQ)                                                         (equation 5)

What the paper leaves open follows deeplab2's STQuality. Void is one more category of SQ: where it is predicted on
labelled pixels, it enters the mean with IoU 0. A tube is a pair of id and category. Pixels of crowd are left out of
AQ on both sides, and matching does not look at the category.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .compared_frame import ComparedFrame, by_id
from .overlaps import Counts, Overlaps, OverlapSum
from .panoptic_quality import SegmentInfo

__all__ = ["CrowdRule", "SegmentationTrackingQuality", "SegmentationTrackingScores"]

CrowdRule = Literal["annotated", "first-listed"]


@dataclass(frozen=True, slots=True)
class SegmentationTrackingScores:
    """The scores of one video or of many; NaN where nothing is labelled.

    Attributes:
        aq: association quality; 0 where no thing is true.
        sq: segmentation quality.
        length: frames.
        per_sequence: the scores of each video, by name.
    """

    aq: float
    sq: float
    length: int
    per_sequence: Mapping[str, "SegmentationTrackingScores"]

    @property
    def stq(self) -> float:
        return math.sqrt(self.aq * self.sq)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; None for NaN."""
        return self._plain() | {
            "per_sequence": {
                name: {**scores._plain(), "length": scores.length} for name, scores in self.per_sequence.items()
            }
        }

    def _plain(self) -> dict[str, float | None]:
        values = {"STQ": self.stq, "AQ": self.aq, "SQ": self.sq}
        return {name: None if math.isnan(value) else value for name, value in values.items()}


class SegmentationTrackingQuality:
    """Counts over any number of videos; memory holds the tubes of one video.

    Args:
        categories: whether each category id is a thing.
        crowd: what AQ leaves out. "annotated": things with the crowd flag. "first-listed": what VIPSeg's own script
            leaves out, the id that a video lists first, where it is a thing; there a crowd is an object like others.
    """

    def __init__(self, categories: Mapping[int, bool], crowd: CrowdRule = "annotated") -> None:
        self._isthing = dict(categories)
        self._crowd = crowd
        self._confusion = OverlapSum()
        self._codes: dict[int, int] = {}
        self._association, self._tubes, self._frames = 0.0, 0, 0
        self._sequences: dict[str, SegmentationTrackingScores] = {}
        self._video = _Video()

    def add(self, frame: ComparedFrame) -> None:
        """The next frame of the video. Ids that are not listed are void."""
        overlaps, video = frame.overlaps, self._video
        if video.first_listed is None:
            video.first_listed = next((segment.id for segment in frame.truth), None)
        truth = self._looked_up(frame.truth, video.truth)
        predicted = self._looked_up(frame.predicted, video.predicted)
        true_code, true_tube, crowd = _columns(overlaps.ground_truth_ids, truth)
        code, tube, _ = _columns(overlaps.predicted_ids, predicted)
        for confusion in (self._confusion, video.confusion):
            confusion.add(true_code, code, overlaps.pixels)
        counted = crowd == 0
        video.tubes.add(true_tube[counted], tube[counted], overlaps.pixels[counted])
        video.frames += 1

    def end_video(self, name: str) -> None:
        video, self._video = self._video, _Video()
        qualities, sizes = _association(video.tubes.total(), len(video.truth))
        sum_, count = float(qualities.sum()), int(np.count_nonzero(sizes))
        self._association, self._tubes, self._frames = (
            self._association + sum_,
            self._tubes + count,
            self._frames + video.frames,
        )
        self._sequences[name] = SegmentationTrackingScores(
            sum_ / count if count else 0.0, _mean_iou(video.confusion.total()), video.frames, {}
        )

    def result(self) -> SegmentationTrackingScores:
        """The scores of all videos that have ended."""
        association = self._association / self._tubes if self._tubes else 0.0
        return SegmentationTrackingScores(
            association, _mean_iou(self._confusion.total()), self._frames, dict(self._sequences)
        )

    def _looked_up(
        self, segments: Iterable[SegmentInfo], tubes: dict[tuple[int, int], int]
    ) -> dict[int, tuple[int, int, int]]:
        """By id: the category's code, the tube's number, whether AQ leaves it out. Codes and tubes count from 1."""
        found: dict[int, tuple[int, int, int]] = {}
        for id_, segment in by_id(list(segments)).items():
            code = self._codes.setdefault(segment.category_id, len(self._codes) + 1)
            tube, crowd = 0, False
            if self._isthing.get(segment.category_id, False):
                crowd = tubes is self._video.truth and self._is_crowd(segment)
                tube = 0 if crowd else tubes.setdefault((id_, segment.category_id), len(tubes) + 1)
            found[id_] = code, tube, crowd
        return found

    def _is_crowd(self, segment: SegmentInfo) -> bool:
        return segment.iscrowd if self._crowd == "annotated" else segment.id == self._video.first_listed


class _Video:
    """What is known of the video that is going on."""

    def __init__(self) -> None:
        self.truth: dict[tuple[int, int], int] = {}  # number of each tube, by id and category
        self.predicted: dict[tuple[int, int], int] = {}
        self.tubes, self.confusion = OverlapSum(), OverlapSum()
        self.first_listed: int | None = None
        self.frames = 0


def _columns(ids: Counts, segments: Mapping[int, tuple[int, int, int]]) -> Counts:
    """(3, N): code, tube and crowd flag of each id; zeros for void."""
    return np.array([segments.get(id_, (0, 0, 0)) for id_ in ids.tolist()], np.int64).reshape(-1, 3).T


def _association(tubes: Overlaps, true_tubes: int) -> tuple[npt.NDArray[np.float64], Counts]:
    """(T + 1,) association quality and size of each true tube; the first place is void's."""
    true, predicted, shared = tubes.ground_truth_ids, tubes.predicted_ids, tubes.pixels
    sizes = np.bincount(true, shared, true_tubes + 1)
    predicted_sizes = np.bincount(predicted, shared)
    both = (true > 0) & (predicted > 0)
    true, predicted, shared = true[both], predicted[both], shared[both].astype(np.float64)
    gain = shared * (shared / (sizes[true] + predicted_sizes[predicted] - shared))
    sums = np.bincount(true, gain, true_tubes + 1)
    sizes[0] = 0
    return sums / np.maximum(sizes, 1), sizes.astype(np.int64)


def _mean_iou(confusion: Overlaps) -> float:
    """Over everything with pixels on labelled ground; code 0 is void."""
    labelled = confusion.ground_truth_ids > 0
    true, predicted, pixels = (
        column[labelled] for column in (confusion.ground_truth_ids, confusion.predicted_ids, confusion.pixels)
    )
    if not len(true):
        return math.nan
    codes = int(max(true.max(), predicted.max())) + 1
    hits = np.bincount(true[true == predicted], pixels[true == predicted], codes)
    unions = np.bincount(true, pixels, codes) + np.bincount(predicted, pixels, codes) - hits
    return float((hits / np.maximum(unions, 1)).sum() / np.count_nonzero(unions))

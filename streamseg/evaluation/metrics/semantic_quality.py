"""Mean IoU of categories: panoptic maps read as semantic ones.

As detectron2's semantic evaluation has it: one confusion matrix over all pixels that the truth labels. A category's
IoU is TP / (TP + FP + FN); the mean is over the categories that the truth has. `mIoU_union`, as VSPW's own script has
it, is over those that are predicted too, which then count as 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .compared_frame import ComparedFrame, by_id
from .overlaps import Counts, Overlaps, OverlapSum

__all__ = ["SemanticQuality", "SemanticScores"]


@dataclass(frozen=True, slots=True)
class SemanticScores:
    """Counts of pixels on labelled ground, by category.

    Attributes:
        true, predicted, shared: pixels of each category: in the truth, in the prediction, in both.
    """

    true: Mapping[int, int]
    predicted: Mapping[int, int]
    shared: Mapping[int, int]

    def iou(self, category_id: int) -> float | None:
        """None for a category in neither."""
        union = self.true[category_id] + self.predicted[category_id] - self.shared[category_id]
        return self.shared[category_id] / union if union else None

    @property
    def mean_iou(self) -> float | None:
        """Over categories that the truth has; None without any."""
        return _mean([self.iou(key) for key, pixels in self.true.items() if pixels])

    @property
    def mean_iou_union(self) -> float | None:
        """Over categories in the truth or in the prediction."""
        return _mean([self.iou(key) for key in self.true])

    @property
    def frequency_weighted_iou(self) -> float | None:
        """Each category weighted by its pixels in the truth."""
        total = sum(self.true.values())
        return sum((self.iou(key) or 0) * pixels for key, pixels in self.true.items()) / total if total else None

    @property
    def mean_accuracy(self) -> float | None:
        """Mean over categories of the share of their pixels that was found."""
        return _mean([self.shared[key] / pixels for key, pixels in self.true.items() if pixels])

    @property
    def pixel_accuracy(self) -> float | None:
        """Share of labelled pixels that have their category."""
        total = sum(self.true.values())
        return sum(self.shared.values()) / total if total else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON, fractions."""
        return {
            "mIoU": self.mean_iou,
            "mIoU_union": self.mean_iou_union,
            "fwIoU": self.frequency_weighted_iou,
            "mACC": self.mean_accuracy,
            "pACC": self.pixel_accuracy,
            "per_class": {str(key): self.iou(key) for key in self.true},
        }


class SemanticQuality:
    """Counts over any number of frames.

    Args:
        categories: ids to be scored; others count as void.
    """

    def __init__(self, categories: Mapping[int, bool]) -> None:
        self._codes = {category: code for code, category in enumerate(categories, start=1)}
        self._confusion = OverlapSum()

    def add(self, frame: ComparedFrame) -> None:
        """One frame."""
        truth = {id_: self._codes.get(s.category_id, 0) for id_, s in by_id(frame.truth).items()}
        predicted = {id_: self._codes.get(s.category_id, 0) for id_, s in by_id(frame.predicted).items()}
        overlaps = frame.overlaps
        true = _coded(overlaps.ground_truth_ids, truth)
        labelled = true > 0
        self._confusion.add(
            true[labelled], _coded(overlaps.predicted_ids, predicted)[labelled], overlaps.pixels[labelled]
        )

    def end_video(self, name: str) -> None:
        """Videos are not told apart."""

    def result(self) -> SemanticScores:
        """The scores of all frames so far."""
        total = self._confusion.total()
        hits = total.ground_truth_ids == total.predicted_ids
        same = Overlaps(total.ground_truth_ids[hits], total.predicted_ids[hits], total.pixels[hits])
        true, predicted, shared = total.true_areas(), total.predicted_areas(), same.true_areas()
        return SemanticScores(
            *({key: counts.get(code, 0) for key, code in self._codes.items()} for counts in (true, predicted, shared))
        )


def _coded(ids: Counts, codes: Mapping[int, int]) -> Counts:
    return np.array([codes.get(id_, 0) for id_ in ids.tolist()], np.int64)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None

"""Panoptic quality, number for number as the field's reference code computes it.

Kirillov et al., "Panoptic Segmentation" (arXiv 1801.00868), section 4: a predicted and a true segment of one category
match where their IoU exceeds 0.5, which makes matches unique, and

    PQ = sum of IoU over TP / (TP + FP / 2 + FN / 2) = SQ x RQ

per category, from counts summed over all frames. What the equation leaves open follows panopticapi: what void and crowd
regions forgive, whose word an area is, and which categories enter a mean.

A unit is compared through its `Overlaps`, and these add up: a window of several frames needs the sum of its frames'
overlaps and the segments of its tubes, and is otherwise the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import EvaluationError
from .overlaps import VOID, Counts, Ids, Overlaps

__all__ = ["ClassQuality", "GroupQuality", "PanopticQuality", "PanopticScores", "SegmentInfo"]

MATCH_IOU = 0.5  # a match exceeds it
FORGIVEN_SHARE = 0.5  # a false positive with more than this of its area on void and crowd does not count


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """One segment of a frame, as COCO's `segments_info` lists it.

    Attributes:
        id: its value in the map, at least 1.
        category_id: one of the scored categories.
        iscrowd: a region of many instances that are not told apart; ground truth only.
        area: in pixels; None for what the map shows. The reference code takes the stated area of ground truth, and
            counts that of predictions, whatever is stated.
        score: how sure a prediction is; only average precision looks at it.
    """

    id: int
    category_id: int
    iscrowd: bool = False
    area: int | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class ClassQuality:
    """The counts of one category. Its qualities are 0 where the reference's are: without matches, without segments."""

    iou: float = 0.0
    tp: int = 0
    fp: int = 0
    fn: int = 0

    @property
    def pq(self) -> float:
        return self.iou / self._segments if self.occurs else 0.0

    @property
    def sq(self) -> float:
        return self.iou / self.tp if self.tp else 0.0

    @property
    def rq(self) -> float:
        return self.tp / self._segments if self.occurs else 0.0

    @property
    def occurs(self) -> bool:
        """In the ground truth or in the predictions; only such categories enter a mean."""
        return self.tp + self.fp + self.fn > 0

    @property
    def in_ground_truth(self) -> bool:
        return self.tp + self.fn > 0

    @property
    def _segments(self) -> float:
        return self.tp + self.fp / 2 + self.fn / 2

    def to_dict(self) -> dict[str, Any]:
        return {"pq": self.pq, "sq": self.sq, "rq": self.rq} | self.counts()

    def counts(self) -> dict[str, Any]:
        """What adds up over frames."""
        return {"iou": self.iou, "tp": self.tp, "fp": self.fp, "fn": self.fn}


@dataclass(frozen=True, slots=True)
class GroupQuality:
    """Unweighted means over the `n` categories of a group that occur."""

    pq: float
    sq: float
    rq: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        return {"pq": self.pq, "sq": self.sq, "rq": self.rq, "n": self.n}


@dataclass(frozen=True, slots=True)
class PanopticScores:
    """Panoptic quality of everything that was compared.

    Attributes:
        per_class: counts by category id, in the order in which the categories were given.
        isthing: by category id.
    """

    per_class: Mapping[int, ClassQuality]
    isthing: Mapping[int, bool]

    @property
    def all(self) -> GroupQuality | None:
        return self.over(self.per_class)

    @property
    def things(self) -> GroupQuality | None:
        return self.over(key for key in self.per_class if self.isthing[key])

    @property
    def stuff(self) -> GroupQuality | None:
        return self.over(key for key in self.per_class if not self.isthing[key])

    def over(self, category_ids: Iterable[int]) -> GroupQuality | None:
        """Means over some categories; None where none of them occurs, where the reference divides by zero."""
        members = [self.per_class[key] for key in category_ids if self.per_class[key].occurs]
        if not members:
            return None
        return GroupQuality(
            pq=sum(member.pq for member in members) / len(members),
            sq=sum(member.sq for member in members) / len(members),
            rq=sum(member.rq for member in members) / len(members),
            n=len(members),
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON; a group without categories says what becomes of the reference code there."""
        groups = {"All": self.all, "Things": self.things, "Stuff": self.stuff}
        document: dict[str, Any] = {
            name: group.to_dict() if group else {"error": "ZeroDivisionError"} for name, group in groups.items()
        }
        return document | {"per_class": {str(key): value.to_dict() for key, value in self.per_class.items()}}


class PanopticQuality:
    """Counts over any number of frames, in memory that does not grow with them.

    Args:
        categories: whether each category id is a thing.
    """

    def __init__(self, categories: Mapping[int, bool]) -> None:
        self.isthing = dict(categories)
        self._position = {category: position for position, category in enumerate(self.isthing)}
        self._iou = np.zeros(len(self.isthing))
        self._tp, self._fp, self._fn = (np.zeros(len(self.isthing), np.int64) for _ in range(3))

    def add(
        self,
        ground_truth_ids: Ids,
        ground_truth_segments: Sequence[SegmentInfo],
        predicted_ids: Ids,
        predicted_segments: Sequence[SegmentInfo],
    ) -> None:
        """Compare one frame.

        Args:
            ground_truth_ids, predicted_ids: (H, W) integers, each pixel's segment; 0 is void.
            ground_truth_segments, predicted_segments: what the ids mean. The order of the former decides which of
                several crowd regions of one category forgives false positives: the last. True ids that are not listed
                belong to nothing, and are not void either, as in the reference.

        Raises:
            EvaluationError: the sizes differ; a predicted id is not listed, or is listed and has no pixels; a category
                is not among those that are scored; a listed id is not at least 1.
        """
        overlaps = Overlaps.between(ground_truth_ids, predicted_ids)
        self.add_overlaps(overlaps, ground_truth_segments, predicted_segments)

    def add_overlaps(
        self,
        overlaps: Overlaps,
        ground_truth_segments: Sequence[SegmentInfo],
        predicted_segments: Sequence[SegmentInfo],
    ) -> None:
        """`add` for a unit whose overlaps are known already."""
        truth, predicted = _by_id(ground_truth_segments), _by_id(predicted_segments)
        truth_categories = self._positions(truth, "ground truth")
        predicted_categories = self._positions(predicted, "prediction")
        shared, void = _tables(overlaps, truth, predicted)
        predicted_areas = _predicted_areas(overlaps, predicted)
        iou = _intersection_over_union(shared, void, _true_areas(overlaps, truth), predicted_areas)
        crowd = np.array([segment.iscrowd for segment in truth.values()], bool)
        same_category = truth_categories[:, None] == predicted_categories
        matches = (iou > MATCH_IOU) & same_category & ~crowd[:, None]

        rows, columns = np.nonzero(matches)
        np.add.at(self._iou, truth_categories[rows], iou[rows, columns])
        np.add.at(self._tp, truth_categories[rows], 1)
        np.add.at(self._fn, truth_categories[~matches.any(1) & ~crowd], 1)
        forgiven = void + _on_crowd_of_own_category(shared, crowd, truth_categories, predicted_categories)
        false = ~matches.any(0) & (forgiven <= FORGIVEN_SHARE * predicted_areas)
        np.add.at(self._fp, predicted_categories[false], 1)

    def check(
        self,
        overlaps: Overlaps,
        ground_truth_segments: Sequence[SegmentInfo],
        predicted_segments: Sequence[SegmentInfo],
    ) -> None:
        """Raise what `add` would raise, and count nothing."""
        PanopticQuality(self.isthing).add_overlaps(overlaps, ground_truth_segments, predicted_segments)

    def absorb(self, other: "PanopticQuality") -> None:
        """Add the counts of other frames, of the same categories."""
        self._iou += other._iou
        self._tp += other._tp
        self._fp += other._fp
        self._fn += other._fn

    def result(self) -> PanopticScores:
        """The scores of all frames so far."""
        counts = zip(self._iou.tolist(), self._tp.tolist(), self._fp.tolist(), self._fn.tolist(), strict=True)
        per_class = {category: ClassQuality(*entry) for category, entry in zip(self.isthing, counts, strict=True)}
        return PanopticScores(per_class, dict(self.isthing))

    def _positions(self, segments: Mapping[int, SegmentInfo], side: str) -> Counts:
        for segment in segments.values():
            if segment.category_id not in self._position:
                raise EvaluationError(
                    f"segment {segment.id} of the {side} has category {segment.category_id}, "
                    f"expected one of {_listed(self._position)}: score with the list that it was made with"
                )
            if segment.id <= VOID:
                raise EvaluationError(f"the {side} lists a segment {segment.id}, expected ids from 1: 0 is void")
        return np.array([self._position[segment.category_id] for segment in segments.values()], np.int64)


def _by_id(segments: Sequence[SegmentInfo]) -> dict[int, SegmentInfo]:
    """In the order of first listing; of several entries with one id the last counts, as in the reference."""
    return {segment.id: segment for segment in segments}


def _tables(
    overlaps: Overlaps, truth: Mapping[int, SegmentInfo], predicted: Mapping[int, SegmentInfo]
) -> tuple[Counts, Counts]:
    """Pixels that true and predicted segments share (G, P), and of each predicted one on void (P,)."""
    rows, columns = _lookup(overlaps.ground_truth_ids, truth), _lookup(overlaps.predicted_ids, predicted)
    _refuse_unlisted(overlaps.predicted_ids[(columns < 0) & (overlaps.predicted_ids != VOID)])
    shared = np.zeros((len(truth), len(predicted)), np.int64)
    void = np.zeros(len(predicted), np.int64)
    both = (rows >= 0) & (columns >= 0)
    shared[rows[both], columns[both]] = overlaps.pixels[both]
    on_void = (overlaps.ground_truth_ids == VOID) & (columns >= 0)
    void[columns[on_void]] = overlaps.pixels[on_void]
    return shared, void


def _lookup(ids: Counts, segments: Mapping[int, SegmentInfo]) -> Counts:
    """Place of each id among the segments, -1 where it is not listed."""
    place = {segment: index for index, segment in enumerate(segments)}
    return np.array([place.get(id_, -1) for id_ in ids.tolist()], np.int64)


def _areas(ids: Counts, pixels: Counts, segments: Mapping[int, SegmentInfo]) -> Counts:
    """(N,) pixels that the map gives to each segment."""
    places = _lookup(ids, segments)
    areas = np.zeros(len(segments), np.int64)
    np.add.at(areas, places[places >= 0], pixels[places >= 0])
    return areas


def _true_areas(overlaps: Overlaps, truth: Mapping[int, SegmentInfo]) -> Counts:
    counted = _areas(overlaps.ground_truth_ids, overlaps.pixels, truth)
    stated = [segment.area for segment in truth.values()]
    return np.array([own if area is None else area for area, own in zip(stated, counted, strict=True)], np.int64)


def _predicted_areas(overlaps: Overlaps, predicted: Mapping[int, SegmentInfo]) -> Counts:
    areas = _areas(overlaps.predicted_ids, overlaps.pixels, predicted)
    empty = [segment for segment, area in zip(predicted, areas, strict=True) if not area]
    if empty:
        raise EvaluationError(
            f"the prediction lists {_listed(empty)} without pixels in the map, expected none such: leave them out"
        )
    return areas


def _intersection_over_union(
    shared: Counts, void: Counts, true_areas: Counts, predicted_areas: Counts
) -> npt.NDArray[np.float64]:
    """(G, P); predicted pixels on void count as if they were not there."""
    union = predicted_areas + true_areas[:, None] - shared - void
    touching = shared > 0
    if (union[touching] <= 0).any():
        raise EvaluationError("the ground truth states an area of 0 for a segment that has pixels: correct the areas")
    iou: npt.NDArray[np.float64] = np.divide(shared, union, out=np.zeros(shared.shape), where=touching)
    return iou


def _on_crowd_of_own_category(
    shared: Counts, crowd: npt.NDArray[np.bool_], truth_categories: Counts, predicted_categories: Counts
) -> Counts:
    """(P,) pixels of each predicted segment on the crowd region of its category, of several the last listed."""
    region = {category: row for row, category in enumerate(truth_categories.tolist()) if crowd[row]}
    rows = np.array([region.get(category, -1) for category in predicted_categories.tolist()], np.int64)
    with_none = np.vstack((shared, np.zeros((1, len(rows)), np.int64)))  # row -1, for categories without a crowd
    on_crowd: Counts = with_none[rows, np.arange(len(rows))]
    return on_crowd


def _refuse_unlisted(ids: Counts) -> None:
    if len(ids):
        raise EvaluationError(
            f"the predicted map holds {_listed(np.unique(ids).tolist())}, which no segment has: list every id but 0"
        )


def _listed(numbers: Iterable[int], most: int = 8) -> str:
    given = list(numbers)
    more = f" and {len(given) - most} more" if len(given) > most else ""
    return ", ".join(map(str, given[:most])) + more

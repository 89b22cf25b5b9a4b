"""How far two segmentations of the same pictures agree, whatever numbers their segments carry.

For a faster computation of the same model: other precision, other batch sizes, another device.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...panoptic import PanopticMap
from .overlaps import VOID, Counts, Overlaps

__all__ = ["Agreement", "MapAgreement"]

MATCH_IOU = 0.5  # segments of the two maps belong together where they exceed it, which makes pairs unique


@dataclass(frozen=True, slots=True)
class Agreement:
    """Shares from 0 to 1; None where there was nothing to compare.

    Attributes:
        pixels: of all pixels, those that lie in a pair of matched segments, or in void on both sides.
        segments: of the segments of both sides, those that are matched, whatever their label.
        labels: of the matched pairs, those with one category.
    """

    pixels: float | None
    segments: float | None
    labels: float | None

    def to_dict(self) -> dict[str, Any]:
        return {"pixels": self.pixels, "segments": self.segments, "labels": self.labels}


class MapAgreement:
    """Counts over any number of pictures."""

    def __init__(self) -> None:
        self._pixels = self._equal_pixels = self._segments = self._matched = self._equal_labels = 0

    def add(self, first: PanopticMap, second: PanopticMap) -> None:
        """Compare two maps of one picture.

        Raises:
            EvaluationError: their sizes differ.
        """
        overlaps = Overlaps.between(first.ids, second.ids)
        ours, theirs = overlaps.ground_truth_ids, overlaps.predicted_ids
        union = _area_of_each(ours, overlaps.pixels) + _area_of_each(theirs, overlaps.pixels) - overlaps.pixels
        matched = (overlaps.pixels > MATCH_IOU * union) & (ours != VOID) & (theirs != VOID)
        nothing = (ours == VOID) & (theirs == VOID)
        labels = [{segment.id: segment.category_id for segment in side.segments} for side in (first, second)]
        pairs = zip(ours[matched].tolist(), theirs[matched].tolist(), strict=True)
        self._pixels += int(overlaps.pixels.sum())
        self._equal_pixels += int(overlaps.pixels[matched | nothing].sum())
        self._segments += len(first.segments) + len(second.segments)
        self._matched += int(matched.sum())
        self._equal_labels += sum(labels[0][one] == labels[1][other] for one, other in pairs)

    def result(self) -> Agreement:
        """The agreement over all pictures so far."""
        return Agreement(
            pixels=_share(self._equal_pixels, self._pixels),
            segments=_share(2 * self._matched, self._segments),
            labels=_share(self._equal_labels, self._matched),
        )


def _area_of_each(ids: Counts, pixels: Counts) -> Counts:
    """(N,) for each pair, the whole area of its id."""
    _, place = np.unique(ids, return_inverse=True)
    totals = np.bincount(place.ravel(), weights=pixels).astype(np.int64)
    areas: Counts = totals[place.ravel()]
    return areas


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None

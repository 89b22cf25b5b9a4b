"""One frame of ground truth beside its prediction: what every metric of this package is fed with.

The two maps are compared once, and all metrics read the resulting joint histogram.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from .overlaps import Ids, Overlaps
from .panoptic_quality import SegmentInfo

__all__ = ["ComparedFrame", "VideoMetric", "by_id"]


@dataclass(frozen=True, slots=True, eq=False)
class ComparedFrame:
    """A frame's truth and prediction.

    Attributes:
        overlaps: of the two maps.
        truth, predicted: what the ids mean, in the order in which they were listed.
        truth_ids, predicted_ids: (H, W) integers, each pixel's segment; 0 is void.
    """

    overlaps: Overlaps
    truth: tuple[SegmentInfo, ...]
    predicted: tuple[SegmentInfo, ...]
    truth_ids: Ids
    predicted_ids: Ids

    @classmethod
    def of(
        cls, truth_ids: Ids, truth: Sequence[SegmentInfo], predicted_ids: Ids, predicted: Sequence[SegmentInfo]
    ) -> Self:
        """Compare two maps; EvaluationError where their sizes differ."""
        overlaps = Overlaps.between(truth_ids, predicted_ids)
        return cls(overlaps, tuple(truth), tuple(predicted), truth_ids, predicted_ids)


class VideoMetric(Protocol):
    """What is fed with frames in their order, and told where a video ends."""

    def add(self, frame: ComparedFrame) -> None:
        """The next frame of the video."""

    def end_video(self, name: str) -> None:
        """All frames of a video have been added."""


def by_id(segments: Sequence[SegmentInfo]) -> dict[int, SegmentInfo]:
    """In the order of first listing; of several entries with one id the last counts, as in the reference codes."""
    return {segment.id: segment for segment in segments}

"""Video panoptic quality, number for number as the field's reference script computes it.

Kim et al., "Video Panoptic Segmentation" (arXiv 2006.11339), section 3: panoptic quality where a segment is a tube, all
pixels of one id within a window of k consecutive frames. The window slides by one frame, its counts are added up over
all windows of all videos, and the score is the mean over several k. What the paper leaves open follows the script of
VIPSeg (Miao et al., CVPR 2022):

- a tube's category and crowd flag are those of the first frame of the window that lists it;
- a video shorter than k has no window;
- of several entries with one id in a frame, the first counts and areas add up.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .compared_frame import ComparedFrame
from .overlaps import Overlaps
from .panoptic_quality import GroupQuality, PanopticQuality, PanopticScores, SegmentInfo

__all__ = ["PAPER_WINDOWS", "WINDOWS", "VideoPanopticQuality", "VideoPanopticScores"]

WINDOWS = (1, 2, 4, 6, 8)  # of VIPSeg's script
PAPER_WINDOWS = (1, 2, 4, 6)  # of its paper's tables

Tubes = dict[int, SegmentInfo]


@dataclass(frozen=True, slots=True)
class VideoPanopticScores:
    """Scores by window length.

    Attributes:
        per_window: what panoptic quality is over windows of so many frames.
    """

    per_window: Mapping[int, PanopticScores]

    def mean(self, group: str, windows: Iterable[int] | None = None) -> float | None:
        """Mean PQ over window lengths, as a fraction; None where one of them has no category of the group.

        Args:
            group: "all", "things" or "stuff".
            windows: some of the lengths; None for all of them.
        """
        chosen = list(self.per_window if windows is None else windows)
        found: list[GroupQuality | None] = [getattr(self.per_window[length], group) for length in chosen]
        values = [entry.pq for entry in found if entry is not None]
        return sum(values) / len(values) if values and len(values) == len(found) else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON; means are in percent, as the script prints them."""
        document: dict[str, Any] = {
            "per_k": {str(length): scores.to_dict() for length, scores in self.per_window.items()}
        }
        document |= self._means(None)
        if set(PAPER_WINDOWS) < set(self.per_window):
            document["paper"] = {"k": list(PAPER_WINDOWS), **self._means(PAPER_WINDOWS)}
        return document

    def _means(self, windows: Sequence[int] | None) -> dict[str, Any]:
        names = {"vpq_all": "all", "vpq_thing": "things", "vpq_stuff": "stuff"}
        means = {name: self.mean(group, windows) for name, group in names.items()}
        return {name: {"error": "ZeroDivisionError"} if mean is None else 100 * mean for name, mean in means.items()}


class VideoPanopticQuality:
    """Counts over any number of videos, in the memory of the longest window.

    Args:
        categories: whether each category id is a thing.
        windows: lengths in frames.

    Attributes:
        last_video: the scores of the video that ended last.
    """

    def __init__(self, categories: Mapping[int, bool], windows: Sequence[int] = WINDOWS) -> None:
        self._categories = dict(categories)
        self.windows = tuple(sorted(set(windows)))
        self._recent: deque[_Unit] = deque(maxlen=self.windows[-1])
        self._total, self._video = self._counts(), self._counts()
        self.last_video: VideoPanopticScores | None = None

    def add(self, frame: ComparedFrame) -> None:
        """The next frame of the video; EvaluationError as of `PanopticQuality.add`."""
        unit = _Unit(frame.overlaps, _tubes([_with_areas(frame)]), _tubes([frame.predicted]))
        if self.windows[0] != 1:  # a tube may have its pixels in another frame of the window
            self._video[self.windows[0]].check(unit.overlaps, [*unit.truth.values()], [*unit.predicted.values()])
        self._recent.append(unit)
        joint: Overlaps | None = None
        for length, earlier in enumerate(reversed(self._recent), start=1):
            joint = earlier.overlaps if joint is None else earlier.overlaps + joint
            if length in self._video:
                window = list(self._recent)[-length:]
                truth = _tubes(unit.truth.values() for unit in window)
                predicted = _tubes(unit.predicted.values() for unit in window)
                self._video[length].add_overlaps(joint, [*truth.values()], [*predicted.values()])

    def end_video(self, name: str) -> None:  # noqa: ARG002 - as every metric
        self.last_video = _scores(self._video)
        for length, counts in self._video.items():
            self._total[length].absorb(counts)
        self._video = self._counts()
        self._recent.clear()

    def result(self) -> VideoPanopticScores:
        """The scores of all videos that have ended."""
        return _scores(self._total)

    def _counts(self) -> dict[int, PanopticQuality]:
        return {length: PanopticQuality(self._categories) for length in self.windows}


@dataclass(frozen=True, slots=True, eq=False)
class _Unit:
    """A frame, one entry for each id."""

    overlaps: Overlaps
    truth: Tubes
    predicted: Tubes


def _scores(counts: Mapping[int, PanopticQuality]) -> VideoPanopticScores:
    return VideoPanopticScores({length: quality.result() for length, quality in counts.items()})


def _tubes(frames: Iterable[Iterable[SegmentInfo]]) -> Tubes:
    """One entry for each id: the first one that is listed, with the areas of all."""
    tubes: Tubes = {}
    for segments in frames:
        for segment in segments:
            known = tubes.get(segment.id)
            tubes[segment.id] = (
                segment if known is None else replace(known, area=(known.area or 0) + (segment.area or 0))
            )
    return tubes


def _with_areas(frame: ComparedFrame) -> Sequence[SegmentInfo]:
    """True segments with their stated areas, or where none is stated with those in the map."""
    if all(segment.area is not None for segment in frame.truth):
        return frame.truth
    counted = frame.overlaps.true_areas()
    return [
        segment if segment.area is not None else replace(segment, area=counted.get(segment.id, 0))
        for segment in frame.truth
    ]

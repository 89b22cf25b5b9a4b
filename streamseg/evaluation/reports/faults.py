"""The worst frames and tracks of an evaluation, found while it runs; memory holds these few and no others."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from ..metrics.compared_frame import ComparedFrame
from ..metrics.panoptic_quality import PanopticQuality
from ..metrics.segmentation_tracking_quality import TubeQuality

__all__ = ["Faults", "WorstFrame", "WorstTrack"]

T = TypeVar("T")

MOST_FRAMES = 6
MOST_TRACKS = 12


@dataclass(frozen=True, slots=True, eq=False)
class WorstFrame:
    """A frame, its panoptic quality over all its segments, and what was wrong in numbers."""

    video: str
    name: str
    quality: float
    tp: int
    fp: int
    fn: int
    frame: ComparedFrame


@dataclass(frozen=True, slots=True)
class WorstTrack:
    """A true tube of a thing and its video."""

    video: str
    tube: TubeQuality


class Faults:
    """What `feed` reports, sorted out.

    Args:
        categories: whether each category id is a thing.
        frames, tracks: how many to keep.
    """

    def __init__(self, categories: Mapping[int, bool], *, frames: int = MOST_FRAMES, tracks: int = MOST_TRACKS) -> None:
        self._categories = dict(categories)
        self._most_frames, self._most_tracks = frames, tracks
        # The best of the worst on top; the number settles ties in favour of the earlier.
        self._frames: list[tuple[float, int, WorstFrame]] = []
        self._tracks: list[tuple[float, int, WorstTrack]] = []
        self._seen = 0

    def add_frame(self, video: str, name: str, frame: ComparedFrame) -> None:
        """Judge a frame by sum of IoU / (TP + FP/2 + FN/2) over its segments of all categories."""
        counts = PanopticQuality(self._categories)
        counts.add_overlaps(frame.overlaps, frame.truth, frame.predicted)
        entries = counts.result().per_class.values()
        iou, tp, fp, fn = (sum(getattr(entry, key) for entry in entries) for key in ("iou", "tp", "fp", "fn"))
        if tp + fp + fn:
            quality = float(iou / (tp + fp / 2 + fn / 2))
            self._seen += 1
            worst = WorstFrame(video, name, quality, int(tp), int(fp), int(fn), frame)
            _keep(self._frames, (-quality, -self._seen, worst), self._most_frames)

    def add_tubes(self, video: str, tubes: list[TubeQuality]) -> None:
        """The true things of a video that has ended."""
        for tube in tubes:
            self._seen += 1
            # What it costs: a small thing that is lost matters less to whoever looks than a large one.
            lost = (1 - tube.aq) * tube.pixels
            _keep(self._tracks, (lost, -self._seen, WorstTrack(video, tube)), self._most_tracks)

    @property
    def frames(self) -> list[WorstFrame]:
        """The worst first."""
        return [worst for *_, worst in sorted(self._frames, key=lambda entry: entry[:2], reverse=True)]

    @property
    def tracks(self) -> list[WorstTrack]:
        """Those that lose the most pixels first."""
        return [worst for *_, worst in sorted(self._tracks, key=lambda entry: entry[:2], reverse=True)]


def _keep(heap: list[tuple[float, int, T]], entry: tuple[float, int, T], most: int) -> None:
    if len(heap) < most:
        heapq.heappush(heap, entry)
    else:
        heapq.heappushpop(heap, entry)

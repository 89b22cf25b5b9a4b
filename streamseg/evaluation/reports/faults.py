"""The worst frames and tracks of an evaluation, found while it runs; memory holds these few and no others."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ..metrics.compared_frame import ComparedFrame
from ..metrics.overlaps import VOID, Overlaps
from ..metrics.panoptic_quality import PanopticQuality
from ..metrics.track_losses import TrackLoss, TrackLosses

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
    """A true track and its video."""

    video: str
    loss: TrackLoss


class Faults:
    """What `feed` reports, sorted out.

    Args:
        categories: whether each category id is a thing.
        frames, tracks: how many to keep; no tracks for pictures, whose ids mean nothing in the next.
    """

    def __init__(self, categories: Mapping[int, bool], *, frames: int = MOST_FRAMES, tracks: int = MOST_TRACKS) -> None:
        self._categories = dict(categories)
        self._most_frames, self._most_tracks = frames, tracks
        # The best of the worst on top; the number settles ties in favour of the earlier.
        self._frames: list[tuple[float, int, WorstFrame]] = []
        self._tracks: list[tuple[float, int, WorstTrack]] = []
        self._losses = TrackLosses(categories) if tracks else None
        self._seen = 0

    def add_frame(self, video: str, name: str, frame: ComparedFrame) -> None:
        """The next frame, judged by sum of IoU / (TP + FP/2 + FN/2) over its segments of all categories."""
        if self._losses is not None:
            self._losses.add(frame)
        counts = PanopticQuality(self._categories)
        counts.add_overlaps(_listed(frame), frame.truth, frame.predicted)
        entries = counts.result().per_class.values()
        iou, tp, fp, fn = (sum(getattr(entry, key) for entry in entries) for key in ("iou", "tp", "fp", "fn"))
        if tp + fp + fn:
            quality = float(iou / (tp + fp / 2 + fn / 2))
            self._seen += 1
            worst = WorstFrame(video, name, quality, int(tp), int(fp), int(fn), frame)
            _keep(self._frames, (-quality, -self._seen, worst), self._most_frames)

    def end_video(self, video: str) -> None:
        """All frames of a video have been added."""
        if self._losses is None:
            return
        self._losses.end_video(video)
        for loss in self._losses.last_video:
            self._seen += 1
            # What it costs: a small thing that is lost matters less to whoever looks than a large one.
            _keep(self._tracks, (loss.lost * loss.pixels, -self._seen, WorstTrack(video, loss)), self._most_tracks)

    @property
    def frames(self) -> list[WorstFrame]:
        """The worst first."""
        return [worst for *_, worst in sorted(self._frames, key=lambda entry: entry[:2], reverse=True)]

    @property
    def tracks(self) -> list[WorstTrack]:
        """Those that lose the most pixels first."""
        return [worst for *_, worst in sorted(self._tracks, key=lambda entry: entry[:2], reverse=True)]


def _listed(frame: ComparedFrame) -> Overlaps:
    """With predicted ids that mean nothing as void: panoptic quality refuses them, tracks as text are full of them."""
    overlaps = frame.overlaps
    known = np.isin(overlaps.predicted_ids, [segment.id for segment in frame.predicted])
    return Overlaps.of_pairs(overlaps.ground_truth_ids, np.where(known, overlaps.predicted_ids, VOID), overlaps.pixels)


def _keep(heap: list[tuple[float, int, T]], entry: tuple[float, int, T], most: int) -> None:
    if len(heap) < most:
        heapq.heappush(heap, entry)
    else:
        heapq.heappushpop(heap, entry)

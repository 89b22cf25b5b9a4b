"""Video consistency: whether categories stay where they are true for a while.

Miao et al., "VSPW: A Large-scale Dataset for Video Scene Parsing in the Wild" (CVPR 2021), section 5: of the pixels
whose true category does not change over n frames, the share whose predicted category does not change either, as a mean
over all windows of n frames of all videos. As in their script, what is predicted need not be true, void is a category
like others, and the last window of a video is left out; windows in which no true pixel lasts are passed over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .compared_frame import ComparedFrame, by_id
from .overlaps import Ids
from .panoptic_quality import SegmentInfo

__all__ = ["CONSISTENCY_WINDOWS", "ConsistencyScores", "VideoConsistency"]

CONSISTENCY_WINDOWS = (8, 16)

Labels = npt.NDArray[np.int32]
Ages = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ConsistencyScores:
    """Sum and number of windows, by length."""

    sums: Mapping[int, float]
    windows: Mapping[int, int]

    def mean(self, length: int) -> float | None:
        """As a fraction; None where no video is longer."""
        return self.sums[length] / self.windows[length] if self.windows[length] else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON: VC8, VC16."""
        return {f"VC{length}": self.mean(length) for length in self.sums}


class VideoConsistency:
    """Counts over any number of videos; memory holds how long each pixel of one frame has kept its category.

    Args:
        windows: lengths in frames, at most 255.
    """

    def __init__(self, windows: Sequence[int] = CONSISTENCY_WINDOWS) -> None:
        self._sums = dict.fromkeys(windows, 0.0)
        self._counts = dict.fromkeys(windows, 0)
        self._true, self._predicted = _Lasting(max(windows)), _Lasting(max(windows))
        self._held: dict[int, float | None] = {}  # each length's latest window, until another follows

    def add(self, frame: ComparedFrame) -> None:
        """The next frame of the video."""
        self._take_held()
        true = self._true.add(_labels(frame.truth_ids, frame.truth))
        predicted = self._predicted.add(_labels(frame.predicted_ids, frame.predicted))
        for length in self._sums:
            lasting = true >= length
            total = int(np.count_nonzero(lasting))
            if total:
                self._held[length] = int(np.count_nonzero(lasting & (predicted >= length))) / total

    def end_video(self, name: str) -> None:  # noqa: ARG002 - as every metric
        self._held.clear()  # the script leaves the last window out
        self._true.clear()
        self._predicted.clear()

    def result(self) -> ConsistencyScores:
        """The scores of all videos that have ended."""
        return ConsistencyScores(dict(self._sums), dict(self._counts))

    def _take_held(self) -> None:
        for length, value in self._held.items():
            if value is not None:
                self._sums[length] += value
                self._counts[length] += 1
        self._held.clear()


class _Lasting:
    """For how many frames each pixel has had its label, counted up to a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.clear()

    def clear(self) -> None:
        self._before: Labels | None = None
        self._ages: Ages = np.zeros(0, np.uint8)

    def add(self, labels: Labels) -> Ages:
        """(H, W) frames, this one included."""
        if self._before is None or self._before.shape != labels.shape:
            self._ages = np.ones(labels.shape, np.uint8)
        else:
            self._ages *= labels == self._before
            self._ages += 1
            np.minimum(self._ages, self._limit, out=self._ages)
        self._before = labels
        return self._ages


def _labels(ids: Ids, segments: Sequence[SegmentInfo]) -> Labels:
    """(H, W) category of each pixel, -1 for void."""
    categories = {id_: segment.category_id for id_, segment in by_id(segments).items()}
    flat = ids.ravel()
    # Maps are made of long runs: only their beginnings are looked up.
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1)) if flat.size else np.zeros(0, np.int64)
    names = np.array([categories.get(id_, -1) for id_ in flat[starts].tolist()], np.int32)
    return np.repeat(names, np.diff(starts, append=flat.size)).reshape(ids.shape)

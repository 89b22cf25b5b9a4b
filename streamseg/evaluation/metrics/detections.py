"""Things of one frame as the tracking metrics see them, and a log of frames that lies on disk when it is long.

As TrackEval prepares them: true things without crowd, all predicted things, and the plain mask IoU of each pair; void
is not taken out of the union.
"""

import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Self
from weakref import finalize

import numpy as np
import numpy.typing as npt

from .compared_frame import ComparedFrame, by_id
from .overlaps import VOID, Counts

__all__ = ["DetectionLog", "Detections"]

Flags = npt.NDArray[np.bool_]
Similarity = npt.NDArray[np.float64]

IGNORED_SHARE = 0.5  # of a prediction's area on void and crowd; more makes it no false positive
LOG_BYTES = 32 << 20  # what a log keeps in memory


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Things of one frame, in the order in which they are listed.

    Attributes:
        truth, predicted: (G,) and (P,) int64 ids.
        truth_categories, predicted_categories: of each.
        ignored: (P,) bool, predictions that lie mostly in the ignore region: void, and crowd of any category.
        similarity: (G, P) mask IoU.
    """

    truth: Counts
    truth_categories: Counts
    predicted: Counts
    predicted_categories: Counts
    ignored: Flags
    similarity: Similarity

    @classmethod
    def of(cls, frame: ComparedFrame, isthing: Mapping[int, bool]) -> Self:
        """The things of a compared frame."""
        listed = by_id(frame.truth)
        truth = [s for s in listed.values() if isthing.get(s.category_id, False) and not s.iscrowd]
        predicted = [s for s in by_id(frame.predicted).values() if isthing.get(s.category_id, False)]
        rows = {segment.id: row for row, segment in enumerate(truth)}
        columns = {segment.id: column for column, segment in enumerate(predicted)}
        region = {VOID, *(segment.id for segment in listed.values() if segment.iscrowd)}

        overlaps = frame.overlaps
        row = np.array([rows.get(id_, -1) for id_ in overlaps.ground_truth_ids.tolist()], np.int64)
        column = np.array([columns.get(id_, -1) for id_ in overlaps.predicted_ids.tolist()], np.int64)
        in_region = np.array([id_ in region for id_ in overlaps.ground_truth_ids.tolist()], bool)
        true_areas = _sums(row, overlaps.pixels, len(truth))
        areas = _sums(column, overlaps.pixels, len(predicted))
        on_region = _sums(column[in_region], overlaps.pixels[in_region], len(predicted))
        shared = np.zeros((len(truth), len(predicted)))
        both = (row >= 0) & (column >= 0)
        shared[row[both], column[both]] = overlaps.pixels[both]
        union = true_areas[:, None] + areas - shared
        return cls(
            np.array([segment.id for segment in truth], np.int64),
            np.array([segment.category_id for segment in truth], np.int64),
            np.array([segment.id for segment in predicted], np.int64),
            np.array([segment.category_id for segment in predicted], np.int64),
            on_region > IGNORED_SHARE * areas,
            np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0),
        )

    def of_category(self, category_id: int) -> "Detections":
        """Only segments that have this category in this frame."""
        return self._taken(self.truth_categories == category_id, self.predicted_categories == category_id)

    def without_ignored(self) -> "Detections":
        """As the preprocessing of MOTS leaves them. Its matching step changes nothing for segments that are disjoint:
        one with an IoU of half or more cannot lie mostly in the ignore region."""
        return self._taken(np.ones(len(self.truth), bool), ~self.ignored) if self.ignored.any() else self

    @property
    def categories(self) -> list[int]:
        """Those of either side, ascending."""
        return sorted({*self.truth_categories.tolist(), *self.predicted_categories.tolist()})

    def _taken(self, truth: Flags, predicted: Flags) -> "Detections":
        return Detections(
            self.truth[truth],
            self.truth_categories[truth],
            self.predicted[predicted],
            self.predicted_categories[predicted],
            self.ignored[predicted],
            self.similarity[truth][:, predicted],
        )


class DetectionLog:
    """The frames of a video, to be read more than once: association scores need two passes.

    A long video goes to a temporary file, so that memory does not grow with it.
    """

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=LOG_BYTES)  # noqa: SIM115 - closed with the log
        self.close = finalize(self, self._file.close)  # forgets everything; also when nobody needs the log any more
        self._frames = 0

    def append(self, detections: Detections) -> None:
        """The next frame."""
        pickle.dump(detections, self._file, pickle.HIGHEST_PROTOCOL)
        self._frames += 1

    def __iter__(self) -> Iterator[Detections]:
        """All frames from the first on; nothing may be appended meanwhile."""
        self._file.seek(0)
        for _ in range(self._frames):
            yield pickle.load(self._file)  # written by this object, into a file without a name


def _sums(places: Counts, pixels: Counts, count: int) -> Similarity:
    listed = places >= 0
    return np.bincount(places[listed], pixels[listed], count).astype(np.float64)

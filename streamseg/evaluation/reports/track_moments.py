"""The moments that tell what became of a true track: read once more, when it is known which tracks are the worst.

A track's time falls into spans in which one predicted id, or none, has most of its pixels. The longest spans are kept,
of each a few frames that are spread over it, and of each frame the surroundings of the track at the size of a picture:
memory does not grow with the length of the video.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..inputs.sides import Predictions, Truth, Video
from ..metrics.compared_frame import by_id
from ..metrics.overlaps import Ids
from ..metrics.panoptic_quality import SegmentInfo
from .faults import WorstTrack

__all__ = ["MOST_KEPT", "MOST_MOMENTS", "SIZE_HW", "Moment", "find_moments"]

SIZE_HW = (213, 284)  # of each picture
MOST_MOMENTS = 5
MOST_KEPT = 5  # moments of a span, beside its last
SURROUNDINGS = 1.6  # the picture is so many times larger than the track's box
LEAST_EXTENT = 24  # pixels of the map that a picture shows at least, from top to bottom

Mask = npt.NDArray[np.bool_]
Number = TypeVar("Number", np.int32, np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """A track in one frame.

    Attributes:
        frame: its name.
        truth: `SIZE_HW` bool, the track.
        ids: `SIZE_HW` int32, what is predicted around it; 0 for void, and beyond the frame.
        segments: what the ids mean.
        things: which of them are things.
        partner: what has the most of the track's pixels; None for void.
        share: how much of them, from 0 to 1.
    """

    frame: str
    truth: Mask
    ids: npt.NDArray[np.int32]
    segments: tuple[SegmentInfo, ...]
    things: frozenset[int]
    partner: SegmentInfo | None
    share: float

    @property
    def identity(self) -> tuple[int, int] | None:
        """Id and category of the predicted thing that the track is taken for."""
        if self.partner is None or self.partner.id not in self.things:
            return None
        return self.partner.id, self.partner.category_id


def find_moments(truth: Truth, predictions: Predictions, tracks: Sequence[WorstTrack]) -> list[list[Moment]]:
    """For each track at most `MOST_MOMENTS`, in order of time.

    Reads the videos of these tracks again, and there the frames that show one of them.

    Raises:
        EvaluationError: a frame cannot be read any more.
    """
    stories = [_Story(worst.loss.id, worst.loss.category_id) for worst in tracks]
    names = {worst.video for worst in tracks}
    things = frozenset(category for category, isthing in truth.categories.items() if isthing)
    for video in truth.videos() if names else ():
        if video.name in names:
            watched = [story for story, worst in zip(stories, tracks, strict=True) if worst.video == video.name]
            _watch(video, predictions, watched, things)
    return [story.moments() for story in stories]


def _watch(video: Video, predictions: Predictions, stories: Sequence["_Story"], things: frozenset[int]) -> None:
    for true, predicted in zip(video.frames, predictions.follow(video), strict=True):
        listed = by_id(true.segments)
        present = [story for story in stories if story.is_in(listed.get(story.id))]
        if present:
            true_ids, ids = true.read(), predicted.read()
            for story in present:
                mask = true_ids == story.id
                if mask.any():
                    story.add(_moment(true.name, mask, ids, predicted.segments, things))


def _moment(name: str, mask: Mask, ids: Ids, segments: Sequence[SegmentInfo], things: frozenset[int]) -> Moment:
    listed = by_id(segments)
    found, pixels = np.unique(ids[mask], return_counts=True)
    shares: Counter[SegmentInfo | None] = Counter()
    for id_, count in zip(found.tolist(), pixels.tolist(), strict=True):
        shares[listed.get(id_)] += count
    ((partner, most),) = shares.most_common(1)
    rows, columns = _window(mask)
    shown = _taken(np.asarray(ids, np.int32), rows, columns)
    inside = set(np.unique(shown).tolist()) & set(listed)
    return Moment(
        name,
        _taken(mask, rows, columns),
        np.where(np.isin(shown, list(inside)), shown, 0).astype(np.int32),
        tuple(listed[id_] for id_ in sorted(inside)),
        frozenset(id_ for id_, segment in listed.items() if segment.category_id in things),
        partner,
        most / shares.total(),
    )


def _window(mask: Mask) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows and columns of the map that a picture shows; some may lie beyond it."""
    spans = [np.flatnonzero(mask.any(axis)) for axis in (1, 0)]
    height, width = SIZE_HW
    (top, bottom), (left, right) = ((int(span[0]), int(span[-1]) + 1) for span in spans)
    extent = max(SURROUNDINGS * max(bottom - top, (right - left) * height / width), LEAST_EXTENT)
    step = extent / height
    rows = (top + bottom) / 2 + (np.arange(height) + 0.5 - height / 2) * step
    columns = (left + right) / 2 + (np.arange(width) + 0.5 - width / 2) * step
    return np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)


def _taken(
    picture: npt.NDArray[Number], rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]
) -> npt.NDArray[Number]:
    """Those rows and columns, 0 beyond the picture."""
    height, width = picture.shape
    taken: npt.NDArray[Number] = picture[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)]
    taken[(rows < 0) | (rows >= height)] = 0
    taken[:, (columns < 0) | (columns >= width)] = 0
    return taken


@dataclass(slots=True)
class _Span:
    """Consecutive moments of one identity: every n-th, where n doubles when there are too many, and the last."""

    identity: tuple[int, int] | None
    number: int
    frames: int = 0
    stride: int = 1
    kept: list[Moment] = field(default_factory=list)
    last: Moment | None = None

    def add(self, moment: Moment) -> None:
        if self.frames % self.stride == 0:
            self.kept.append(moment)
        if len(self.kept) > MOST_KEPT:
            self.kept, self.stride = self.kept[::2], self.stride * 2
        self.frames += 1
        self.last = moment

    @property
    def moments(self) -> list[Moment]:
        return self.kept if self.last in (None, self.kept[-1]) else [*self.kept, self.last]

    def spread(self, count: int) -> list[Moment]:
        """So many of them: the middle one, or from the first to the last."""
        moments = self.moments
        if count == 1:
            return [moments[(len(moments) - 1) // 2]]
        return [moments[round(place * (len(moments) - 1) / (count - 1))] for place in range(count)]


class _Story:
    """The spans of one true track."""

    def __init__(self, id_: int, category_id: int) -> None:
        self.id, self._category_id = id_, category_id
        self._spans: list[_Span] = []
        self._begun = 0

    def is_in(self, segment: SegmentInfo | None) -> bool:
        return segment is not None and segment.category_id == self._category_id and not segment.iscrowd

    def add(self, moment: Moment) -> None:
        if not self._spans or self._spans[-1].identity != moment.identity:
            self._spans.append(_Span(moment.identity, self._begun))
            self._begun += 1
            self._drop()
        self._spans[-1].add(moment)

    def moments(self) -> list[Moment]:
        """The longest spans, each with at least one moment."""
        if len(self._spans) > MOST_MOMENTS:
            self._spans.remove(min(self._spans, key=lambda span: (span.frames, -span.number)))
        counts = _allotted([span.frames for span in self._spans], [len(span.moments) for span in self._spans])
        return [moment for span, count in zip(self._spans, counts, strict=True) for moment in span.spread(count)]

    def _drop(self) -> None:
        """The shortest of the spans that have ended, if they are too many beside the one that goes on."""
        if len(self._spans) > MOST_MOMENTS + 1:
            self._spans.remove(min(self._spans[:-1], key=lambda span: (span.frames, -span.number)))


def _allotted(frames: Sequence[int], available: Sequence[int]) -> list[int]:
    """How many moments each span shows: one, and the rest where a moment stands for the most frames."""
    counts = [1] * len(frames)
    while sum(counts) < MOST_MOMENTS:
        spare = [place for place, count in enumerate(counts) if count < available[place]]
        if not spare:
            break
        counts[max(spare, key=lambda place: frames[place] / counts[place])] += 1
    return counts

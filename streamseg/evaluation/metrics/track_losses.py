"""What a true track loses, and to what: its association quality taken apart.

STQ gives each true tube g of a thing the quality sum over p of |g & p| / |g| * IoU(g, p), over the predicted tubes p
(Weber et al., arXiv 2102.11859, section 4, equations 1 to 3). Here a p of another category counts nothing, so that a
wrong label is a loss too. What is missing to 1 is shared out, with nothing left over:

    missed       pixels of g on which no thing is predicted
    split        pixels of g under other predicted ids
    mislabelled  pixels of g under another category
    merged       pixels of a p that lie on other true things
    spilled      pixels of a p that lie on none
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .compared_frame import ComparedFrame, by_id
from .overlaps import Counts, Overlaps, OverlapSum
from .panoptic_quality import SegmentInfo

__all__ = ["CAUSES", "Cause", "Seen", "TrackLoss", "TrackLosses"]

Cause = Literal["missed", "split", "mislabelled", "merged", "spilled"]
CAUSES: tuple[Cause, ...] = ("missed", "split", "mislabelled", "merged", "spilled")

MOST_NEIGHBOURS = 8  # that are named

Tube = tuple[int, int]  # id and category
Row = tuple[Tube | None, int]  # what shares pixels with a tube (None for void), and how many


@dataclass(frozen=True, slots=True)
class Seen:
    """What was predicted on a share of a track's pixels: id and category, 0 and None for void."""

    id: int
    category_id: int | None
    isthing: bool
    share: float


@dataclass(frozen=True, slots=True)
class TrackLoss:
    """One true track.

    Attributes:
        id, category_id, pixels: of the track.
        causes: what each takes of its quality, from 0 to 1.
        seen_as: what was predicted in its place, the most first.
        merged_with: ids of other true things under the ids that it was given, most pixels first; at most 8.
    """

    id: int
    category_id: int
    pixels: int
    causes: Mapping[Cause, float]
    seen_as: tuple[Seen, ...]
    merged_with: tuple[int, ...]

    @property
    def lost(self) -> float:
        """Share of its quality, from 0 to 1."""
        return sum(self.causes.values())


class TrackLosses:
    """Counts of one video at a time; memory holds the pairs of its tubes. Crowds are left out, as STQ leaves them.

    Args:
        categories: whether each category id is a thing.

    Attributes:
        last_video: the true tracks of the video that ended last, in order of appearance.
    """

    def __init__(self, categories: Mapping[int, bool]) -> None:
        self._isthing = dict(categories)
        self.last_video: list[TrackLoss] = []
        self._begin()

    def add(self, frame: ComparedFrame) -> None:
        """The next frame of the video. Ids that are not listed are void."""
        overlaps = frame.overlaps
        crowds = {segment.id for segment in frame.truth if segment.iscrowd and self._isthing.get(segment.category_id)}
        true = _numbered(overlaps.ground_truth_ids, frame.truth, self._truth)
        predicted = _numbered(overlaps.predicted_ids, frame.predicted, self._predicted)
        counted = ~np.isin(overlaps.ground_truth_ids, list(crowds))
        self._shared.add(true[counted], predicted[counted], overlaps.pixels[counted])

    def end_video(self, name: str) -> None:  # noqa: ARG002 - as every metric
        video = _Video(self._shared.total(), list(self._truth), list(self._predicted), self._isthing)
        self.last_video = list(video.losses())
        self._begin()

    def _begin(self) -> None:
        self._truth: dict[Tube, int] = {}  # number of each tube, from 1
        self._predicted: dict[Tube, int] = {}
        self._shared = OverlapSum()


class _Video:
    """The pairs of a whole video, by either side."""

    def __init__(
        self, shared: Overlaps, truth: Sequence[Tube], predicted: Sequence[Tube], isthing: Mapping[int, bool]
    ) -> None:
        self._isthing = isthing
        self._under: defaultdict[Tube | None, list[Row]] = defaultdict(list)
        self._above: defaultdict[Tube | None, list[Row]] = defaultdict(list)
        self._truth = truth
        for true, guess, pixels in zip(
            shared.ground_truth_ids.tolist(), shared.predicted_ids.tolist(), shared.pixels.tolist(), strict=True
        ):
            below, above = (truth[true - 1] if true else None), (predicted[guess - 1] if guess else None)
            self._above[below].append((above, pixels))
            self._under[above].append((below, pixels))

    def losses(self) -> Iterator[TrackLoss]:
        for tube in self._truth:
            if self._is_thing(tube) and self._above[tube]:
                yield self._loss(tube, sorted(self._above[tube], key=lambda row: -row[1]))

    def _loss(self, tube: Tube, rows: Sequence[Row]) -> TrackLoss:
        size = sum(pixels for _, pixels in rows)
        seen = tuple(self._seen(above, pixels / size) for above, pixels in rows)
        return TrackLoss(*tube, size, self._causes(tube, size, rows), seen, self._neighbours(tube, rows))

    def _seen(self, tube: Tube | None, share: float) -> Seen:
        return Seen(0, None, False, share) if tube is None else Seen(*tube, self._is_thing(tube), share)

    def _causes(self, tube: Tube, size: int, rows: Sequence[Row]) -> dict[Cause, float]:
        things = [(above, pixels) for above, pixels in rows if above is not None and self._is_thing(above)]
        missed = size - sum(pixels for _, pixels in things)
        causes: dict[Cause, float] = dict.fromkeys(CAUSES, 0.0)
        causes["missed"] = missed / size
        for (id_, category), pixels in things:
            of_id = sum(more for (other, _), more in things if other == id_)
            whole = sum(more for _, more in self._under[id_, category])
            on_things = sum(more for below, more in self._under[id_, category] if self._is_thing(below))
            # Of 1 - IoU, and of the IoU itself where the label is wrong; weighted by the share of the track.
            weight = pixels / size / (size + whole - pixels)
            causes["missed"] += weight * missed
            causes["split"] += weight * (size - missed - of_id)
            causes["mislabelled"] += weight * (of_id - pixels + (pixels if category != tube[1] else 0))
            causes["merged"] += weight * (on_things - pixels)
            causes["spilled"] += weight * (whole - on_things)
        return causes

    def _neighbours(self, tube: Tube, rows: Sequence[Row]) -> tuple[int, ...]:
        found: defaultdict[int, int] = defaultdict(int)
        for above, _ in rows:
            for below, pixels in self._under[above] if self._is_thing(above) else ():
                if below is not None and below != tube and self._is_thing(below):
                    found[below[0]] += pixels
        return tuple(sorted(found, key=lambda id_: (-found[id_], id_))[:MOST_NEIGHBOURS])

    def _is_thing(self, tube: Tube | None) -> bool:
        return tube is not None and self._isthing.get(tube[1], False)


def _numbered(ids: Counts, segments: Iterable[SegmentInfo], numbers: dict[Tube, int]) -> Counts:
    """(N,) the number of each id's tube; 0 for void."""
    found = {
        id_: numbers.setdefault((id_, segment.category_id), len(numbers) + 1)
        for id_, segment in by_id(list(segments)).items()
    }
    return np.array([found.get(id_, 0) for id_ in ids.tolist()], np.int64)

"""What is counted of a stream: sums alone, so that streams add up."""

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Self

__all__ = ["LENGTH_BINS", "CategoryTally", "Mean", "Tally", "TrackFlicker"]

LENGTH_BINS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)
"""Frames from which on a track belongs into a bin of the lengths, up to the next one."""

WORST = 10
PAIRS_TO_BE_JUDGED = 5


@dataclass(slots=True)
class Mean:
    """A running mean."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1

    def join(self, other: "Mean") -> None:
        self.total += other.total
        self.count += other.count

    @property
    def value(self) -> float | None:
        """None where nothing was added."""
        return self.total / self.count if self.count else None


@dataclass(slots=True)
class CategoryTally:
    """Of the segments of one label.

    Attributes:
        segments: how many, over all frames.
        area: sum of their shares of the frame.
        tracks: identities that were last called so.
        flicker: see `streamseg/runs/stability.py`.
        flips: changes of a track's label to this one.
    """

    isthing: bool
    segments: int = 0
    area: float = 0.0
    tracks: int = 0
    flicker: Mean = field(default_factory=Mean)
    flips: int = 0

    def join(self, other: "CategoryTally") -> None:
        self.segments += other.segments
        self.area += other.area
        self.tracks += other.tracks
        self.flicker.join(other.flicker)
        self.flips += other.flips


@dataclass(frozen=True, slots=True, order=True)
class TrackFlicker:
    """One track and its mean flicker; they are ordered by that."""

    flicker: float
    stream: str
    epoch: int
    id: int
    label: str
    first_frame: int
    last_frame: int


@dataclass(slots=True)
class Tally:
    """Of one stream, or of several; numbers of tracks and what comes of them are about things.

    Attributes:
        records, failed, epochs: numbers; `failed` of the records hold no result.
        seconds: of the stream's own time between records of one epoch.
        dropped, events: as the records say, by reason and by name.
        things, stuff: segments over all frames.
        most_segments: in one frame.
        void: share of a frame that belongs to no segment.
        flicker, jitter: of consecutive masks, by isthing.
        tracks, stuff_tracks: identities.
        confirmed: tracks that were more than tentative.
        short: tracks seen in fewer than 5 frames.
        lengths: tracks by the bin of the number of frames they were seen in.
        track_frames, track_seconds: their sum; seconds from a track's first frame to its last.
        longest: most frames of a track.
        returns: how often a track was seen again after frames without it.
        births, deaths: see `streamseg/runs/stability.py`.
        flips: changes of labels.
        categories: by label.
        worst: the tracks that flicker most.
    """

    records: int = 0
    failed: int = 0
    epochs: int = 0
    seconds: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    things: int = 0
    stuff: int = 0
    most_segments: int = 0
    void: Mean = field(default_factory=Mean)
    flicker: dict[bool, Mean] = field(default_factory=lambda: {True: Mean(), False: Mean()})
    jitter: dict[bool, Mean] = field(default_factory=lambda: {True: Mean(), False: Mean()})
    tracks: int = 0
    stuff_tracks: int = 0
    confirmed: int = 0
    short: int = 0
    lengths: list[int] = field(default_factory=lambda: [0] * len(LENGTH_BINS))
    track_frames: int = 0
    track_seconds: float = 0.0
    longest: int = 0
    returns: int = 0
    births: int = 0
    deaths: int = 0
    flips: int = 0
    categories: dict[tuple[str, bool], CategoryTally] = field(default_factory=dict)
    worst: list[TrackFlicker] = field(default_factory=list)

    @classmethod
    def sum(cls, tallies: Iterable["Tally"]) -> Self:
        """All of them together."""
        total = cls()
        for tally in tallies:
            total._join(tally)
        return total

    @property
    def frames(self) -> int:
        """Records that hold a result."""
        return self.records - self.failed

    def category(self, label: str, isthing: bool) -> CategoryTally:
        """Of a label, new where there is none."""
        return self.categories.setdefault((label, isthing), CategoryTally(isthing))

    def add_length(self, frames: int) -> None:
        """A track has ended after so many frames."""
        self.tracks += 1
        self.track_frames += frames
        self.longest = max(self.longest, frames)
        self.lengths[bisect_right(LENGTH_BINS, frames) - 1] += 1

    def judge(self, track: TrackFlicker, pairs: int) -> None:
        """A track has ended; it is remembered if few flicker more, and enough of its masks were compared to say so."""
        if pairs >= PAIRS_TO_BE_JUDGED:
            heapq.heappush(self.worst, track)
            if len(self.worst) > WORST:
                heapq.heappop(self.worst)

    def _join(self, other: "Tally") -> None:
        for name in (entry.name for entry in fields(self)):
            ours, theirs = getattr(self, name), getattr(other, name)
            if isinstance(ours, Counter):
                ours.update(theirs)
            elif isinstance(ours, int | float):
                setattr(self, name, max(ours, theirs) if name in ("longest", "most_segments") else ours + theirs)
        self._join_parts(other)

    def _join_parts(self, other: "Tally") -> None:
        self.void.join(other.void)
        for isthing in (True, False):
            self.flicker[isthing].join(other.flicker[isthing])
            self.jitter[isthing].join(other.jitter[isthing])
        self.lengths = [ours + theirs for ours, theirs in zip(self.lengths, other.lengths, strict=True)]
        for (label, isthing), theirs in other.categories.items():
            self.category(label, isthing).join(theirs)
        self.worst = heapq.nlargest(WORST, [*self.worst, *other.worst])

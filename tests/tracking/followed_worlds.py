"""Scripted worlds run through an associator, and how often identities change hands."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

from streamseg.config.tracking import TrackingSettings
from streamseg.sources.world import to_frame
from streamseg.testing import Sighting, WorldSegmenter
from streamseg.tracking.build import build_associator
from streamseg.tracking.cuts import color_histogram, histogram_change
from streamseg.vocabulary import Vocabulary
from streamseg.world.dials import Dials
from streamseg.world.video import World

SIZE_HW = (192, 336)
VOCABULARY = Vocabulary.load("world")


@dataclass(frozen=True)
class Seen:
    """One frame of a world as a scripted segmenter sees it."""

    index: int
    seconds: Fraction
    sighting: Sighting
    picture_change: float | None
    is_cut: bool


@dataclass
class Switches:
    """Identities of things: `last` is the id that each true thing had when it was last shown."""

    last: dict[int, int] = field(default_factory=dict)
    count: int = 0
    shown: int = 0

    def see(self, true_id: int, emitted: int) -> None:
        self.count += self.last.get(true_id, emitted) != emitted
        self.shown += 1
        self.last[true_id] = emitted


@cache
def world(seed: int, difficulty: float, seconds: float = 8, fps: int = 12) -> World:
    dials = Dials.from_difficulty(difficulty)
    return World(seed=seed, size_hw=SIZE_HW, fps=Fraction(fps), seconds=seconds, dials=dials)


def sightings(video: World, seed: int = 0) -> Iterator[Seen]:
    segmenter = WorldSegmenter(video, seed=seed)
    before = None
    for truth in video:
        frame = to_frame(truth, video.fps)
        histogram = color_histogram(frame.rgb)
        change = None if before is None else histogram_change(before, histogram)
        before = histogram
        sighting = segmenter.look(frame, VOCABULARY)
        yield Seen(frame.index, Fraction(frame.index) / video.fps, sighting, change, truth.is_cut)


@cache
def watched(seed: int, difficulty: float, seconds: float = 8, fps: int = 12) -> tuple[Seen, ...]:
    return tuple(sightings(world(seed, difficulty, seconds, fps)))


def switches(frames: tuple[Seen, ...], settings: TrackingSettings) -> Switches:
    """Follow the things of a world; stuff has one identity per category anyway."""
    associator = build_associator(settings, VOCABULARY)
    counted = Switches()
    isthing = [category.isthing for category in VOCABULARY.categories]
    for seen in frames:
        found = associator.update(
            seen.sighting.queries, frame=seen.index, seconds=seen.seconds, picture_change=seen.picture_change
        )
        emitted_as = zip(seen.sighting.truth.tolist(), found.ids.tolist(), found.labels.tolist(), strict=True)
        for true_id, emitted, label in emitted_as:
            if true_id > 100 and emitted and isthing[label]:
                counted.see(true_id, emitted)
    return counted

"""Which moments of a track are shown: those that tell its story, few however long it is."""

import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from streamseg.evaluation.inputs.sides import Frame, Video
from streamseg.evaluation.metrics.compared_frame import ComparedFrame
from streamseg.evaluation.metrics.panoptic_quality import SegmentInfo
from streamseg.evaluation.reports.faults import Faults
from streamseg.evaluation.reports.track_moments import MOST_KEPT, MOST_MOMENTS, SIZE_HW, Moment, find_moments
from streamseg.evaluation.reports.track_pictures import cause_in_words, draw_moments, track_caption

SKY, PERSON, CAR = 1, 2, 3
LABELS = {SKY: "sky", PERSON: "person", CAR: "car"}
ROWS, COLUMNS = 40, 60


@dataclass
class Sides:
    """A person, 5, in the middle of the sky, and what it is taken for in each frame: an id, 0 for sky, None if away."""

    story: list[int | None]
    kinds: dict[int, int] = field(default_factory=dict)
    size: int = 20
    read: list[str] = field(default_factory=list)
    before_reading: dict[str, Callable[[], None]] = field(default_factory=dict)

    categories: ClassVar[Mapping[int, bool]] = {SKY: False, PERSON: True, CAR: True}
    labels: ClassVar[Mapping[int, str]] = LABELS
    metrics: ClassVar[tuple[str, ...]] = ("stq",)
    document: ClassVar[Path] = Path("story")

    @property
    def frame_count(self) -> int:
        return len(self.story)

    def videos(self) -> Iterator[Video]:
        yield Video("empty", [])
        yield Video("v", [self._frame(f"{n}", None if id_ is None else 5, {}) for n, id_ in enumerate(self.story)])

    def follow(self, video: Video) -> Iterator[Frame]:
        yield from (self._frame(f"guess {n}", id_, self.kinds) for n, id_ in enumerate(self.story[: len(video.frames)]))

    def _frame(self, name: str, id_: int | None, kinds: dict[int, int]) -> Frame:
        segments = [SegmentInfo(9, SKY)] + ([SegmentInfo(id_, kinds.get(id_, PERSON))] if id_ else [])

        def read() -> npt.NDArray[np.int32]:
            self.read.append(name)
            self.before_reading.get(name, lambda: None)()
            ids = np.full((ROWS, COLUMNS), 9, np.int32)
            if id_:
                ids[10 : 10 + self.size, 20 : 20 + self.size] = id_
            return ids

        return Frame(name, tuple(segments), read)


def told(sides: Sides) -> tuple[Faults, list[list[Moment]]]:
    """The faults of a story, and the moments of its worst tracks."""
    faults = Faults(sides.categories)
    for video in sides.videos():
        for true, guess in zip(video.frames, sides.follow(video), strict=True):
            compared = ComparedFrame.of(true.read(), true.segments, guess.read(), guess.segments)
            faults.add_frame(video.name, true.name, compared)
        faults.end_video(video.name)
    sides.read.clear()
    return faults, find_moments(sides, sides, faults.tracks)


def shown(story: list[int | None]) -> list[tuple[int, int | None]]:
    """Frame and predicted id of each moment."""
    _, (moments,) = told(Sides(story))
    return [(int(moment.frame), moment.identity[0] if moment.identity else None) for moment in moments]


def test_a_steady_track_is_shown_from_its_first_frame_to_its_last() -> None:
    assert shown([7] * 9) == [(0, 7), (2, 7), (4, 7), (6, 7), (8, 7)]
    assert shown([7]) == [(0, 7)]
    assert shown([None, 7, None, 7]) == [(1, 7), (3, 7)]


def test_a_switch_is_shown_from_both_sides() -> None:
    assert shown([7] * 10 + [8] * 4) == [(0, 7), (4, 7), (9, 7), (10, 8), (13, 8)]


def test_of_many_spans_the_longest_are_shown_and_the_earlier_of_equal_ones() -> None:
    story: list[int | None] = [1, 1, 1, 2, 3, 3, 0, 0, 0, 0, 4, 6, 6, 7, 8, 8]
    assert shown(story) == [(1, 1), (4, 3), (7, None), (11, 6), (14, 8)]


@pytest.mark.parametrize("story", [[7] * 400, [7, 8] * 300, [7] * 300 + [8] * 50 + [0] * 20 + [9] * 130])
def test_however_long_it_is_the_moments_are_few_and_in_order(story: list[int | None]) -> None:
    moments = shown(story)
    assert len(moments) == MOST_MOMENTS
    assert moments == sorted(moments)
    assert {id_ for _, id_ in moments} == {id_ or None for id_ in story}


@pytest.mark.parametrize("story", [[7] * 150, [7, 8] * 75])
def test_memory_holds_few_moments_however_many_there_are(story: list[int | None]) -> None:
    alive = []

    def count() -> None:
        gc.collect()
        alive.append(sum(type(each) is Moment for each in gc.get_objects()))

    sides = Sides(story)
    faults, _ = told(sides)
    sides.before_reading = {"100": count, "149": count}
    find_moments(sides, sides, faults.tracks)
    assert len(alive) == 2
    assert 0 < max(alive) <= (MOST_MOMENTS + 1) * (MOST_KEPT + 1)


def test_only_frames_that_show_the_track_are_read_again() -> None:
    sides = Sides([None, 7, None, 8, 0, None])
    told(sides)
    assert sides.read == ["1", "guess 1", "3", "guess 3", "4", "guess 4"]


@pytest.mark.parametrize("size", [1, 3, 20, 40])
def test_the_track_is_in_the_middle_of_the_picture_whatever_its_size(size: int) -> None:
    _, (moments,) = told(Sides([7], size=size))
    moment = moments[0]
    assert moment.truth.shape == moment.ids.shape == SIZE_HW
    height = moment.truth.any(1).sum()
    assert 5 < height < SIZE_HW[0]
    center = np.argwhere(moment.truth).mean(0)
    in_frame = min(size, ROWS - 10) / 2 == size / 2  # else the frame cuts it off
    assert not in_frame or np.abs(center - np.array(SIZE_HW) / 2).max() < 12
    assert (moment.ids[moment.truth] == 7).all()
    assert moment.share == 1.0


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        (Sides([0] * 4), "missed, sky in its place"),
        (Sides([7] * 4 + [8] * 6), "split over #8, #7"),
        (Sides([7] * 4, {7: CAR}), "wrong label, car"),
        (Sides([7] * 4), "nothing lost"),
    ],
)
def test_the_cause_in_words(sides: Sides, words: str) -> None:
    faults, _ = told(sides)
    assert cause_in_words(faults.tracks[0].loss, LABELS) == words


def test_the_caption_says_how_much_and_to_what() -> None:
    faults, _ = told(Sides([7] * 6 + [0] + [8] * 3))
    assert track_caption("v", faults.tracks[0].loss, LABELS) == (
        "v / true #5 (person): split over #7, #8. "
        "4,000 pixels, 55.00 % of its quality lost to split 36.00, missed 19.00"
    )


def test_a_picture_shows_the_outline_on_what_was_predicted() -> None:
    sides = Sides([7, 0])
    _, (moments,) = told(sides)
    picture = draw_moments(moments, LABELS)
    height, width = SIZE_HW
    inside = [picture[height // 2 + 30, place * (width + 8) + width // 2] for place in range(2)]
    assert (inside[0] != inside[1]).any()
    outline = (picture[:height, :width] == 255).all(2) & ~moments[0].truth
    assert outline.any()
    assert (picture[:height, 2 * (width + 8) :] == 255).all()  # there are two moments

"""The published baseline: slots, the frame before, nothing else."""

import pytest
import torch

from streamseg.config.tracking import TrackingSettings
from streamseg.tracking.minvis import MinVISTracker
from tests.tracking.made_queries import CAR, DOG, GRASS, VOCABULARY, Box, made


def minvis() -> MinVISTracker:
    return MinVISTracker(TrackingSettings(method="minvis"), VOCABULARY)


def ids(tracker: MinVISTracker, frame: int, *boxes: Box) -> list[int]:
    return tracker.update(made(boxes), frame=frame, seconds=frame / 25).ids.tolist()


def test_looks_decide_and_places_do_not() -> None:
    tracker = minvis()
    first, second = Box(0, 0, 24, 32, looks=1), Box(64, 96, 24, 32, looks=2)
    assert ids(tracker, 0, first, second) == [1, 2]
    assert ids(tracker, 1, Box(0, 0, 24, 32, looks=2), Box(64, 96, 24, 32, looks=1)) == [2, 1]


def test_every_query_is_paired_however_bad_the_pair() -> None:
    tracker = minvis()
    ids(tracker, 0, Box(0, 0, 24, 32, looks=1), Box(64, 96, 24, 32, looks=2))
    assert ids(tracker, 1, Box(0, 0, 24, 32, looks=1), Box(64, 0, 24, 32, looks=9)) == [1, 2]


def test_slots_are_opened_as_needed_and_never_closed() -> None:
    tracker = minvis()
    boxes = [Box(0, 40 * column, 24, 32, looks=column) for column in range(4)]
    assert ids(tracker, 0, *boxes[:2]) == [1, 2]
    assert ids(tracker, 1, *boxes) == [1, 2, 3, 4]
    assert ids(tracker, 2) == []
    assert ids(tracker, 500, *boxes[::-1]) == [4, 3, 2, 1]
    assert [row.frames for row in tracker.finish()] == [3, 3, 2, 2]


def test_scores_are_the_mean_so_far() -> None:
    tracker = minvis()
    for frame, (label, void) in enumerate([(CAR, 0.1), (CAR, 0.3), (DOG, 0.2)]):
        found = tracker.update(made([Box(0, 0, 24, 32, label, void=void)]), frame=frame, seconds=None)
    assert found.labels.tolist() == [CAR]
    rest = 0.1 / 6
    assert float(found.scores) == pytest.approx((0.9 + 0.9 + rest) / 3 * (1 - 0.2), abs=1e-5)
    assert found.labels.dtype == torch.int64


def test_stuff_shares_its_id() -> None:
    tracker = minvis()
    boxes = [Box(64, 0, 64, 96, GRASS, looks=1), Box(64, 96, 64, 96, GRASS, looks=2), Box(0, 0, 24, 32, looks=3)]
    assert ids(tracker, 0, *boxes) == [1, 1, 2]
    assert [(row.id, row.isthing, row.frames) for row in tracker.finish()] == [(1, False, 1), (2, True, 1)]


@pytest.mark.parametrize("fused", [False, True])
def test_the_published_rule_is_asked_of_frames_or_of_means(fused: bool) -> None:
    tracker = MinVISTracker(TrackingSettings(method="minvis"), VOCABULARY, fused_rule=fused)
    for frame, void in enumerate((0.05, 0.05, 0.05, 0.9)):
        found = tracker.update(made([Box(0, 0, 24, 32, void=void)]), frame=frame, seconds=None)
    assert found.keep.tolist() == [fused]

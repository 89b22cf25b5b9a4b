"""How steady identities and names are, on frames made by hand."""

import numpy as np
import pytest

from streamseg.evaluation.metrics.overlaps import Overlaps
from streamseg.evaluation.metrics.panoptic_quality import SegmentInfo
from streamseg.evaluation.tracking.identities import Steadiness

CAR, DOG, GRASS = 1, 2, 3
THINGS = frozenset((CAR, DOG))


def watched(frames: list[list[tuple[int, int, int, int]]], seconds: float = 60.0) -> Steadiness:
    """A video of one column per segment: (true id, its category, found id, its category)."""
    steadiness = Steadiness()
    for frame in frames:
        truth = np.array([[true for true, _, _, _ in frame]] * 4, np.int32)
        found = np.array([[id_ for _, _, id_, _ in frame]] * 4, np.int32)
        steadiness.add(
            Overlaps.between(truth, found),
            [SegmentInfo(true, category) for true, category, _, _ in frame if true],
            [SegmentInfo(id_, category) for _, _, id_, category in frame if id_],
            THINGS,
        )
    steadiness.end_video(seconds)
    return steadiness


def test_what_holds_is_perfect() -> None:
    held = watched([[(101, CAR, 1, CAR), (102, DOG, 2, DOG)]] * 5)
    assert (held.shown_association, held.label_accuracy, held.flips_per_minute) == (1, 1, 0)


def test_an_identity_that_changes_hands_counts_by_halves() -> None:
    swapped = [[(101, CAR, 1, CAR)]] * 2 + [[(101, CAR, 2, CAR)]] * 2
    assert watched(swapped).shown_association == pytest.approx(0.5)
    shared = [[(101, CAR, 1, CAR)]] * 2 + [[(102, CAR, 1, CAR)]] * 2  # one id for two things is as bad
    assert watched(shared).shown_association == pytest.approx(0.5)


def test_what_is_not_shown_is_nobodys_fault() -> None:
    gone = [[(101, CAR, 1, CAR)], [(101, CAR, 0, CAR)], [(101, CAR, 1, CAR)]]
    assert watched(gone).shown_association == 1


def test_an_id_that_covers_nothing_costs() -> None:
    stray = [[(101, CAR, 1, CAR)], [(0, CAR, 1, CAR)]]
    assert watched(stray).shown_association == pytest.approx(0.5)


def test_names_that_flip_are_counted_per_minute_and_over_gaps() -> None:
    frames = [[(101, CAR, 1, CAR)], [(101, CAR, 1, DOG)], [(101, CAR, 0, CAR)], [(101, CAR, 1, CAR)]]
    watcher = watched(frames, seconds=30)
    assert watcher.flips_per_minute == pytest.approx(4)
    assert watcher.label_accuracy == pytest.approx(2 / 3)


def test_stuff_does_not_count() -> None:
    assert np.isnan(watched([[(5, GRASS, 9, GRASS)]]).shown_association)

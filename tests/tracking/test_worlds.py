"""Identities in scripted worlds: ours against the published baseline."""

import pytest

from streamseg.config.tracking import TrackingSettings
from tests.tracking.followed_worlds import Switches, switches, watched

OURS, MINVIS = TrackingSettings(), TrackingSettings(method="minvis")


def test_the_counter_counts_changes_of_hands() -> None:
    counter = Switches()
    for true_id, emitted in [(101, 1), (102, 2), (101, 1), (101, 2), (102, 1), (102, 1), (103, 1)]:
        counter.see(true_id, emitted)
    assert (counter.count, counter.shown) == (2, 7)


@pytest.mark.parametrize(("seed", "difficulty"), [(3, 0.6), (5, 0.9)])
def test_at_most_half_of_the_switches_where_look_alikes_cross_and_hide(seed: int, difficulty: float) -> None:
    frames = watched(seed, difficulty, 5)
    ours, baseline = switches(frames, OURS), switches(frames, MINVIS)
    assert baseline.count >= 20  # the world is hard enough to tell
    assert ours.count <= baseline.count / 2
    assert ours.shown >= 0.95 * baseline.shown  # and not because less is shown


def test_recognition_earns_its_keep() -> None:
    frames = watched(3, 0.6, 5)
    without = switches(frames, TrackingSettings(gallery=False))
    assert switches(frames, OURS).count < without.count

"""The search climbs, within its trials, and the same way each time."""

import pytest

from streamseg.config.tracking import TrackingSettings
from streamseg.evaluation.tracking.tune import LADDERS, Search, changed, search, steps

START = TrackingSettings(min_similarity=0.4, birth_objectness=0.6, high_objectness=0.5)


def climbed(trials: int = 40, seed: int = 0) -> Search:
    """On a hill whose top is at 0.6 and 0.3."""

    def height(settings: TrackingSettings) -> float:
        return -abs(settings.min_similarity - 0.6) - abs(settings.birth_objectness - 0.3)

    return search(height, START, trials=trials, seed=seed, settings=("min_similarity", "birth_objectness", "low_iou"))


def test_it_reaches_the_top_and_stops() -> None:
    found = climbed()
    assert (found.best.min_similarity, found.best.birth_objectness) == (0.6, 0.3)
    assert found.best.low_iou == START.low_iou  # what changes nothing is left alone
    assert found.best_score == pytest.approx(0)
    assert len(found.trials) < 40
    assert found.to_dict()["changed"]["min_similarity"] == {"from": 0.4, "to": 0.6}


def test_it_keeps_to_its_trials() -> None:
    found = climbed(trials=3)
    assert len(found.trials) == 3
    assert found.best_score >= found.start_score


def test_it_is_the_same_search_again() -> None:
    assert climbed().trials == climbed().trials
    assert climbed().trials != climbed(seed=1).trials


def test_steps_go_up_and_down_one_rung() -> None:
    low, middle, high = LADDERS["birth_objectness"][:3]
    assert list(steps("birth_objectness", middle)) == [high, low]
    assert list(steps("birth_objectness", low)) == [middle]


def test_settings_that_do_not_go_together_are_not_tried() -> None:
    assert changed(TrackingSettings(high_objectness=0.2), "low_objectness", 0.25) is None


def test_every_ladder_is_of_a_setting_and_ascends() -> None:
    for name, rungs in LADDERS.items():
        assert list(rungs) == sorted(set(rungs))
        assert changed(TrackingSettings(), name, getattr(TrackingSettings(), name)) == TrackingSettings()

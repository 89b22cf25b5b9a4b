"""Dials: one number or all of them, and what they refuse."""

from dataclasses import fields, replace

import pytest

from streamseg.errors import ConfigError
from streamseg.world.dials import RANGES, Dials

NAMES = [field.name for field in fields(Dials)]


def test_every_dial_has_a_range() -> None:
    assert sorted(RANGES) == sorted(NAMES)


def test_harder_is_harder() -> None:
    steps = [Dials.from_difficulty(step / 10) for step in range(11)]
    for name in ("things", "lookalikes", "overlap", "speed", "turning", "leaving", "occluders", "pan", "zoom"):
        values = [getattr(dials, name) for dials in steps]
        assert values == sorted(values)
        assert values[0] < values[-1]


def test_the_calmest_world_is_clear_and_the_hardest_has_everything() -> None:
    calm, hard = Dials.from_difficulty(0), Dials.from_difficulty(1)
    for name in ("lookalikes", "leaving", "shake", "cut_seconds", "light", "blur", "noise", "crowds", "clutter"):
        assert getattr(calm, name) == 0 < getattr(hard, name)


@pytest.mark.parametrize("name", NAMES)
def test_values_beyond_the_range_are_refused_with_the_range(name: str) -> None:
    low, high = RANGES[name]
    for value in (low - 1, high * 2 + 1, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=rf"^{name} is {value}, expected .*a number from {low:g} to"):
            replace(Dials(), **{name: value})


def test_bounds_are_allowed() -> None:
    for name, (low, high) in RANGES.items():
        sizes = {"smallest": RANGES["smallest"][0], "largest": RANGES["largest"][1]}  # so that either may move alone
        for value in (low, high):
            assert getattr(Dials(**(sizes | {name: value})), name) == value


@pytest.mark.parametrize("name", ["traffic_seconds", "cut_seconds"])
def test_rare_events_can_be_turned_off(name: str) -> None:
    assert getattr(replace(Dials(), **{name: 0}), name) == 0
    with pytest.raises(ConfigError, match=rf"^{name} is 0.05, expected 0 for none, or a number from 0.1"):
        replace(Dials(), **{name: 0.05})


def test_sizes_are_in_order() -> None:
    with pytest.raises(ConfigError, match=r"run from 0.6 to 0.5, expected smallest <= largest"):
        Dials(smallest=0.6, largest=0.5)


@pytest.mark.parametrize("difficulty", [-0.1, 1.1, float("nan")])
def test_a_difficulty_out_of_range(difficulty: float) -> None:
    with pytest.raises(ConfigError, match="expected a number from 0 to 1"):
        Dials.from_difficulty(difficulty)

"""What is measured in turns is held against the baseline around it."""

import pytest

from streamseg.benchmark.turns import Mark, Pace, take_turns


def test_each_turn_is_held_against_the_baseline_before_and_after_it() -> None:
    calls: list[str] = []
    baseline = iter([Pace(10.0, 4.0), Pace(20.0, 5.0), Pace(40.0, 6.0)])
    measured = iter([Pace(30.0, 7.0), Pace(15.0, 9.0)])

    def of(name: str, paces: object) -> Pace:
        calls.append(name)
        pace: Pace = next(paces)  # type: ignore[call-overload]
        return pace

    turns = take_turns(lambda: of("measured", measured), lambda: of("baseline", baseline), 2)
    assert calls == ["baseline", "measured", "baseline", "measured", "baseline"]
    assert turns.ratios == pytest.approx((2.0, 0.5))
    assert turns.ratio == pytest.approx(1.25)
    assert (turns.measured, turns.baseline) == (Pace(22.5, 8.0), Pace(20.0, 5.0))


def test_a_pace_is_that_between_two_marks() -> None:
    assert Pace.between(Mark(10.0, 1.0), Mark(12.0, 1.5), 10) == Pace(5.0, 50.0)

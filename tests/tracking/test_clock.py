"""A stream's time."""

from fractions import Fraction

import pytest

from streamseg.tracking.clock import StreamClock


def times(*ticks: tuple[int, Fraction | float | None]) -> list[float]:
    clock = StreamClock(assumed_fps=10)
    return [pytest.approx(clock.tick(*tick)) for tick in ticks]


def test_time_begins_at_the_first_frame() -> None:
    assert times((5, Fraction(200)), (6, Fraction(20004, 100)), (9, 200.5)) == [0, 0.04, 0.5]


def test_pictures_take_the_assumed_rate() -> None:
    assert times((0, None), (1, None), (5, None)) == [0, 0.1, 0.5]


def test_a_first_frame_without_time_and_jumps_back_are_bridged() -> None:
    assert times((0, None), (1, 7.0), (2, 7.2)) == [0, 0.1, 0.3]
    assert times((0, 7.0), (1, 3.0), (2, 3.1)) == [0, 0.1, 0.2]


def test_goes_on_from_its_state() -> None:
    clock, other = StreamClock(10), StreamClock(10)
    clock.tick(3, 1.5)
    other.load_state_dict(clock.state_dict())
    assert other.tick(4, 1.75) == clock.tick(4, 1.75) == 0.25

from fractions import Fraction

import pytest

from streamseg.sinks.timeline import Moment, Timeline

CAMERA = Fraction(1, 90_000)


def ticks(moments: list[int | None], time_base: Fraction = CAMERA, step: int = 3600) -> list[int]:
    timeline = Timeline(time_base, step)
    return [timeline.tick(None if each is None else Moment(each, CAMERA)) for each in moments]


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([500, 4100, 7000, 20_000], [0, 3600, 6500, 19_500]),  # a file begins at 0, gaps stay
        ([-1000, 2600], [0, 3600]),
        ([None, None, None], [0, 3600, 7200]),  # without times: the nominal rate
        ([None, 90_000, 93_003], [0, 3600, 6603]),  # a camera's first frame has no time
        ([0, None, 7300], [0, 3600, 7300]),
        ([90_000, 93_600, 0, 3600], [0, 3600, 7200, 10_800]),  # the clock was set back
        ([0, 0, 5], [0, 3600, 3605]),  # the same time twice
    ],
)
def test_ticks(moments: list[int | None], expected: list[int]) -> None:
    assert ticks(moments) == expected


def test_another_time_base_is_converted() -> None:
    assert ticks([0, 3600, 7201], Fraction(1, 25), 1) == [0, 1, 2]


def test_a_moment_survives_json() -> None:
    moment = Moment(-7, Fraction(1001, 30_000))
    assert Moment.from_plain(moment.to_plain()) == moment
    assert moment.seconds == Fraction(-7007, 30_000)
    assert Moment.from_plain(None) is None

from types import SimpleNamespace

import pytest

from streamseg.cli.progress import RATE_FRAMES, RATE_SECONDS, Rate, time_left
from streamseg.cli.text import aligned, clock, describe_words
from streamseg.vocabulary import Vocabulary


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate(0, now=0.0)
    for second in range(1, 101):
        assert rate.update(10 * second, float(second)) == pytest.approx(10.0)
    for second in range(1, 21):
        latest = rate.update(1000 + 30 * second, 100.0 + second)
    assert latest == pytest.approx(30.0)


def test_a_slow_model_has_a_steady_rate() -> None:
    rate = Rate(0, now=0.0)
    rates = [rate.update(int(tick / 12), tick / 4) for tick in range(1, 4 * 300)]  # a frame every 3 s, looked at 4 Hz
    assert all(1 / 3.5 < value < 1 / 2.7 for value in rates[4 * 60 :])


def test_a_stream_that_stalls_falls_to_nothing_and_keeps_no_marks() -> None:
    rate = Rate(0, now=0.0)
    for tick in range(100):
        rate.update(tick, tick / 10)
    rates = [rate.update(99, 10.0 + tick) for tick in range(10_000)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.02
    assert len(rate._marks) < 10 * (RATE_SECONDS * 10 + RATE_FRAMES)


def test_before_the_first_frame_there_is_no_rate() -> None:
    assert Rate(7, now=1.0).update(7, 1.0) == 0.0
    assert Rate(7, now=1.0).first == 7


def test_time_left() -> None:
    assert time_left(100, 400, 2.0) == "0:02:30 left"
    assert time_left(0, 400, 0.0) == ""
    assert time_left(400, 400, 2.0) == ""
    assert time_left(410, 400, 2.0) == ""  # the container was wrong
    assert time_left(100, None, 2.0) == ""


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 3599, 90_000)] == ["0:00:00", "0:01:00", "0:59:59", "25:00:00"]


def test_rows_are_aligned_and_empty_columns_left_out() -> None:
    assert aligned([["a", "1", "", "x"], ["bcd", "22", "", "yz"]]) == ["a     1  x", "bcd  22  yz"]
    assert aligned([["a", ""], ["bcd", ""]]) == ["a", "bcd"]
    assert aligned([["", ""]]) == []


def test_words_for_people() -> None:
    words = Vocabulary.parse("car; person")
    assert describe_words(words) == "custom, 2 categories (car, person)"
    assert describe_words(Vocabulary.parse("car")) == "custom, 1 category (car)"
    coco = Vocabulary.load("coco")
    assert describe_words(coco) == "coco, 133 categories (person, bicycle, car, ...)"
    assert describe_words(words.with_background(coco)) == (
        "custom, 2 categories (car, person), against 131 others as background"
    )


def test_names_need_not_be_printable() -> None:
    from streamseg.cli.text import printable

    ascii_only = SimpleNamespace(encoding="ascii")
    assert printable("Straße \udcff", ascii_only) == "Stra\\xdfe \\udcff"  # type: ignore[arg-type]

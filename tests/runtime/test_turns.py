"""Order is kept whatever finishes first."""

import threading

import pytest

from streamseg.runtime.torch_threads import MOST_PASSES, SMALL_INPUT, share_threads
from streamseg.runtime.turns import Turns

PATIENCE_SECONDS = 60.0


def test_handed_on_in_the_order_of_beginning() -> None:
    turns, order = Turns(), list[int]()
    numbers = [turns.begin() for _ in range(4)]

    def hand_on(number: int) -> None:
        with turns.hand_on(number):
            order.append(number)

    threads = [threading.Thread(target=hand_on, args=(number,)) for number in reversed(numbers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert order == numbers


def test_an_error_lets_the_next_one_go_on() -> None:
    turns = Turns()
    first, second = turns.begin(), turns.begin()
    with pytest.raises(ZeroDivisionError), turns.hand_on(first):
        _ = 1 / 0
    with turns.hand_on(second):
        pass


@pytest.mark.parametrize(
    ("threads", "pixels", "expected"),
    [
        (1, SMALL_INPUT, (1, 1)),
        (2, SMALL_INPUT, (2, 1)),
        (9, SMALL_INPUT, (MOST_PASSES, 2)),
        (9, SMALL_INPUT + 1, (1, 9)),
    ],
)
def test_threads_are_shared_by_small_passes_alone(threads: int, pixels: int, expected: tuple[int, int]) -> None:
    assert share_threads(threads, pixels) == expected

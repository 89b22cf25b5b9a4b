import threading
from collections import deque

import numpy as np
import pytest

from streamseg.frames import Frame
from streamseg.runtime.intake import FOLLOWED, Arrived, BufferPolicy, Ended, Intake, drop_oldest

PICTURE = np.zeros((4, 6, 3), np.uint8)
WAIT, NEWEST = BufferPolicy.WAIT, BufferPolicy.NEWEST


def arrived(stream: str, index: int) -> Arrived:
    return Arrived(Frame(PICTURE, index, stream), index, 0.0)


def places(batch: list[Arrived]) -> list[tuple[str, int]]:
    return [(item.frame.stream_id, item.frame.index) for item in batch]


def test_drop_oldest_makes_room_for_one() -> None:
    waiting = deque(arrived("a", index) for index in range(4))
    assert places(drop_oldest(waiting, 3)) == [("a", 0), ("a", 1)]
    assert places(list(waiting)) == [("a", 2), ("a", 3)]
    assert drop_oldest(deque(), 1) == []


def test_live_frames_make_room_for_newer_ones() -> None:
    intake = Intake({"cam": NEWEST}, limit=2)
    lost = [places(intake.put(arrived("cam", index))) for index in range(4)]
    assert lost == [[], [], [("cam", 0)], [("cam", 1)]]
    assert places(intake.take(8, 0)[0]) == [("cam", 2), ("cam", 3)]


def test_recorded_frames_wait_for_room_and_none_is_lost() -> None:
    intake = Intake({"file": WAIT}, limit=2)

    def produce() -> None:
        for index in range(50):
            assert intake.put(arrived("file", index)) == []
        intake.end("file")

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    taken: list[tuple[str, int]] = []
    ended: list[Ended] = []
    while not ended:
        batch, ended = intake.take(3, 0)
        assert len(batch) <= 3
        taken += places(batch)
    thread.join(10)
    assert taken == [("file", index) for index in range(50)]
    assert ended == [Ended("file")]
    assert intake.take(3, 0) == ([], [])


def test_streams_take_turns() -> None:
    intake = Intake({"a": WAIT, "b": WAIT, "c": WAIT}, limit=8)
    for index in range(4):
        intake.put(arrived("a", index))
    intake.put(arrived("b", 0))
    intake.put(arrived("c", 0))
    assert places(intake.take(2, 0)[0]) == [("a", 0), ("b", 0)]
    assert places(intake.take(2, 0)[0]) == [("c", 0), ("a", 1)]
    assert places(intake.take(2, 0)[0]) == [("a", 2), ("a", 3)]


def test_a_batch_does_not_wait_for_a_stream_that_is_slow() -> None:
    intake = Intake({"fast": WAIT, "slow": WAIT}, limit=8)
    intake.put(arrived("fast", 0))
    assert places(intake.take(8, 3600)[0]) == [("fast", 0)]


def test_a_live_frame_waits_a_moment_for_others_to_join() -> None:
    intake = Intake({"a": NEWEST, "b": NEWEST}, limit=8)
    intake.put(arrived("a", 0))
    taken: list[tuple[str, int]] = []
    consumer = threading.Thread(target=lambda: taken.extend(places(intake.take(2, 3600)[0])), daemon=True)
    consumer.start()
    intake.put(arrived("b", 0))
    consumer.join(30)
    assert taken == [("a", 0), ("b", 0)]


def test_an_end_comes_after_the_frames_in_front_of_it_with_its_error() -> None:
    intake = Intake({"a": WAIT}, limit=8)
    error = ValueError("broken")
    intake.put(arrived("a", 0))
    intake.put(arrived("a", 1))
    intake.end("a", error)
    assert intake.take(1, 0)[1] == []
    batch, ended = intake.take(1, 0)
    assert (places(batch), ended) == ([("a", 1)], [Ended("a", error)])


def test_stopping_gives_back_what_waits_and_wakes_everybody() -> None:
    intake = Intake({"a": WAIT}, limit=1)
    intake.put(arrived("a", 0))
    refused: list[Arrived] = []
    producer = threading.Thread(target=lambda: refused.extend(intake.put(arrived("a", 1))), daemon=True)
    producer.start()
    left = intake.stop()
    producer.join(10)
    # The producer either still waited, or had not come yet: its frame is given back to it in both cases.
    assert (places(left), places(refused)) == ([("a", 0)], [("a", 1)])
    assert intake.take(1, 0) == ([], [])


@pytest.mark.parametrize("policy", list(BufferPolicy))
def test_a_consumer_that_waits_is_woken_by_a_stop(policy: BufferPolicy) -> None:
    intake = Intake({"a": policy}, limit=1)
    outcome: list[object] = []
    consumer = threading.Thread(target=lambda: outcome.append(intake.take(1, 0)), daemon=True)
    consumer.start()
    intake.stop()
    consumer.join(10)
    assert outcome == [([], [])]


def test_a_lane_whose_frames_are_not_done_is_left_alone() -> None:
    intake = Intake({"held": WAIT, "free": WAIT}, limit=9)
    intake.expect_done(2)
    for index in range(9):
        intake.put(arrived("held", index))
        intake.put(arrived("free", index))
    taken: list[tuple[str, int]] = []
    while ("free", 8) not in taken:
        batch = places(intake.take(2, 0)[0])
        taken += batch
        for lane, _ in batch:
            if lane == "free":
                intake.done(lane)
    assert [place for place in taken if place[0] == "free"] == [("free", index) for index in range(9)]
    assert [place for place in taken if place[0] == "held"] == [("held", index) for index in range(1 + FOLLOWED)]
    intake.done("held")
    assert places(intake.take(2, 0)[0]) == [("held", 1 + FOLLOWED)]


def test_the_end_of_a_lane_comes_behind_the_frames_that_are_held_back() -> None:
    intake = Intake({"held": WAIT}, limit=9)
    intake.expect_done(1)
    for index in range(2 + FOLLOWED):
        intake.put(arrived("held", index))
    intake.end("held")
    for _ in range(1 + FOLLOWED):
        assert len(intake.take(1, 0)[0]) == 1
    found: list[Ended] = []
    consumer = threading.Thread(target=lambda: found.extend(intake.take(1, 0)[1]), daemon=True)
    consumer.start()
    intake.done("held")
    consumer.join(60)
    assert [end.lane for end in found] == ["held"]

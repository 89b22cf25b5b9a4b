"""What an emitter takes: the latest lease's results, each frame once, gaps counted. No cluster is needed for that."""

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamseg.config.run import read_settings
from streamseg.frames import Frame, FrameResult
from streamseg.pipeline.plan import plan_run
from streamseg.runtime.channel import Channel
from streamseg.runtime.emitter import Closing, Outgoing
from streamseg.runtime.intake import Arrived
from streamseg.sinks.base import Emission
from streamseg.vocabulary import Vocabulary
from tests.recorded import Named
from tests.runtime.cluster.ray_runs import wait_for

pytest.importorskip("ray", reason="needs ray")

from streamseg.runtime.cluster.desk import Desk
from streamseg.runtime.cluster.outbox import Outbox
from streamseg.runtime.cluster.placement import choose_worker
from streamseg.runtime.cluster.wire import Fault, Parcel, Place, pack_result, unpack_result

WORDS = Vocabulary.parse("left; right")
IDS = np.array([[1, 1, 2], [0, 2, 2]], np.int32)


class Given(list[FrameResult]):
    """In the place of a caller."""

    def put(self, item: FrameResult) -> bool:
        self.append(item)
        return True


@pytest.fixture
def given() -> Given:
    return Given()


@pytest.fixture
def desk(tmp_path: Path, given: Given) -> Iterator[Desk]:
    desk = make_desk(tmp_path, given)
    desk.start()
    yield desk
    desk.close(None, Closing(False), None, None)
    desk.join()


def make_desk(folder: Path, given: Given) -> Desk:
    values = {"sources": ["world:seed=1,seconds=9,size=64x48"], "model": {"name": "demo"}, "sinks": ["jsonl"]}
    plan = plan_run(read_settings(given=values), WORDS)
    stop = threading.Event()
    return Desk(plan, plan.streams[0], folder, results=given, settle=None, fail=print, stop=stop)


def result(frame: Frame) -> FrameResult:
    named = [Named(1, 0, "left", True), Named(2, 1, "right", True)]
    return FrameResult.from_map(frame, IDS, named, model="m", vocabulary=WORDS)


def parcel(number: int, *, state: Any = None, decoded: int | None = None) -> Parcel:
    frame = Frame(np.zeros((2, 3, 3), np.uint8), number, "world", 0, number, Fraction(1, 25))
    totals = {"decoded": number + 1 if decoded is None else decoded, "dropped": {}}
    arrived = Arrived(frame, number, 0.0, totals)
    return Parcel.of(Outgoing(Emission(result(frame), frame.rgb, WORDS), arrived, 2, state), WORDS, picture=False)


def test_an_older_lease_is_refused(desk: Desk, given: Given) -> None:
    assert desk.begin(1) is not None
    assert desk.take(1, parcel(0))
    desk.begin(2)
    assert not desk.take(1, parcel(1))
    assert desk.take(2, parcel(1))
    desk.close(1, Closing(True), None, None)  # nor has it the last word
    assert desk.take(2, parcel(2))
    desk.close(2, Closing(True), {"decoded": 3, "dropped": {}}, None)
    desk.join()
    assert [one.index for one in given] == [0, 1, 2]
    assert desk.emitter.finished
    assert desk.begin(3) is None


def test_a_replay_goes_unnoticed(desk: Desk, given: Given) -> None:
    desk.begin(1)
    assert desk.take(1, parcel(0, state={"kind": "some"}))
    assert all(desk.take(1, parcel(number)) for number in (1, 2))
    wait_for(lambda: len(given) == 3 and desk.emitter.committed is not None)
    beginning = desk.begin(2)
    assert beginning is not None
    assert beginning.place.number == 1
    assert beginning.tracker == {"kind": "some"}
    assert beginning.mark == (0, 2)
    assert all(desk.take(2, parcel(number)) for number in (1, 2, 3))
    desk.close(2, Closing(False), None, None)
    desk.join()
    assert [one.index for one in given] == [0, 1, 2, 3]
    assert (desk.totals().decoded, desk.totals().emitted) == (4, 4)


def test_what_is_missing_was_lost_with_a_worker(desk: Desk) -> None:
    desk.begin(1)
    desk.take(1, parcel(0))
    desk.take(1, parcel(4))
    desk.close(1, Closing(False), None, None)
    desk.join()
    totals = desk.totals()
    assert (totals.decoded, totals.emitted, dict(totals.dropped), totals.in_flight) == (5, 2, {"worker_lost": 3}, 0)


def test_a_new_desk_goes_on_from_the_commit_on_disk(tmp_path: Path, given: Given) -> None:
    first = make_desk(tmp_path, given)
    first.start()
    first.begin(1)
    first.take(1, parcel(0))
    first.take(1, parcel(1, state={"kind": "some"}))
    first.take(1, parcel(2))
    first.emitter.put(Closing(False))  # as if it died here: the place of frame 2 was not noted
    first.join()
    again = make_desk(tmp_path, given)
    again.start()
    beginning = again.begin(1)
    assert beginning is not None
    assert (beginning.place.number, beginning.replay_until) == (2, (0, 2))
    assert again.take(1, parcel(2))
    again.close(1, Closing(True), {"decoded": 3, "dropped": {}}, None)
    again.join()
    assert (tmp_path / "records.jsonl").read_text().count("\n") == 3
    assert (again.totals().decoded, again.totals().emitted) == (3, 3)


@pytest.mark.parametrize("ids", [IDS, np.zeros((2, 2), np.int32), np.full((1, 1), 7, np.int32)])
def test_maps_travel_as_runs(ids: np.ndarray[Any, Any]) -> None:
    frame = Frame(np.zeros((*ids.shape, 3), np.uint8), 3, "world")
    named = [Named(int(id_), 0, "left", True) for id_ in np.unique(ids) if id_]
    before = FrameResult.from_map(frame, ids, named, model="m", vocabulary=WORDS)
    after = unpack_result(pack_result(before))
    assert after.to_json() == before.to_json()
    assert (after.panoptic == ids).all()
    assert after.panoptic.dtype == np.int32


def test_errors_travel_in_words() -> None:
    from streamseg.errors import SourceError

    assert isinstance(Fault.of(SourceError("no camera")).error(), SourceError)
    assert str(Fault.of(ValueError("odd\nvalue")).error()) == "ValueError: odd value"


def test_a_place_is_behind_its_frame() -> None:
    place = Place.after(parcel(4).arrived)
    assert place.position is not None
    assert (place.position.index, place.position.pts_ticks, place.number) == (4, 4, 5)


def test_an_outbox_settles_when_its_items_have_arrived() -> None:
    outbox = Outbox(4)
    frame = Frame(np.zeros((2, 3, 3), np.uint8), 0, "world")
    outbox.put(result(frame))
    settled = threading.Event()
    threading.Thread(target=lambda: (outbox.settle(), settled.set()), daemon=True).start()
    given = outbox.give()
    next(given)
    assert not settled.wait(0.05)
    outbox.put(result(frame))
    next(given)  # asks for the next one: the first has arrived
    assert settled.wait(60)


def test_a_stream_goes_to_the_worker_with_the_fewest() -> None:
    assert choose_worker([], {"a": None}) is None
    assert choose_worker([0, 1], {"a": 0, "b": None}) == 1
    assert choose_worker([0, 1], {"a": 0, "b": 1}) == 0


def test_several_items_of_a_channel_at_once() -> None:
    channel: Channel[int] = Channel(None)
    for number in range(5):
        channel.put(number)
    channel.close()
    assert list(channel.several(3)) == [[0, 1, 2], [3, 4]]

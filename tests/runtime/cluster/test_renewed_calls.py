"""Ray keeps something of every item of a call until the call ends: so calls end, and others go on where they were."""

from typing import Any

import pytest

from streamseg.config.run import read_settings
from streamseg.frames import Frame
from streamseg.pipeline.plan import plan_run
from tests.http_camera import HttpCamera, serve
from tests.runtime.small_runs import FRAMES, SOURCE

pytest.importorskip("ray", reason="needs ray")

import numpy as np

from streamseg.runtime.cluster import decoder as decoder_module
from streamseg.runtime.cluster import outbox as outbox_module
from streamseg.runtime.cluster.decoder import Decoder
from streamseg.runtime.cluster.outbox import Outbox
from streamseg.runtime.cluster.wire import Pack, Place
from tests.runtime.cluster.test_desk import result

SHORT = 3


@pytest.fixture(autouse=True)
def _calls_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_module, "PACKS_OF_A_CALL", SHORT)
    monkeypatch.setattr(outbox_module, "RESULTS_OF_A_CALL", SHORT)


def decoder_of(source: str) -> Decoder:
    plan = plan_run(read_settings(given={"sources": [source], "model": {"name": "demo"}}))
    return Decoder(plan, plan.streams[0])


def call(decoder: Decoder, place: Place, lease: int = 1) -> list[Pack]:
    return list(decoder.frames(place, lease))


def behind(packs: list[Pack]) -> Place:
    return Place.after(next(pack for pack in reversed(packs) if pack.frames).frames[-1])


def test_a_recording_goes_on_in_the_next_call_without_being_opened_again() -> None:
    decoder, place, found = decoder_of(SOURCE), Place(), []
    sessions: set[Any] = set()
    while True:
        packs = call(decoder, place)
        found += [arrived.frame.index for pack in packs for arrived in pack.frames]
        sessions.add(decoder._session)
        if packs[-1].ended:
            break
        assert (len(packs), packs[-1].frames) == (SHORT + 1, ())
        place = behind(packs)
    assert found == list(range(FRAMES))
    assert len(sessions) == 1


def test_whoever_has_lost_some_or_is_new_gets_them_again() -> None:
    decoder = decoder_of(SOURCE)
    first = call(decoder, Place())
    place = Place.after(first[0].frames[-1])
    again = call(decoder, place)
    assert again[0].frames[0].number == place.number
    assert call(decoder, behind(again), lease=2)[0].frames[0].number == behind(again).number
    assert call(decoder, place, lease=1) == []


def test_a_camera_goes_on_in_the_next_call() -> None:
    with serve(HttpCamera()) as camera:
        decoder = decoder_of(f"{camera.url}/mjpeg")
        first = call(decoder, Place())
        session = decoder._session
        second = call(decoder, behind(first))
        numbers = [arrived.number for pack in (*first, *second) for arrived in pack.frames]
        assert numbers == list(range(2 * SHORT))
        assert session is not None
        assert decoder._session is session
        session.stop()


def test_results_go_on_in_the_next_call() -> None:
    outbox = Outbox(9)
    for index in range(2 * SHORT - 1):
        outbox.put(result(Frame(np.zeros((2, 3, 3), np.uint8), index, "world")))
    outbox.close()
    first, second = list(outbox.give()), list(outbox.give())
    assert first[-1] is None
    assert [packed.rest.index for packed in first[:-1] + second if packed is not None] == list(range(2 * SHORT - 1))
    assert None not in second

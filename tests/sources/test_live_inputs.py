"""Live sources that are no RTSP cameras: JPEG after JPEG, HLS, damaged streams, devices, mute servers."""

import gc
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from streamseg.errors import SourceError
from streamseg.sources.base import Skipped
from streamseg.sources.connection import Connection
from tests import rtsp_server
from tests.http_camera import FPS, SEGMENT_FRAMES, SIZE_HW, WINDOW, HttpCamera, serve, transport_stream
from tests.live_viewer import IMPATIENT, QUICK, Viewer


@pytest.fixture
def camera() -> Iterator[HttpCamera]:
    with serve(HttpCamera()) as camera:
        yield camera


def test_mjpeg_has_the_time_of_its_arrival(camera: HttpCamera) -> None:
    with Viewer(f"{camera.url}/mjpeg") as viewer:
        viewer.until_frames(12)
    assert viewer.skipped == []
    frames = viewer.frames
    assert {(frame.size_hw, frame.epoch, frame.clock) for frame in frames} == {(SIZE_HW, 0, "arrival")}
    first, last = frames[0], frames[-1]
    assert first.pts_seconds is not None
    assert last.pts_seconds is not None
    assert first.captured_at is not None
    assert last.captured_at is not None
    elapsed = float(last.pts_seconds - first.pts_seconds)
    assert elapsed == pytest.approx((last.captured_at - first.captured_at).total_seconds(), abs=0.1)
    assert elapsed > 0.6 * (len(frames) - 1) / FPS  # made-up timestamps would claim 25 frames a second


def test_mjpeg_that_ends_goes_on(camera: HttpCamera) -> None:
    camera.pictures_per_answer = 5
    with Viewer(f"{camera.url}/mjpeg") as viewer:
        viewer.until(lambda: viewer.items[-1].index >= 12 if viewer.items else False)
    epochs = [frame.epoch for frame in viewer.frames]
    assert epochs == sorted(epochs)
    assert set(epochs) >= {0, 1, 2}
    assert [item.index for item in viewer.items] == list(range(len(viewer.items)))


def test_lost_connections_are_let_go_at_once(camera: HttpCamera) -> None:
    """Decoders are large. Nothing may keep them until the garbage collector comes round."""
    camera.pictures_per_answer = 3
    gc.disable()
    try:
        with Viewer(f"{camera.url}/mjpeg") as viewer:
            viewer.until(lambda: bool(viewer.frames) and viewer.frames[-1].epoch >= 4)
            kept = [thing for thing in gc.get_objects() if type(thing) is Connection]
            assert len(kept) <= 2  # the last one, and one that is being made
    finally:
        gc.enable()


def test_hls_is_played_at_its_own_speed(camera: HttpCamera) -> None:
    """A segment comes as one burst. Its frames do not."""
    arrivals: list[float] = []

    def wanted(*_: object) -> str:
        arrivals.append(time.monotonic())
        return "keep"

    with Viewer(f"{camera.url}/live.m3u8", wanted=wanted) as viewer:  # type: ignore[arg-type]
        viewer.until_frames(25)
        assert viewer.source.info().codec == "h264"
    times = [frame.pts_seconds for frame in viewer.frames if frame.pts_seconds is not None]
    assert {later - earlier for earlier, later in pairwise(times)} == {times[1] - times[0]}  # none is missing
    assert arrivals[24] - arrivals[1] >= 22 / FPS - 0.01  # a frame is asked about when the one before it was due
    assert {frame.epoch for frame in viewer.frames} == {0}


def test_hls_that_is_over_ends(camera: HttpCamera) -> None:
    camera.finished = True
    with Viewer(f"{camera.url}/live.m3u8") as viewer:
        viewer.end()
    assert viewer.error is None
    assert viewer.source.status == "ended"
    assert len(viewer.items) == WINDOW * SEGMENT_FRAMES


DAMAGED = 14  # of three groups of ten


def test_damage_is_held_back_until_the_next_keyframe() -> None:
    def cut(place: int, data: bytes) -> bytes:
        return data[: len(data) // 2] if place == DAMAGED else data

    stream = transport_stream(0, 3 * SEGMENT_FRAMES, alter=cut)
    with serve(HttpCamera(), {"/ts": stream}) as damaged, Viewer(f"{damaged.url}/ts", QUICK) as viewer:
        viewer.until(lambda: bool(viewer.items) and viewer.items[-1].index >= 25)
    lost = [item.index for item in viewer.skipped]
    assert lost == list(range(DAMAGED, 2 * SEGMENT_FRAMES))
    assert {item.reason for item in viewer.skipped} == {"damaged"}


def test_a_stream_that_is_joined_midway() -> None:
    """Without its first keyframe: nothing is shown until the second."""

    def forget(place: int, data: bytes) -> bytes:
        return b"\x00\x00\x00\x01\x09\xf0" if place < 3 else data  # only the delimiter between pictures is left

    stream = transport_stream(0, 3 * SEGMENT_FRAMES, alter=forget)
    with serve(HttpCamera(), {"/ts": stream}) as joined, Viewer(f"{joined.url}/ts") as viewer:
        viewer.until_frames(10)
    assert viewer.frames[0].pts_seconds is not None
    assert all(isinstance(item, Skipped) for item in viewer.items[: viewer.frames[0].index])


@pytest.mark.parametrize(("status", "words"), [(401, "(401)"), (403, "(403)"), (404, "(404)")])
def test_what_waiting_does_not_mend(status: int, words: str, camera: HttpCamera) -> None:
    camera.status = status
    with Viewer(f"{camera.url.replace('//', '//operator:hush-hush@')}/mjpeg?token=abcdef") as viewer:
        viewer.end()
    assert isinstance(viewer.error, SourceError)
    assert words in str(viewer.error)
    assert "hush" not in str(viewer.error)
    assert "abcdef" not in str(viewer.error)


def test_what_waiting_may_mend(camera: HttpCamera) -> None:
    camera.status = 503
    with Viewer(f"{camera.url}/mjpeg") as viewer:
        viewer.until_status("waiting")
        camera.status = 200
        viewer.until_frames(1)
        camera.status = 404  # it has delivered: now that is an outage, too
        camera.pictures_per_answer = 1


def test_something_that_is_no_video() -> None:
    page = b"<html>Sign in, please</html>" * 500
    with serve(HttpCamera(), {"/page": page}) as server, Viewer(f"{server.url}/page", IMPATIENT) as viewer:
        viewer.until_status("waiting")
    assert viewer.items == []


@pytest.fixture
def mute() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def deaf() -> Iterator[int]:
    """The port of a server that does not even take connections: its queue is full."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as server,
        socket.socket() as first,
        socket.socket() as next_,
    ):
        for waiting in (first, next_):
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@pytest.mark.parametrize("kind", ["mute", "deaf"])
@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_does_not_answer(scheme: str, kind: str, request: pytest.FixtureRequest) -> None:
    port = request.getfixturevalue(kind)
    with Viewer(f"{scheme}://127.0.0.1:{port}/live", replace(IMPATIENT, max_attempts=2)) as viewer:
        viewer.end()
    assert isinstance(viewer.error, SourceError)
    assert "after 2 attempts in a row" in str(viewer.error)
    assert viewer.items == []


def test_a_camera_that_is_not_plugged_in() -> None:
    with Viewer("97") as viewer:
        viewer.end()
    assert isinstance(viewer.error, SourceError)
    assert str(viewer.error).startswith("cam0: cannot read '97': no such file or directory; check its number and its ")


def test_a_device_that_is_no_camera() -> None:
    with Viewer("/dev/null") as viewer:
        viewer.end()
    assert isinstance(viewer.error, SourceError)
    assert "it is no camera" in str(viewer.error)


def test_without_an_rtsp_server_its_tests_skip_unless_there_must_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtsp_server, "missing", lambda: "GStreamer has no videotestsrc")
    monkeypatch.delenv("STREAMSEG_REQUIRE_RTSP", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install"):
        rtsp_server.require_rtsp_server()
    monkeypatch.setenv("STREAMSEG_REQUIRE_RTSP", "1")
    with pytest.raises(pytest.fail.Exception, match="GStreamer has no videotestsrc"):
        rtsp_server.require_rtsp_server()

"""Live sources against a real RTSP server: it is switched off, frozen, resized and locked under their eyes."""

import logging
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from streamseg.errors import SourceError
from streamseg.sources.base import Position, Skipped, Verdict
from tests.live_viewer import IMPATIENT, PATIENCE_SECONDS, QUICK, Viewer
from tests.rtsp_server import RtspServer, require_rtsp_server

PASSWORD = "se/cr@t:word"
QUOTED = "se%2Fcr%40t%3Aword"
SECRETS = (PASSWORD, QUOTED, "operator")


@pytest.fixture(autouse=True, scope="module")
def _server_is_installed() -> None:
    require_rtsp_server()


@pytest.fixture(scope="module")
def steady_camera(_server_is_installed: None) -> Iterator[RtspServer]:
    """Switched on, for tests that leave it so."""
    with RtspServer() as server:
        yield server


@pytest.fixture
def camera() -> Iterator[RtspServer]:
    """Switched on."""
    with RtspServer() as server:
        yield server


@pytest.fixture
def dark_camera() -> Iterator[RtspServer]:
    """Switched off."""
    server = RtspServer()
    yield server
    server.off()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="streamseg.sources")
    return caplog


def assert_hidden(*texts: str) -> None:
    for text in texts:
        assert not [secret for secret in SECRETS if secret in text], text


def indices(viewer: Viewer) -> list[int]:
    return [item.index for item in viewer.items]


def test_frames_of_a_camera(steady_camera: RtspServer, log: pytest.LogCaptureFixture) -> None:
    with Viewer(steady_camera.url()) as viewer:
        assert viewer.source.info().size_hw is None  # nothing is opened to know it
        viewer.until_frames(25)
        assert viewer.source.status == "streaming, decode: " + viewer.source.status.partition("decode: ")[2]
        info = viewer.source.info()
    frames = viewer.frames
    assert indices(viewer) == list(range(len(viewer.items)))
    assert {(frame.stream_id, frame.epoch, frame.size_hw) for frame in frames} == {("cam0", 0, (120, 160))}
    assert {frame.time_base for frame in frames} == {Fraction(1, 90_000)}
    times = [frame.pts_seconds for frame in frames if frame.pts_seconds is not None]
    assert len(times) >= len(frames) - 1  # RTSP may give the first frame none
    assert {later - earlier for earlier, later in pairwise(times)} == {Fraction(1, 25)}
    assert frames[0].rgb.max() == 255  # the ball of the test picture is white
    assert frames[0].rgb.min() < 30
    assert (info.kind, info.size_hw, info.codec) == ("live", (120, 160), "h264")
    assert [record.getMessage().partition(": ")[2].partition(" (")[0] for record in log.records] == ["decode: cpu"]


def test_the_cameras_clock_is_taken_once_it_tells_it(steady_camera: RtspServer) -> None:
    begun = datetime.now(UTC)
    with Viewer(steady_camera.url()) as viewer:
        viewer.until(lambda: any(frame.clock == "rtcp" for frame in viewer.frames))
        viewer.until_frames(10)
    clocks = [frame.clock for frame in viewer.frames]
    assert clocks == sorted(clocks)  # arrival first, then RTCP
    moments = [frame.captured_at for frame in viewer.frames]
    assert all(moment is not None and begun - timedelta(seconds=1) < moment < datetime.now(UTC) for moment in moments)
    told = [frame.captured_at for frame in viewer.frames if frame.clock == "rtcp"]
    steps = [(later - earlier).total_seconds() for earlier, later in pairwise(m for m in told if m is not None)]
    assert steps[-5:] == pytest.approx([0.04] * 5, abs=0.002)  # the camera's time, whatever the network did


def test_what_is_not_wanted_is_skipped_with_its_reason(steady_camera: RtspServer) -> None:
    asked: list[tuple[int, Fraction | None]] = []

    def wanted(index: int, seconds: Fraction | None) -> Verdict:
        asked.append((index, seconds))
        return "end" if index == 12 else "keep" if index % 4 == 0 else "stride"

    with Viewer(steady_camera.url(), wanted=wanted) as viewer:
        viewer.end()
    assert viewer.error is None
    assert viewer.source.status == "ended"
    assert [frame.index for frame in viewer.frames] == [0, 4, 8]
    assert viewer.skipped == [Skipped(index, "stride") for index in range(12) if index % 4]
    assert [index for index, _ in asked] == list(range(13))
    assert dict(asked)[8] == viewer.frames[2].pts_seconds


def test_going_on_after_a_position(steady_camera: RtspServer) -> None:
    with Viewer(steady_camera.url(), after=Position(41, None, epoch=7)) as viewer:
        viewer.until_frames(3)
    assert [(frame.index, frame.epoch) for frame in viewer.frames[:3]] == [(42, 7), (43, 7), (44, 7)]


@pytest.mark.parametrize("scheme", ["basic", "digest"])
def test_user_and_password(scheme: str, log: pytest.LogCaptureFixture) -> None:
    with RtspServer("--user", "operator", "--password", PASSWORD, "--scheme", scheme) as camera:
        with Viewer(camera.url(f"operator:{QUOTED}")) as viewer:
            viewer.until_frames(2)
        statuses = [viewer.source.status]
        for user_info in ("", "operator:secret-guess", f"nobody:{QUOTED}"):
            with Viewer(camera.url(user_info)) as viewer:
                viewer.end()
            assert isinstance(viewer.error, SourceError)
            message = str(viewer.error)
            assert "(401)" in message
            assert "USER:PASSWORD@HOST" in message
            assert "\n" not in message
            assert viewer.error.__cause__ is None
            assert viewer.error.__context__ is None
            assert "secret-guess" not in message
            statuses += [message, viewer.source.status, repr(viewer.error)]
    assert_hidden(log.text, *statuses)


def test_a_path_that_is_not_there(steady_camera: RtspServer) -> None:
    with Viewer(steady_camera.url("operator:hush-hush", mount="nothing")) as viewer:
        viewer.end()
    assert isinstance(viewer.error, SourceError)
    shown = f"rtsp://***@127.0.0.1:{steady_camera.port}/nothing"
    complaint = "it has no such stream (404); check the path in its URL"
    assert str(viewer.error) == f"cam0: cannot read {shown!r}: {complaint}"


def test_a_camera_that_is_off_is_waited_for(dark_camera: RtspServer, log: pytest.LogCaptureFixture) -> None:
    with Viewer(dark_camera.url(f"operator:{QUOTED}")) as viewer:
        viewer.until_status("waiting")
        assert viewer.source.status.endswith("s: connection refused")
        seen = viewer.source.heartbeat
        viewer.until(lambda: viewer.source.heartbeat > seen)  # a wait on purpose is a sign of life
        dark_camera.on()
        viewer.until_frames(2)
    assert viewer.frames[0].epoch == 0
    lines = [record.getMessage() for record in log.records]
    assert lines[0] == "cam0: not there yet (connection refused); trying again"
    assert lines[1].startswith("cam0: back after ")
    assert [line for line in lines[2:] if "decode" not in line] == []  # one line for the outage, not one an attempt
    assert_hidden(log.text)


def test_attempts_can_be_limited(dark_camera: RtspServer) -> None:
    with Viewer(dark_camera.url(), replace(QUICK, max_attempts=3)) as viewer:
        viewer.end()
    assert isinstance(viewer.error, SourceError)
    assert "connection refused, after 3 attempts in a row; " in str(viewer.error)


def test_a_camera_that_dies_and_comes_back_with_another_size(camera: RtspServer, log: pytest.LogCaptureFixture) -> None:
    with Viewer(camera.url()) as viewer:
        viewer.until_frames(5)
        camera.off()
        viewer.until_status("waiting")
        camera.on("--size", "320x240")
        viewer.until_frames(5)
        assert viewer.source.info().size_hw == (240, 320)
    assert indices(viewer) == list(range(len(viewer.items)))
    assert {(frame.epoch, frame.size_hw) for frame in viewer.frames} == {(0, (120, 160)), (1, (240, 320))}
    lines = [record.getMessage() for record in log.records]
    assert sum("trying again" in line for line in lines) == 1
    assert sum("back after" in line for line in lines) == 1


def test_a_new_size_in_the_middle_of_the_stream(camera: RtspServer) -> None:
    with Viewer(camera.url()) as viewer:
        viewer.until_frames(5)
        camera.resize("320x240")
        viewer.until(lambda: viewer.frames[-1].size_hw == (240, 320))
        viewer.until_frames(2)
    assert {(frame.epoch, frame.size_hw) for frame in viewer.frames} == {(0, (120, 160)), (1, (240, 320))}
    times = [frame.pts_seconds for frame in viewer.frames if frame.pts_seconds is not None]
    assert times == sorted(times)  # the same connection, the same time


def test_a_frozen_camera_is_lost_and_found_again(camera: RtspServer) -> None:
    with Viewer(camera.url(), IMPATIENT) as viewer:
        viewer.until_frames(3)
        camera.freeze()
        viewer.until_status("waiting")
        assert "no answer in time" in viewer.source.status
        epoch = viewer.frames[-1].epoch
        camera.thaw()
        viewer.until(lambda: viewer.frames[-1].epoch > epoch)


def test_a_password_that_changes_later_is_an_outage(camera: RtspServer, log: pytest.LogCaptureFixture) -> None:
    with Viewer(camera.url(f"operator:{QUOTED}")) as viewer:
        viewer.until_frames(2)
        camera.off()
        camera.on("--user", "operator", "--password", "another")
        viewer.until(lambda: "(401)" in viewer.source.status)
        camera.off()
        camera.on("--user", "operator", "--password", PASSWORD)
        viewer.until(lambda: viewer.frames[-1].epoch > 0)
        assert_hidden(viewer.source.status)
    assert_hidden(log.text)


def test_stop_while_connecting(camera: RtspServer) -> None:
    camera.freeze()  # the kernel still takes connections
    with Viewer(camera.url(), IMPATIENT) as viewer:
        viewer.until_status("connecting")
        viewer.stop.set()
        viewer.end()
    assert viewer.error is None


def test_stop_while_waiting(dark_camera: RtspServer) -> None:
    live = replace(IMPATIENT, first_backoff_seconds=600.0, max_backoff_seconds=600.0)
    with Viewer(dark_camera.url(), live) as viewer:
        viewer.until_status("waiting")
        viewer.stop.set()
        viewer.end()
    assert viewer.error is None


def test_stop_while_reading(camera: RtspServer) -> None:
    with Viewer(camera.url(), IMPATIENT) as viewer:
        viewer.until_frames(1)
        camera.freeze()
        viewer.stop.set()
        viewer.end()
    assert viewer.error is None


def test_who_was_given_up_leaves_without_a_word(camera: RtspServer, log: pytest.LogCaptureFixture) -> None:
    with Viewer(camera.url(), replace(IMPATIENT, read_timeout_seconds=1.0)) as viewer:
        viewer.until_frames(1)
        camera.freeze()
        time.sleep(0.5)  # what it has already sent is read
        before = (viewer.source.status, viewer.source.heartbeat, len(viewer.items), len(log.records))
        viewer.stop.set()
        viewer.end()
    assert (viewer.source.status, viewer.source.heartbeat, len(viewer.items), len(log.records)) == before
    assert viewer.error is None


def test_udp(steady_camera: RtspServer) -> None:
    with Viewer(steady_camera.url(), replace(QUICK, transport="udp")) as viewer:
        viewer.until_frames(15)
    assert viewer.frames[0].epoch == 0


def test_rtsps(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([openssl, *request, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    both = tmp_path / "both.pem"
    both.write_text(key.read_text() + certificate.read_text())
    with RtspServer("--certificate", str(both)) as camera, Viewer(camera.url(scheme="rtsps")) as viewer:
        viewer.until_frames(2)


def test_mjpeg_needs_no_keyframes() -> None:
    with RtspServer("--codec", "mjpeg") as camera, Viewer(camera.url()) as viewer:
        viewer.until_frames(5)
    assert viewer.skipped == []
    assert viewer.source.info().codec == "mjpeg"


def test_who_joins_a_running_stream_gets_no_half_pictures() -> None:
    """The second viewer begins between two keyframes, 1.2 s apart: what it is shown looks like what the first sees."""
    with RtspServer("--shared", "--gop", "30") as camera, Viewer(camera.url()) as first:
        first.until_frames(5)
        with Viewer(camera.url()) as second:
            second.until_frames(5)
    assert second.frames[0].rgb.max() > 200  # a picture from nothing but differences is grey
    assert all(item.reason == "damaged" for item in second.skipped)


@pytest.mark.slow
def test_many_outages_leave_nothing_behind(camera: RtspServer) -> None:
    """Reconnecting for ever must not grow: neither threads nor open files."""
    descriptors = Path("/proc/self/fd")
    with Viewer(camera.url()) as viewer:
        viewer.until_frames(2)
        counts = []
        for _ in range(10):
            epoch = viewer.frames[-1].epoch
            camera.off()
            viewer.until_status("waiting")
            camera.on()
            viewer.until(lambda epoch=epoch: viewer.frames[-1].epoch > epoch)
            counts.append(len(list(descriptors.iterdir())))
        assert max(counts[5:]) <= max(counts[:5])
    assert time.monotonic() - viewer.source.heartbeat < PATIENCE_SECONDS

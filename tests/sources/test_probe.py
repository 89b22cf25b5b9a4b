"""What a look at a source tells."""

import json
import socket
from fractions import Fraction
from pathlib import Path

import pytest

from streamseg.config.sources import LiveSettings, SourceSettings
from streamseg.errors import DecodeError, SourceError
from streamseg.sources.probe import Pace, Seen, pace_of, probe
from tests.http_camera import HttpCamera, serve
from tests.media import CLIPS, Clip, make, make_audio
from tests.rtsp_server import RtspServer, require_rtsp_server

QUICK = LiveSettings(connect_timeout_seconds=2.0, read_timeout_seconds=2.0)


def looked_at(folder: Path, clip: Clip) -> dict[str, object]:
    return probe(SourceSettings(str(make(folder, clip)))).to_dict()


def test_a_file(tmp_path: Path) -> None:
    path = make(tmp_path, CLIPS["sound"], options=CLIPS["h264"].options)
    assert probe(SourceSettings(str(path), name="gate")).to_dict() == {
        "source": str(path),
        "name": "gate",
        "container": "mov,mp4,m4a,3gp,3g2,mj2",
        "codec": "h264",
        "profile": "High",
        "pixel_format": "yuv420p",
        "stored_size": [48, 64],
        "turned": False,
        "interlaced": False,
        "pixel_aspect": 1.0,
        "fps": 24.0,
        "variable_fps": False,
        "duration_seconds": 1.0,
        "frames": 24,
        "keyframe_interval_frames": 8,
        "timestamps": "complete",
        "time_base": [1, 12288],
        "first_pts_seconds": 0.0,
        "audio": ["aac"],
        "use": {
            "kind": "recorded",
            "transport": "file",
            "decoder": probe(SourceSettings(str(path))).decoder,
            "policy": "every frame; decoding waits for the model",
            "size": [48, 64],
        },
    }


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("rotated90", {"stored_size": [48, 64], "turned": True}),
        ("interlaced", {"interlaced": True}),
        ("ten_bit", {"pixel_format": "yuv420p10le", "codec": "ffv1"}),
        ("vfr", {"variable_fps": True, "frames": None}),
        ("mkv", {"variable_fps": False, "container": "matroska,webm"}),
        ("late", {"first_pts_seconds": 3600.0}),
        ("raw", {"timestamps": "missing", "duration_seconds": None, "first_pts_seconds": None}),
        ("gif", {"codec": "gif", "keyframe_interval_frames": None}),
    ],
)
def test_kinds_of_video(name: str, facts: dict[str, object], tmp_path: Path) -> None:
    found = looked_at(tmp_path, CLIPS[name])
    assert {key: found[key] for key in facts} == facts
    json.dumps(found)


def test_the_size_of_frames_is_the_right_way_up(tmp_path: Path) -> None:
    assert probe(SourceSettings(str(make(tmp_path, CLIPS["rotated90"])))).info.size_hw == (64, 48)


def test_what_is_not_decoded() -> None:
    found = probe(SourceSettings("world:size=64x48,seconds=2,fps=10")).to_dict()
    assert (found["frames"], found["fps"], found["timestamps"], found["codec"]) == (20, 10.0, None, None)
    assert found["use"] == {
        "kind": "recorded",
        "transport": "none",
        "decoder": None,
        "policy": "every frame; decoding waits for the model",
        "size": [48, 64],
    }


def seen(*packets: tuple[int | None, int | None, bool]) -> list[Seen]:
    return [Seen(*packet) for packet in packets]


def test_pace() -> None:
    assert pace_of([], Fraction(1)) == Pace()
    steady = seen(*((n, n, n % 4 == 0) for n in range(100, 140)))
    assert pace_of(steady, Fraction(1, 10)) == Pace(40, "complete", Fraction(10), False, 4)
    rounded = seen(*((round(1000 * n / 30), round(1000 * n / 30), n == 0) for n in range(60)))
    assert pace_of(rounded, Fraction(1, 1000)) == Pace(60, "complete", Fraction(0), False, None)
    assert pace_of(seen((0, 0, True), (5, 5, True), (80, 80, True)), Fraction(1, 100)).is_variable
    assert pace_of(seen((None, 0, True), (5, 5, False)), Fraction(1)).timestamps == "missing"
    assert pace_of(seen((9, 9, True), (5, 5, False)), Fraction(1)).timestamps == "not monotonic"
    assert pace_of(seen((3, 1, True), (2, 2, False)), Fraction(1)).timestamps == "complete"


@pytest.mark.parametrize(
    "url", ["rtsp://operator:hunter22@127.0.0.1:9/cam", "http://operator:hunter22@127.0.0.1:9/cam?token=third"]
)
def test_live_sources_that_are_off(url: str) -> None:
    with pytest.raises(SourceError, match=r"does not answer \(connection refused\): check its address") as raised:
        probe(SourceSettings(url), live=QUICK)
    for secret in ("operator", "hunter22", "third"):
        assert secret not in str(raised.value)
    assert raised.value.__cause__ is None


def test_files_that_are_no_video(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="holds no video, only audio"):
        probe(SourceSettings(str(make_audio(tmp_path / "a.m4a"))))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Live sources are looked at for a second."""
    monkeypatch.setattr("streamseg.sources.probe.MAX_SECONDS", 1.0)


@pytest.mark.usefixtures("short")
def test_a_camera_behind_http() -> None:
    with serve(HttpCamera()) as camera:
        url = camera.url.replace("://", "://operator:hunter22@")
        found = probe(SourceSettings(f"{url}/mjpeg"), live=QUICK).to_dict()
    assert (found["codec"], found["source"]) == ("mjpeg", f"{camera.url.replace('://', '://***@')}/mjpeg")
    assert (found["duration_seconds"], found["frames"], found["keyframe_interval_frames"]) == (None, None, 1)
    use = found["use"]
    assert isinstance(use, dict)
    assert (use["kind"], use["transport"], use["size"]) == ("live", "http", [120, 160])
    assert use["policy"] == "the newest frame; late ones are dropped"


@pytest.mark.usefixtures("short")
def test_a_camera_that_speaks_rtsp() -> None:
    require_rtsp_server()
    with RtspServer("--user", "operator", "--password", "hunter22") as server:
        found = probe(SourceSettings(server.url("operator:hunter22"), name="gate"), live=QUICK)
        assert (found.info.kind, found.transport, found.codec, found.name) == ("live", "tcp", "h264", "gate")
        for text in (repr(found), json.dumps(found.to_dict())):
            assert "hunter22" not in text
            assert "operator" not in text
        with pytest.raises(SourceError, match=r"it wants another user or password \(401\)") as raised:
            probe(SourceSettings(server.url("operator:wrong-one")), live=QUICK)
        assert "wrong-one" not in str(raised.value)


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        for scheme in ("rtsp", "http"):
            with pytest.raises(SourceError, match=r"does not answer"):
                probe(
                    SourceSettings(f"{scheme}://127.0.0.1:{port}/cam"),
                    live=LiveSettings(connect_timeout_seconds=0.5, read_timeout_seconds=0.5),
                )

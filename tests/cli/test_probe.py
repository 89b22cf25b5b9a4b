"""`streamseg probe`: what people and programs are told of a source."""

import json
import socket
from pathlib import Path

import pytest

from streamseg.cli import main
from streamseg.cli import probe as command  # adds itself to the command
from tests.media import CLIPS, make


def test_a_file_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path, CLIPS["rotated90"], audio=True)
    assert main(["probe", str(path)]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if "  " in line[:12])
    assert lines["source"] == str(path)
    assert lines["video"] == "h264, High, yuv420p, in mov"
    assert lines["rate"] == "24 frames/s, constant"
    assert lines["length"] == "1 s, 24 frames"
    assert lines["timestamps"] == "complete, from 0 s, in ticks of 1/12288 s"
    assert lines["audio"] == "aac"
    assert lines["transport"] == "file"
    assert lines["decoder"].startswith(("cpu (", "cuda"))
    assert lines["policy"] == "every frame; decoding waits for the model"
    assert lines["frames"] == "48x64"


def test_a_file_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path, CLIPS["mkv"])
    assert main(["probe", str(path), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["codec"], found["keyframe_interval_frames"], found["use"]["kind"]) == ("h264", 8, "recorded")


def test_a_folder_of_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("mkv", "ts"):
        make(tmp_path, CLIPS[name])
    assert main(["probe", str(tmp_path), "--json"]) == 0
    assert [found["name"] for found in json.loads(capsys.readouterr().out)] == ["plain", "plain-2"]
    assert main(["probe", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("source") == 2


def test_a_world(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "world:size=64x48,seconds=2"]) == 0
    assert "length      2 s, 50 frames" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "code", "message"),
    [
        ("none.mp4", 1, "no such file: 'none.mp4'"),
        ("ftp://operator:hunter22@host/a", 2, "begins with ftp://, expected rtsp://"),
        ("rtsp://operator:hunter22@127.0.0.1:9/cam", 1, "'rtsp://***@127.0.0.1:9/cam' does not answer"),
        ("http://operator:hunter22@127.0.0.1:9/a.mp4", 1, "cannot open 'http://***@127.0.0.1:9/a.mp4'"),
        ("rtsp://operator:${NOT_SET}@host/a", 2, "needs the environment variable NOT_SET"),
        ("world:nonsense=1", 2, "expected key=value"),
    ],
)
def test_mistakes(
    source: str, code: int, message: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    assert main(["probe", source]) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    for text in (printed.out, printed.err, caplog.text):
        assert "hunter22" not in text
        assert "operator" not in text


def test_a_library_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "HANGING_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:  # time-outs would end it after some seconds
        url = f"rtsp://operator:hunter22@127.0.0.1:{mute.getsockname()[1]}/cam"
        assert main(["probe", url]) == 1
    printed = capsys.readouterr().err
    assert "has not answered for 0.3 s: check that it is on, and its address" in printed
    assert "hunter22" not in printed

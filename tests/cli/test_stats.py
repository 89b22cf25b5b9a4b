"""`streamseg stats`: tables for people, JSON and a picture for everybody else."""

import json
from pathlib import Path

import cv2
import pytest

import streamseg.cli.stats  # noqa: F401  adds its command
from streamseg.cli import main
from streamseg.frames import FrameResult
from streamseg.runs.folder import RunFolder
from tests.runs.made_runs import make_run, result

Captured = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("run")


def cars(count: int, stream: str) -> list[FrameResult]:
    return [result(index, {1: ("car", (index % 10, 4, 6, 4 + index % 2))}, stream=stream) for index in range(count)]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path / "run", {"door": cars(8, "door"), "yard": cars(4, "yard")})


def test_a_table_for_every_stream_and_all(capsys: Captured) -> None:
    assert main(["stats", "run"]) == 0
    out = capsys.readouterr().out.splitlines()
    lines = {line.strip().split("  ")[0]: line.split() for line in reversed(out) if line.strip()}  # the first counts
    assert lines["door"] == ["door", "yard", "all"]
    assert lines["frames"] == ["frames", "8", "4", "12"]
    assert lines["tracks of things"][-3:] == ["1", "1", "2"]
    assert "decoded" not in lines  # nobody knows
    assert lines["car"][:2] == ["car", "thing"]


def test_one_stream(capsys: Captured) -> None:
    assert main(["stats", "run", "--stream", "yard"]) == 0
    out = capsys.readouterr().out
    assert "door" not in out
    assert "all" not in out.split()


def test_json_and_plot(capsys: Captured) -> None:
    assert main(["stats", "run", "--json", "stats.json", "--plot", "stats.png"]) == 0
    assert "written: stats.json" in capsys.readouterr().out
    document = json.loads(Path("stats.json").read_text())
    assert document["schema"] == "streamseg.stats/1"
    assert document["streams"]["door"]["records"] == 8
    assert cv2.imread("stats.png") is not None


def test_json_alone_on_standard_output(capsys: Captured) -> None:
    assert main(["stats", "run", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["overall"]["records"] == 12


def test_quiet(capsys: Captured) -> None:
    assert main(["stats", "run", "--quiet", "--json", "stats.json"]) == 0
    assert capsys.readouterr() == ("", "")
    assert Path("stats.json").exists()


def test_many_streams_are_told_together(tmp_path: Path, capsys: Captured) -> None:
    make_run(tmp_path / "many", {f"cam{number}": cars(2, f"cam{number}") for number in range(8)})
    assert main(["stats", str(tmp_path / "many")]) == 0
    out = capsys.readouterr().out
    assert "8 streams together" in out
    assert "cam3" not in out


def test_numbers_that_live_runs_alone_have(tmp_path: Path, capsys: Captured) -> None:
    frames = [
        result(index, {}, live_seconds=index, dropped={"late": 2}, latency_seconds=0.1, events=("scene_cut",))
        for index in range(3)
    ]
    make_run(tmp_path / "live", {"cam": frames})
    assert main(["stats", str(tmp_path / "live")]) == 0
    out = capsys.readouterr().out
    assert "6 late" in out
    assert "3 scene_cut" in out
    assert "latency p50, p95, p99, ms" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "'nowhere' holds no run"),
        (["run", "--stream", "gate"], "has no stream 'gate', expected one of door, yard"),
        (["run", "--plot", "stats.jpg"], "--plot is 'stats.jpg', expected a name that ends in .png"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], message: str, capsys: Captured) -> None:
    assert main(["stats", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1

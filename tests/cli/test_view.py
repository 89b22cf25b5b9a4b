"""`streamseg view`: a video for every stream, and a reason where its pictures are gone."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import streamseg.cli.view  # noqa: F401  adds its command
from streamseg.cli import main
from streamseg.runs.folder import RunFolder
from streamseg.sinks.video import VideoWriter
from tests.runs.made_runs import FPS, SIZE_HW, make_run, result

Captured = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("run")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """Two streams of one clip, grey pictures with a car and a sky."""
    monkeypatch.chdir(tmp_path)
    with VideoWriter("clip.mp4", Fraction(FPS)) as writer:
        for index in range(5):
            writer.write(np.full((*SIZE_HW, 3), 100 + 20 * index, np.uint8))
    streams = {
        name: [result(index, {1: ("car", (4, 8, 8, 8)), 9: ("sky", (0, 0, 30, 4))}, stream=name) for index in range(5)]
        for name in ("door", "yard")
    }
    return make_run(tmp_path / "run", streams, facts={"recording": str(tmp_path / "clip.mp4")})


def decoded(path: str | Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_every_stream_gets_its_own(capsys: Captured) -> None:
    assert main(["view", "run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"5 frames in {Path('run/door/view.mp4')}",
        f"5 frames in {Path('run/yard/view.mp4')}",
    ]
    pictures = decoded("run/yard/view.mp4")
    assert [round(float(rgb[18:, 20:].mean()) / 20) * 20 for rgb in pictures] == [100, 120, 140, 160, 180]


def test_what_to_show() -> None:
    arguments = ["view", "run", "--stream", "door", "--quiet", "--overwrite", "-o", "a.mp4"]
    assert main([*arguments, "--things-only", "--start", "0.2", "--end", "0:00.4"]) == 0
    pictures = decoded("a.mp4")
    assert len(pictures) == 2
    assert np.abs(pictures[0][:4].astype(int) - 140).max() < 12  # no sky
    assert np.abs(pictures[0][9:15, 5:11].astype(int) - 140).max() > 40
    assert main([*arguments, "--track", "9", "--color-by", "category", "--ids"]) == 0
    assert np.abs(decoded("a.mp4")[0][9:15, 5:11].astype(int) - 100).max() < 12


def test_nothing_is_replaced_unasked(capsys: Captured) -> None:
    Path("a.mp4").write_text("mine")
    assert main(["view", "run", "--stream", "door", "-o", "a.mp4"]) == 2
    assert "a.mp4 exists already" in capsys.readouterr().err
    assert main(["view", "run", "--stream", "door", "-o", "clip.mp4", "--overwrite"]) == 2
    assert "clip.mp4 is the video itself" in capsys.readouterr().err
    assert len(decoded("clip.mp4")) == 5
    assert Path("a.mp4").read_text() == "mine"


def test_a_video_that_has_moved(capsys: Captured) -> None:
    Path("clip.mp4").rename("moved.mp4")
    assert main(["view", "run", "--stream", "door", "-o", "black.mp4"]) == 0
    error = capsys.readouterr().err
    assert "door: drawn on black, since" in error
    assert "clip.mp4 is gone; --video says where the pictures are" in error
    assert decoded("black.mp4")[0][18:, 20:].max() < 20
    assert main(["view", "run", "--stream", "door", "-o", "a.mp4", "--video", "moved.mp4"]) == 0
    assert decoded("a.mp4")[0][18:, 20:].min() > 80


def test_pictures_that_are_lacking_are_counted(capsys: Captured) -> None:
    with VideoWriter("short.mp4", Fraction(FPS)) as writer:
        for _ in range(3):
            writer.write(np.zeros((*SIZE_HW, 3), np.uint8))
    assert main(["view", "run", "--stream", "door", "-o", "a.mp4", "--video", "short.mp4"]) == 0
    assert capsys.readouterr().out == "5 frames in a.mp4, 2 of them without a picture\n"


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["nowhere"], "'nowhere' holds no run", 2),
        (["run", "--stream", "gate"], "has no stream 'gate'", 2),
        (["run", "-o", "a.mp4"], "--output is for one stream, and there are 2: choose one with --stream", 2),
        (["run", "--video", "clip.mp4"], "--video is for one stream, and there are 2", 2),
        (["run", "--stream", "door", "-o", "a.avi"], "expected a name that ends in .mp4, .mkv, .mov", 2),
        (["run", "--stream", "door", "--video", "gone.mp4"], "no such file: 'gone.mp4'", 1),
        (["run", "--stream", "door", "--start", "9"], "has no frame in this stretch of time", 2),
        (["run", "--start", "later"], "--start is 'later', expected seconds", 2),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str, code: int, capsys: Captured) -> None:
    assert main(["view", *arguments]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1

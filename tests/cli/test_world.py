"""`streamseg world`: a file that plays, and truth that fits it."""

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamseg.cli import main
from streamseg.sources.world import parse_world

SMALL = ("--seconds", "0.4", "--size", "96x64", "--fps", "10", "--seed", "7")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 10
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_video_and_its_truth(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["world", *SMALL, "difficulty=0.3", "-o", "clip.mp4", "--ground-truth", "truth"]) == 0
    assert "4 frames in clip.mp4, their truth in truth" in capsys.readouterr().out
    world = parse_world("world:seed=7,seconds=0.4,size=96x64,fps=10,difficulty=0.3")
    frames = decoded(Path("clip.mp4"))
    assert len(frames) == len(world) == 4
    document = json.loads(Path("truth/panoptic_gt.json").read_text())
    for index, (frame, rgb) in enumerate(zip(world, frames, strict=True)):
        assert np.abs(frame.rgb.astype(int) - rgb).mean() < 12  # compressed
        mask = cv2.imread(f"truth/panomasksRGB/clip/{index:08d}.png")[..., ::-1].astype(int)
        assert np.array_equal(mask @ (1, 256, 65536), frame.ids)
        listed = document["annotations"][0]["annotations"][index]["segments_info"]
        assert [entry["id"] for entry in listed] == [segment.id for segment in frame.segments]


def test_nothing_is_replaced_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    Path("clip.mp4").write_text("mine")
    assert main(["world", *SMALL, "-o", "clip.mp4"]) == 2
    assert "clip.mp4 exists already" in capsys.readouterr().err
    assert Path("clip.mp4").read_text() == "mine"
    assert main(["world", *SMALL, "-o", "clip.mp4", "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert len(decoded(Path("clip.mp4"))) == 4


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["difficult=1"], "did you mean 'difficulty'"),
        (["size=256x144"], "expected as an option: write --size 256x144"),
        (["difficulty=2"], "difficulty is 2.0, expected a number from 0 to 1"),
        (["--size", "big"], "size is 'big', expected WIDTHxHEIGHT"),
        (["--fps", "0"], "fps is 0, expected more than 0"),
        (["--seconds", "-1"], "seconds is -1"),
        (["-o", "clip.avi"], "expected a name that ends in .mp4, .mkv, .mov"),
    ],
)
def test_wrong_use_is_one_line(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["world", *flags]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(Path().iterdir()) == []

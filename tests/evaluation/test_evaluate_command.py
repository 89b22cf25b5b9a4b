"""The command: both doors, its report, its mistakes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamseg.cli import main as streamseg
from streamseg.evaluation.command import main
from streamseg.evaluation.metrics.compared_frame import ComparedFrame
from streamseg.evaluation.metrics.panoptic_quality import SegmentInfo
from streamseg.evaluation.metrics.segmentation_tracking_quality import TubeQuality
from streamseg.evaluation.reports.fault_pictures import ERRORS, draw_comparison
from streamseg.evaluation.reports.faults import Faults
from streamseg.evaluation.speed_command import write_sequence
from tests.evaluation.metrics.random_videos import CATEGORIES, PERSON, SKY, random_video


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ground truth and predictions of a short video."""
    made = tmp_path_factory.mktemp("video")
    write_sequence(made, 9, (48, 64))
    return made


def call(folder: Path) -> list[str]:
    return ["--ground-truth", str(folder / "gt"), "--predictions", str(folder / "pred")]


def test_both_doors_are_one(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents, printed = [], []
    for name, door in (("pipelines", main), ("streamseg", lambda given: streamseg(["evaluate", *given]))):
        output = tmp_path / f"{name}.json"
        assert door([*call(folder), "--output", str(output)]) == 0
        documents.append(json.loads(output.read_text()))
        printed.append(capsys.readouterr().out)
    assert documents[0] == documents[1]
    assert printed[0] == printed[1]
    assert list(documents[0]) == ["pq", "vpq", "stq", "stq_vipseg_script", "tracking", "video_ap", "miou", "vc"]
    assert documents[0]["vpq"]["paper"]["k"] == [1, 2, 4, 6]
    for words in ("VPQ, all / things / stuff", "agnostic ignore", "category 3"):
        assert words in printed[0]


def test_some_metrics_by_comma_or_space(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "scores.json"
    for metrics in (["vpq,miou", "pq"], ["pq", "vpq", "miou"]):
        assert main([*call(folder), "--metrics", *metrics, "--output", str(output), "--quiet"]) == 0
        assert list(json.loads(output.read_text())) == ["pq", "vpq", "miou"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: --ground-truth, --predictions; `streamseg evaluate --help`"),
        (["pictures"], "'pictures' cannot be evaluated, expected options or one of"),
        (["--ground-truth", "GT", "--predictions", "PRED", "--metrics", "hota"], "'hota' cannot be measured"),
        (
            ["--ground-truth", "GT", "--predictions", "PRED", "--report", "x.pdf"],
            "--report is 'x.pdf', expected",
        ),
        (["--ground-truth", "GT", "--predictions", "PRED", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_a_wrong_call_is_one_line(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [{"GT": str(folder / "gt"), "PRED": str(folder / "pred")}.get(each, each) for each in arguments]
    assert streamseg(["evaluate", *given]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1


def test_what_is_not_there_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--ground-truth", str(folder / "gt"), "--predictions", str(folder / "none")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {folder / 'none'} is not there, expected")


def test_speed_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speed", "--frames", "3", "--size", "32", "48"]) == 0
    out = capsys.readouterr().out
    assert "vpq + stq" in out
    assert "all together" in out
    assert main(["speed", "--frames", "0"]) == 2


def test_the_report_shows_frames_and_tracks(folder: Path, tmp_path: Path) -> None:
    html, png = tmp_path / "new" / "report.html", tmp_path / "report.png"
    for path in (html, png):
        assert main([*call(folder), "--quiet", "--metrics", "pq", "--report", str(path)]) == 0
    text = html.read_text()
    assert text.count("<img") == 6
    assert "video / 0000" in text
    assert "true tracks that lose the most pixels" in text
    assert "http" not in text.replace("http-equiv", "")
    picture = cv2.imread(str(png))
    assert picture is not None
    assert picture.shape[1] > 3 * 480
    assert len(np.unique(picture[::9, ::9].reshape(-1, 3), axis=0)) > 50


def test_the_report_is_the_same_every_time(folder: Path, tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        assert main([*call(folder), "--quiet", "--metrics", "pq", "--report", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_worst_are_kept_and_no_others() -> None:
    faults = Faults(CATEGORIES, frames=3, tracks=2)
    qualities = []
    for number, frame in enumerate(random_video(5, length=12)):
        one = Faults(CATEGORIES, frames=1)
        compared = ComparedFrame.of(*frame)
        one.add_frame("v", str(number), compared)
        qualities.append(one.frames[0].quality)
        faults.add_frame("v", str(number), compared)
    assert [worst.quality for worst in faults.frames] == sorted(qualities)[:3]
    tubes = [TubeQuality(id_, PERSON, pixels, aq) for id_, pixels, aq in ((1, 10, 0.0), (2, 100, 0.5), (3, 30, 0.0))]
    faults.add_tubes("v", tubes)
    assert [worst.tube.id for worst in faults.tracks] == [2, 3]


def test_every_kind_of_error_has_its_colour() -> None:
    truth = np.repeat(np.array([[1, 1, 2, 3, 3, 0]], np.int32), 4, axis=0)
    predicted = np.repeat(np.array([[7, 7, 8, 9, 0, 9]], np.int32), 4, axis=0)
    predicted[:1, :1] = 6
    frame = ComparedFrame.of(
        truth,
        [SegmentInfo(1, PERSON), SegmentInfo(2, PERSON), SegmentInfo(3, SKY)],
        predicted,
        [SegmentInfo(6, PERSON), SegmentInfo(7, PERSON), SegmentInfo(8, SKY), SegmentInfo(9, SKY)],
    )
    errors = draw_comparison(frame, {PERSON: "person", SKY: "sky"})[:, -480:]
    seen = {tuple(color) for color in np.unique(errors.reshape(-1, 3), axis=0).tolist()}
    assert seen == set(ERRORS.values())

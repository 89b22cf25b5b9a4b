"""The command: both doors, its report, its mistakes."""

import json
from pathlib import Path

import pytest

from streamseg.cli import main as streamseg
from streamseg.evaluation.command import main
from streamseg.evaluation.speed_command import write_sequence


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

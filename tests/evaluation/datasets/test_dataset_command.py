"""`evaluate dataset` as a user calls it, with the packaged model."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from streamseg.errors import ConfigError, EvaluationError
from streamseg.evaluation.command import run
from streamseg.evaluation.datasets.command import main
from streamseg.evaluation.datasets.run import Plan, evaluate_dataset
from tests.conftest import REPOSITORY
from tests.evaluation.datasets import tiny_sets as tiny

SMALL = ("--model", "demo", "--device", "cpu", "--short-side", "64", "--max-long-side", "96")


def call(*arguments: object) -> int:
    return main([str(argument) for argument in arguments], "evaluate dataset")


def test_a_model_on_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write_ade20k(tmp_path)
    output = tmp_path / "out/scores.json"
    assert call("--name", "ade20k", "--root", tmp_path, *SMALL, "--per-class", "--output", output) == 0
    document = json.loads(output.read_text())
    assert document["dataset"] == "ade20k"
    assert document["pictures"] == 2
    assert document["unit"] == "percent"
    assert {"PQ", "PQ_th", "PQ_st", "AP", "AP50", "mIoU", "pACC"} <= document["scores"].keys()
    assert document["published"] == {}
    assert document["protocol"] == {
        "vocabulary": "ade20k",
        "short_side": 64,
        "max_long_side": 96,
        "as_published": False,
    }
    assert document["plan"]["model"] == "demo"
    assert len(document["per_class"]) == 150
    shown = capsys.readouterr().out
    assert "demo on ade20k, 2 pictures at 64/96" in shown
    assert "not the published protocol" in shown
    for name, value in document["scores"].items():
        assert name in shown
        assert value is None or f"{value:.2f}" in shown


def test_published_figures_stand_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the model that is named, whatever weights it has; here a report is all that is needed."""
    from streamseg.evaluation.datasets.run import DatasetReport
    from streamseg.evaluation.datasets.table import score_table
    from streamseg.evaluation.reports.tables import print_table

    plan = Plan("cityscapes", str(tmp_path), "fcclip-r50")
    print_table(score_table(DatasetReport(plan, "cityscapes", 500, {"PQ": 41.0, "AP": None, "SQ": 75.0}, {})))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["PQ", "41.00", "40.3", "+0.7"] in lines
    assert ["AP", "-", "21.6"] in lines
    assert ["SQ", "75.00"] in lines


def test_video_is_tracked(tmp_path: Path) -> None:
    tiny.write_vipseg(tmp_path, ["0_one"])
    plan = Plan("vipseg", str(tmp_path), "demo", device="cpu", short_side=64, max_long_side=96)
    report = evaluate_dataset(plan)
    assert report.pictures == 8
    assert report.scores["STQ"] is not None
    assert report.vocabulary == "vipseg"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--name", "ade20"), r"unknown data set 'ade20' \(did you mean 'ade20k'\?\), expected one of ade20k, coco"),
        (
            ("--name", "mapillary", "--metrics", "ap"),
            "metric 'ap' is not published for mapillary, expected some of pq, miou",
        ),
        (("--name", "coco", "--limit", "0"), "the limit is 0, expected at least 1"),
        (("--name", "coco", "--workers", "2"), "unrecognized arguments: --workers 2"),
        ((), "the following arguments are required: --name"),
    ],
)
def test_mistakes_in_the_call_are_one_line(arguments: tuple[str, ...], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=complaint):
        call(*arguments, "--root", tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(
        EvaluationError, match=r"no folder '.*nowhere', expected the data set, or the folder that holds coco/"
    ):
        call("--name", "coco", "--root", tmp_path / "nowhere", "--model", "demo")


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    from streamseg.errors import DecodeError

    tiny.write_coco(tmp_path)
    picture = tmp_path / "coco/val2017/000000000285.jpg"
    picture.write_bytes(picture.read_bytes()[:50])
    with pytest.raises(DecodeError, match="000000000285"):
        call("--name", "coco", "--root", tmp_path, *SMALL)


def test_an_oracle_may_stand_in_for_the_model(tmp_path: Path) -> None:
    """What `evaluate_dataset` offers to anybody with a model of another kind."""
    from streamseg.vocabulary import Vocabulary

    made = tiny.write_coco(tmp_path)
    seen: list[tuple[int, ...]] = []
    right = tiny.sees(made, Vocabulary.load("coco"))

    def predict(picture: np.ndarray) -> object:
        seen.append(picture.shape)
        return right(picture)

    report = evaluate_dataset(Plan("coco", str(tmp_path), "mine"), predictor=predict)  # type: ignore[arg-type]
    assert seen == [(*tiny.SIZE_HW, 3)] * 2
    assert report.scores["PQ"] == pytest.approx(100)


def test_both_doors_offer_it_with_workers(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from streamseg.cli.app import app

    tiny.write_mapillary(tmp_path)
    wrong = ["dataset", "--name", "mapillary", "--root", str(tmp_path), "--workers", "0"]
    command = [sys.executable, "-m", "pipelines.evaluate", *wrong]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 2
    assert result.stderr == "error: workers is 0, expected at least 1\n"
    told = CliRunner().invoke(app, ["evaluate", *wrong])
    assert isinstance(told.exception, ConfigError)
    assert str(told.exception) == "workers is 0, expected at least 1"


def test_the_word_is_known_without_a_door(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown data set 'x'"):
        run(["dataset", "--name", "x", "--root", str(tmp_path)])

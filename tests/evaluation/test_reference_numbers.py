"""The command against stored numbers of the field's reference codes, key by key."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from streamseg.evaluation.command import main

TOLERANCE = 1e-9
EDGE_CASES = 42  # beside three that are invalid


def scores_of(truth: Path, predictions: Path, folder: Path) -> dict[str, Any]:
    output = folder / "scores.json"
    call = ["--ground-truth", str(truth), "--predictions", str(predictions), "--output", str(output)]
    assert main([*call, "--details", "--quiet"]) == 0
    document: dict[str, Any] = json.loads(output.read_text())
    return document


def differences(found: Any, expected: Any, where: str = "") -> list[str]:
    """Everything in `expected` that is not equal: whole numbers exactly, others to the tolerance."""
    if isinstance(expected, dict):
        missing = [f"{where}/{key} is missing" for key in expected if key not in found]
        return missing + [
            line
            for key, value in expected.items()
            if key in found
            for line in differences(found[key], value, f"{where}/{key}")
        ]
    if isinstance(expected, list):
        if len(found) != len(expected):
            return [f"{where}: {len(found)} values, expected {len(expected)}"]
        return [line for pair in zip(found, expected, strict=True) for line in differences(*pair, where)]
    if isinstance(expected, float) and isinstance(found, float | int):
        close = math.isclose(found, expected, rel_tol=0, abs_tol=TOLERANCE)
        return [] if close else [f"{where}: {found!r}, expected {expected!r}"]
    return [] if found == expected else [f"{where}: {found!r}, expected {expected!r}"]


def test_videos(shared_dir: Path, tmp_path: Path) -> None:
    folder = shared_dir / "metrics" / "public"
    found = scores_of(folder / "gt", folder / "pred", tmp_path)
    expected = json.loads((folder / "results.json").read_text())
    assert differences(found, expected) == []
    assert list(found)[: len(expected)] == list(expected)
    assert differences(found["details"], json.loads((folder / "details.json").read_text())) == []


def test_ground_truth_as_prediction(shared_dir: Path, tmp_path: Path) -> None:
    folder = shared_dir / "metrics" / "public"
    expected = json.loads((folder / "results_perfect.json").read_text())
    assert differences(scores_of(folder / "gt", folder / "gt", tmp_path), expected) == []


def test_every_corner_case(shared_dir: Path, tmp_path: Path) -> None:
    folder = shared_dir / "metrics" / "edge"
    cases = json.loads((folder / "results.json").read_text())
    valid = {name: case["results"] for name, case in cases.items() if "results" in case}
    assert len(valid) == EDGE_CASES
    wrong = {
        name: differences(scores_of(folder / name / "gt", folder / name / "pred", tmp_path), expected)
        for name, expected in valid.items()
    }
    assert {name: lines for name, lines in wrong.items() if lines} == {}


@pytest.mark.parametrize("metrics", ["pq", "vpq"])
@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("invalid_png_id_not_in_json", "frame a/00000: the predicted map holds 3, which no segment has"),
        ("invalid_json_id_not_in_png", "frame a/00000: the prediction lists 77 without pixels"),
        ("invalid_unknown_category", "frame a/00000: segment 3 of the prediction has category 99"),
    ],
)
def test_what_the_reference_stops_at_is_refused(
    shared_dir: Path, case: str, message: str, metrics: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared_dir / "metrics" / "edge" / case
    call = ["--ground-truth", str(folder / "gt"), "--predictions", str(folder / "pred"), "--metrics", metrics]
    assert main(call) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1

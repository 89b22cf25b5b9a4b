"""`streamseg plan`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from streamseg import cli

REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_plan_names_machines_and_what_holds_them_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "1000", "--device", "H100", "--fps", "5"]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == "1,000 streams of 1280x720 h264 at 5 frames/s, fcclip-convnext-large on H100"
    labels = [line.split()[0] for line in lines]
    assert {"workers", "GPUs", "cores", "memory", "network", "disk", "machines", "latency", "limit"} <= set(labels)


def test_json_has_every_cost_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "10", "--size", "1920x1080", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["demand"]["size_hw"] == [1080, 1920]
    assert all(cost["source"] for cost in document["costs"].values())
    assert document["simulated"]["p95_seconds"] > 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["10", "--size", "big"], "--size is 'big', expected WIDTHxHEIGHT"),
        (["10", "--codec", "vp9"], "codec is 'vp9'"),
        (["10", "--costs", "gone.json"], "cannot read costs gone.json"),
        (["-3"], "-3"),
        ([], "'streams'"),
    ],
)
def test_mistakes_take_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", *arguments]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


def test_the_pipeline_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.plan", "3", "--device", "T4"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("3 streams of 1280x720 h264")

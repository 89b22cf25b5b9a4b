"""A detached run, controlled while it goes from Python and the command line; its coordinator dies and comes back."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import streamseg
from streamseg.cli import main
from streamseg.config.run import read_settings
from streamseg.errors import ConfigError
from streamseg.pipeline.plan import plan_run
from streamseg.runs.folder import RunFolder
from streamseg.runtime.cluster.deployed import StreamStatus
from streamseg.runtime.cluster.deployment import Deployment
from streamseg.runtime.run import deploy_run
from streamseg.sources.world import parse_world
from streamseg.testing import TroubledSegmenter, WorldSegmenter
from tests.runtime.cluster.ray_runs import wait_for

pytestmark = [pytest.mark.usefixtures("ray_cluster"), pytest.mark.filterwarnings("ignore")]

LONG = "world:seed=5,seconds=600,fps=10,size=160x96,difficulty=0.4"


def settings(output: Path, **given: Any) -> Any:
    values = {
        "sources": [{"url": LONG, "name": "first"}, {"url": LONG, "name": "second"}],
        "vocabulary": {"vocabulary": "world"},
        "model": {"name": "demo"},
        "torch_threads": 1,
        "output": str(output),
        "runtime": "ray",
        "ray": {"address": "auto", "detach": True},
        **given,
    }
    return plan_run(read_settings(given=values))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Deployment]:
    world = parse_world(LONG)
    segmenter = TroubledSegmenter(WorldSegmenter(dict.fromkeys(("first", "second", "third"), world)), call_seconds=0.01)
    deployment = deploy_run(settings(tmp_path / "out"), segmenter=segmenter)  # type: ignore[arg-type]
    yield deployment
    if deployment.is_there():
        deployment.stop()


def stream(deployment: Deployment, name: str) -> StreamStatus:
    return next(stream for stream in deployment.streams() if stream.name == name)


def wait_for_frames(deployment: Deployment, name: str, more: int = 5) -> None:
    before = stream(deployment, name).totals.emitted
    wait_for(lambda: stream(deployment, name).totals.emitted >= before + more, f"{more} more frames of {name}")


def frames(folder: Path) -> list[int]:
    return [json.loads(line)["frame"] for line in (folder / "records.jsonl").read_text().splitlines()]


def test_streams_are_looked_after_while_they_run(
    running: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    wait_for_frames(running, "first")
    # Added while it runs, with words of its own.
    assert main(["streams", "add", LONG, "--name", "third", "--classes", "car; tree", "--background", "none"]) == 0
    wait_for_frames(running, "third")
    assert main(["streams", "add", LONG, "--name", "third"]) == 2
    assert "there is a stream 'third' already" in capsys.readouterr().err
    # Other words, the same tracks.
    before = stream(running, "first").vocabulary
    assert main(["streams", "vocabulary", "first", "--classes", "automobile, car; cat", "--background", "none"]) == 0
    wait_for(lambda: stream(running, "first").vocabulary != before)
    wait_for_frames(running, "first")
    records = [json.loads(line) for line in (output / "first" / "records.jsonl").read_text().splitlines()]
    changed = [record["frame"] for record in records if "vocabulary_changed" in record["events"]]
    assert len(changed) == 1
    assert {record["vocabulary"]["name"] for record in records[changed[0] :]} == {"custom"}
    # Paused, and gone on with where it was.
    running.pause("second")
    wait_for(lambda: stream(running, "second").status == "paused")
    count = len(frames(output / "second"))
    wait_for_frames(running, "first")
    assert len(frames(output / "second")) == count
    running.resume("second")
    wait_for_frames(running, "second")
    found = frames(output / "second")
    assert found == list(range(len(found)))
    # Removed.
    assert main(["streams", "remove", "third"]) == 0
    assert [stream.name for stream in running.streams()] == ["first", "second"]
    with pytest.raises(ConfigError, match="there is no stream 'third', expected one of those that run: first, second"):
        running.pause("third")
    capsys.readouterr()
    assert main(["streams", "status", "--json"]) == 0
    assert [entry["stream"] for entry in json.loads(capsys.readouterr().out)] == ["first", "second"]
    assert main(["streams", "stop"]) == 0
    manifest = RunFolder.open(output).manifest
    assert manifest["state"] == "stopped"
    for name in ("first", "second", "third"):
        totals = manifest["streams"][name]["totals"]
        assert frames(output / name) == list(range(totals["emitted"]))
        assert totals["decoded"] == totals["emitted"] + sum(totals["dropped"].values())
    with pytest.raises(ConfigError, match="no deployment 'streamseg' runs at 'auto'"):
        streamseg.connect("auto")


@pytest.mark.slow
def test_a_coordinator_that_is_killed_comes_back_and_finds_its_streams(running: Deployment, tmp_path: Path) -> None:
    running.set_vocabulary("first", classes="car; cat", background="none")
    running.pause("second")
    wait_for_frames(running, "first")
    before = stream(running, "first")
    incarnation = running.incarnation()
    records = tmp_path / "out" / "first" / "records.jsonl"
    os.kill(int(incarnation.split("-")[-2]), signal.SIGKILL)
    lines = records.read_bytes().count(b"\n")
    wait_for(lambda: records.read_bytes().count(b"\n") > lines + 5, "frames while nobody coordinates")
    wait_for(lambda: running.is_there() and running.incarnation() != incarnation, "the coordinator")
    after = stream(running, "first")
    assert (after.lease, after.vocabulary) == (before.lease, before.vocabulary)
    assert stream(running, "second").status == "paused"
    wait_for_frames(running, "first")
    running.resume("second")
    wait_for_frames(running, "second")
    found = frames(tmp_path / "out" / "first")
    assert found == list(range(len(found)))


@pytest.mark.slow
def test_there_is_one_deployment_of_a_name(running: Deployment, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a deployment 'streamseg' runs there already"):
        deploy_run(settings(tmp_path / "other"))
    assert len(running.streams()) == 2
    assert not (tmp_path / "other").exists()

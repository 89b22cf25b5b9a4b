"""SIGKILL at any moment, then --resume: the files are those of a run that was never killed, byte for byte."""

import multiprocessing
import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from streamseg.runs.folder import RunFolder
from tests.runtime import killed_run
from tests.runtime.small_runs import FRAMES

PATIENCE_SECONDS = 120


def whole_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_at(process: BaseProcess, records: Path, count: int) -> bool:
    """Kill once there are `count` records; whether it was still alive."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.is_alive() and whole_lines(records) < count:
        assert time.monotonic() < deadline, f"no {count} records within {PATIENCE_SECONDS} s"
        time.sleep(0.001)
    alive = process.is_alive()
    process.kill()
    process.join(PATIENCE_SECONDS)
    return alive


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("run.json", "commit.npz")
    }


def kill_and_go_on(
    context: multiprocessing.context.ForkServerContext, folder: Path, moments: list[int], commit_seconds: float
) -> int:
    """Run to the end, killed whenever the records reach one of `moments`; how often it was killed at work."""
    killed = 0
    for moment in moments:
        process = context.Process(target=killed_run.go_on, args=(str(folder), commit_seconds))
        process.start()
        killed += kill_at(process, folder / "world" / "records.jsonl", moment)
    process = context.Process(target=killed_run.go_on, args=(str(folder), commit_seconds))
    process.start()
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == 0
    return killed


def check_kills(
    context: multiprocessing.context.ForkServerContext, folder: Path, kills: int, commit_seconds: float
) -> None:
    killed_run.go_on(str(folder / "whole"), commit_seconds=1000.0)
    chance = random.Random(kills)
    moments = [0, *sorted(chance.randrange(1, FRAMES) for _ in range(kills - 1))]
    assert kill_and_go_on(context, folder / "killed", moments, commit_seconds) >= kills // 2
    assert contents(folder / "killed") == contents(folder / "whole")
    manifest = RunFolder.open(folder / "killed").manifest
    assert manifest["state"] == "finished"
    assert manifest["streams"]["world"]["totals"]["emitted"] == FRAMES


@pytest.mark.parametrize("commit_seconds", [0.0, 0.5])
def test_killed_and_gone_on(
    commit_seconds: float, processes: multiprocessing.context.ForkServerContext, tmp_path: Path
) -> None:
    check_kills(processes, tmp_path, 3, commit_seconds)


@pytest.mark.slow
@pytest.mark.parametrize("commit_seconds", [0.0, 0.2])
def test_killed_twenty_times_at_random(
    commit_seconds: float, processes: multiprocessing.context.ForkServerContext, tmp_path: Path
) -> None:
    check_kills(processes, tmp_path, 20, commit_seconds)

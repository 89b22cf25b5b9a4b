"""The command under Ray: what it leaves when it is interrupted or killed, and what it says."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamseg.runs.folder import RunFolder
from tests.conftest import REPOSITORY

PATIENCE_SECONDS = 120
LONG = "world:seed=3,size=160x96,fps=25,seconds=600"


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(REPOSITORY / "run_stream.py"), *arguments, "--model", "demo", "--runtime", "ray"]
    environment = {**os.environ, "STREAMSEG_TEST_MARK": str(folder)}
    with (folder / "out.txt").open("wb") as out, (folder / "err.txt").open("wb") as err:
        return subprocess.Popen(
            [*command, "-o", str(folder / "out")], stdout=out, stderr=err, env=environment, start_new_session=True
        )


def relatives(folder: Path) -> Iterator[int]:
    """Every process that the command has started, however it is called and whoever adopted it."""
    mark = f"STREAMSEG_TEST_MARK={folder}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)
            except OSError:  # it has ended, or is none of ours
                continue


def wait_for_records(folder: Path, count: int) -> None:
    records = folder / "out" / "world" / "records.jsonl"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not records.exists() or records.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline, (folder / "err.txt").read_text()
        time.sleep(0.05)


def wait_for_nobody(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left := [pid for pid in relatives(folder) if not is_zombie(pid)]:
        assert time.monotonic() < deadline, f"processes were left: {left}"
        time.sleep(0.1)


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.slow
def test_interrupted_it_writes_what_was_segmented_and_leaves_nobody_behind(tmp_path: Path) -> None:
    process = start(tmp_path, LONG)
    wait_for_records(tmp_path, 5)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_SECONDS) == 130
    wait_for_nobody(tmp_path)
    manifest = RunFolder.open(tmp_path / "out").manifest
    assert manifest["state"] == "stopped"
    totals = manifest["streams"]["world"]["totals"]
    lines = (tmp_path / "out" / "world" / "records.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(totals["emitted"]))
    assert totals["decoded"] == totals["emitted"] + sum(totals["dropped"].values())
    assert (tmp_path / "out" / "world" / "commit.npz").exists()
    told = (tmp_path / "err.txt").read_text()
    assert "interrupted" in told
    assert "Traceback" not in told
    assert "raylet" not in told + (tmp_path / "out.txt").read_text()


@pytest.mark.slow
def test_killed_it_leaves_nobody_behind(tmp_path: Path) -> None:
    process = start(tmp_path, LONG)
    wait_for_records(tmp_path, 5)
    assert len(list(relatives(tmp_path))) > 4
    process.kill()
    process.wait(PATIENCE_SECONDS)
    wait_for_nobody(tmp_path)


@pytest.mark.slow
def test_records_on_standard_output_are_records_alone(tmp_path: Path) -> None:
    process = start(tmp_path, "world:seed=3,size=160x96,fps=5,seconds=4", "--save", "stdout,jsonl", "--quiet")
    assert process.wait(PATIENCE_SECONDS) == 0
    lines = (tmp_path / "out.txt").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(20))


def test_standard_input_cannot_be_read_elsewhere(tmp_path: Path) -> None:
    process = start(tmp_path, "-")
    assert process.wait(PATIENCE_SECONDS) == 2
    assert "can be read by this process alone" in (tmp_path / "err.txt").read_text()

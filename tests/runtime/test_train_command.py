"""The training command as people use it: from a config file, stopped, killed, resumed, and called wrongly."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from streamseg.runtime.train_command import main
from tests.conftest import REPOSITORY
from tests.training.small_runs import losses, metrics, write_config


def start(config: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pipelines.train", "--config", str(config), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for_steps(process: "subprocess.Popen[str]", run: Path, count: int) -> None:
    """Until a run has logged so many steps; an error where it ends before that."""
    while not (run / "metrics.jsonl").exists() or len(metrics_so_far(run)) < count:
        if process.poll() is not None:
            raise AssertionError(process.stderr.read() if process.stderr else "")
        time.sleep(0.05)


def metrics_so_far(run: Path) -> list[str]:
    return (run / "metrics.jsonl").read_text().splitlines()


def last_checkpoint(run: Path) -> int:
    *_, path = sorted((run / "checkpoints").glob("step-*.pt"))
    return int(path.stem.removeprefix("step-"))


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    run = tmp_path / "run"
    process = start(config, "steps=100000", "save_every=2", "prefetch=1")
    wait_for_steps(process, run, 4)
    process.kill()
    process.communicate()
    steps = last_checkpoint(run) + 3
    threads = torch.get_num_threads()
    try:
        resumed = main(["--config", str(config), "--resume", f"steps={steps}", "save_every=2"])
        whole = main(["--config", str(config), f"steps={steps}", "--output", str(tmp_path / "whole")])
    finally:
        torch.set_num_threads(threads)
    assert (resumed, whole) == (0, 0)
    assert losses(run) == losses(tmp_path / "whole")
    assert (run / "head.safetensors").read_bytes() == (tmp_path / "whole" / "head.safetensors").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_exits_with_130(tmp_path: Path, number: signal.Signals) -> None:
    process = start(write_config(tmp_path), "steps=100000")
    wait_for_steps(process, tmp_path / "run", 2)
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "go on with the same command and --resume"
    done = last_checkpoint(tmp_path / "run")
    assert f"stopped after step {done} of 100000, and saved" in said
    assert metrics(tmp_path / "run")[-1]["step"] == done
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_signal_reaches_all_workers(tmp_path: Path) -> None:
    process = start(write_config(tmp_path), "steps=100000", "--workers", "2")
    wait_for_steps(process, tmp_path / "run", 2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert f"stopped after step {last_checkpoint(tmp_path / 'run')}" in said


def test_a_run_from_a_config_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    config = write_config(tmp_path)
    assert main(["--config", str(config), "steps=1", "optimizer.lr=2e-4", "--output", str(tmp_path / "out")]) == 0
    assert main(["--config", str(config), "steps=1", "optimizer.lr=2e-4", "--output", str(tmp_path / "out")]) == 2
    torch.set_num_threads(threads)
    shown = capsys.readouterr()
    assert f"weights are in {tmp_path / 'out'}: head.safetensors, model_official.pth" in shown.out
    assert "error: output" in shown.err
    assert metrics(tmp_path / "out")[0]["lr"] == 2e-4


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["stps=3"], "unknown setting stps: did you mean 'steps'?"),
        (["steps=many"], "setting steps is 'many', expected a whole number"),
        (["optimizer.lr"], "override 'optimizer.lr': expected KEY=VALUE"),
        (["data.kind=imagenet"], "setting data.kind is 'imagenet', expected one of coco, vipseg, world"),
        (["model=fcclip"], "unknown model 'fcclip'"),
        (["device=tpu"], "unknown device 'tpu'"),
        (["precision=fp16"], "precision fp16 on cpu, expected fp32 or bf16"),
        (["--workers", "3"], "workers is 3, expected at least 1, and batch_size (2) a multiple of it"),
    ],
)
def test_mistakes_get_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert main(["--config", str(write_config(tmp_path)), *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert complaint in lines[0]


def test_a_missing_config_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", "nowhere.yaml"]) == 2
    assert "cannot read config nowhere.yaml: No such file or directory" in capsys.readouterr().err


def test_a_failed_run_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path)
    (tmp_path / "data" / "pictures" / "0.png").unlink()
    assert main(["--config", str(config)]) == 1
    assert "0.png" in capsys.readouterr().err

"""What a run shows and writes, and what it keeps an eye on."""

import io
import json
import sys
from pathlib import Path

import pytest
import torch

from streamseg.errors import TrainingError
from streamseg.training.interrupt import Interrupt
from streamseg.training.monitor import Monitor
from streamseg.training.window import Health, Window
from streamseg.training.workers import WorkerGroup

RECORD = {"loss": 1.5, "loss_ce": 0.25, "loss_ce_0": 9.0, "lr": 1e-4, "images_per_second": 3.0}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_lines_say_where_it_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monitor = Monitor(tmp_path, steps=10, tensorboard=False)
    monitor.log({"step": 5, **RECORD})
    monitor.close()
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("step 5/10  loss 1.500  loss_ce 0.250  3.00 images/s  0:00:0")
    assert line.endswith("left")


def test_a_terminal_gets_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monitor = Monitor(tmp_path, steps=10, start=2, tensorboard=False)
    monitor.advance(5)
    monitor.log({"step": 5, **RECORD})
    monitor.say("a line [not markup]")
    monitor.close()
    assert "5/10" in screen.getvalue()
    assert "loss 1.500" in screen.getvalue()
    assert "a line [not markup]" in screen.getvalue()


def test_lines_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"step": step, **RECORD}) for step in (1, 2, 3)]
    path.write_text("\n".join([*lines, '{"step": 4, "lo']))  # killed while it wrote
    monitor = Monitor(tmp_path, steps=10, start=2, tensorboard=False)
    monitor.log({"step": 3, **RECORD})
    monitor.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path, steps=10, start=0, tensorboard=False)
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(TrainingError, match=r"cannot write .*metrics\.jsonl: No space left on device; make room"):
        monitor.log({"step": 5, **RECORD})
    monitor.close()


def test_curves_and_pictures_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monitor = Monitor(tmp_path, steps=10, tensorboard=True)
    monitor.log({"step": 5, **RECORD})
    monitor.log({"step": 5, "validation/pq": 0.5})
    monitor.show(5, [torch.zeros(32, 64, 3, dtype=torch.uint8).numpy()])
    monitor.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    tags = {"loss/loss", "loss/loss_ce", "stages/loss_ce_0", "run/lr", "run/images_per_second", "validation/pq"}
    assert set(events.Tags()["scalars"]) == tags
    assert [(event.step, event.value) for event in events.Scalars("loss/loss")] == [(5, 1.5)]
    assert events.Tags()["images"] == ["examples/0"]
    assert (tmp_path / "pictures" / "step-00000005-0.jpg").exists()


def test_a_window_is_a_mean_and_survives_a_checkpoint() -> None:
    window, alone = Window(), WorkerGroup()
    assert window.take(alone) == {}
    window.add({"loss": torch.tensor(1.0)})
    restored = Window()
    restored.restore(window.state(), torch.device("cpu"))
    restored.add({"loss": torch.tensor(4.0)})
    assert restored.take(alone) == {"loss": 2.5}
    assert restored.count == 0


def test_health_names_the_first_bad_step() -> None:
    health, fine, bad = Health(), torch.tensor(1.0), torch.tensor(float("inf"))
    health.add(3, fine, fine)
    assert health.first_bad_step(0) is None
    health.add(4, fine, fine)
    health.add(5, fine, bad)
    health.add(6, bad, bad)
    assert health.first_bad_step(0) == 5


def test_health_counts_overflows_in_a_row() -> None:
    health, fine, bad = Health(), torch.tensor(1.0), torch.tensor(float("nan"))
    for step, norm in enumerate((bad, bad, fine, bad, bad)):
        health.add(step, fine, norm)
    assert health.first_bad_step(2) is None
    health.add(5, fine, bad)
    assert health.first_bad_step(2) == 5


def test_the_second_signal_acts_as_ever() -> None:
    import os
    import signal

    # Whoever runs the tests in the background may have SIGINT ignored, and Python then leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Interrupt((signal.SIGINT,)) as asked:
            os.kill(os.getpid(), signal.SIGINT)
            assert asked.requested
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)

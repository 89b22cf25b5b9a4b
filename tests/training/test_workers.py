"""Several workers compute what one computes: the same gradients, the same run, and nobody is left behind."""

from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from streamseg.errors import ConfigError
from streamseg.fcclip import spec as specs
from streamseg.training.launch import launch
from streamseg.training.loop import Trainer
from streamseg.training.settings import load_settings
from streamseg.training.workers import WorkerGroup, start_group
from tests.training.small_runs import SMALL, PaintedSource, losses, metrics, small_settings, write_config

STEP = 4


def gradients(output: Path, group: WorkerGroup) -> tuple[dict[str, torch.Tensor], float]:
    """Of one step on this worker's part of four pictures, after averaging; and the norm before clipping."""
    specs.MODEL_SPECS = {**specs.MODEL_SPECS, SMALL.name: SMALL}
    torch.set_num_threads(1)
    settings = small_settings(output, batch_size=4)
    trainer = Trainer(settings, group, source=PaintedSource())
    batch = trainer.source.batch(STEP, trainer.positions)
    found = trainer.learner.losses(STEP, batch, trainer.positions)
    norm = trainer.learner.backward(found["loss"])
    trainer.close()
    named = trainer.learner.model.named_parameters()
    return {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}, float(norm)


def compute_and_save(rank: int, rendezvous: str, output: Path) -> None:
    with start_group(rank, 2, rendezvous, device=torch.device("cpu")) as group:
        torch.save(gradients(output, group), output.with_suffix(f".{rank}.pt"))


def test_two_workers_compute_the_gradient_of_the_joint_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures have unequal numbers of segments, so normalisers that are not shared would show."""
    monkeypatch.setattr(specs, "MODEL_SPECS", specs.MODEL_SPECS)
    counts = [len(target) for target in PaintedSource().batch(STEP, range(4)).targets]
    assert sum(counts[:2]) != sum(counts[2:])
    context = get_context("spawn")
    children = [
        context.Process(target=compute_and_save, args=(rank, str(tmp_path / "meet"), tmp_path / "two"))
        for rank in range(2)
    ]
    for child in children:
        child.start()
    threads = torch.get_num_threads()
    expected, expected_norm = gradients(tmp_path / "one", WorkerGroup())
    torch.set_num_threads(threads)
    for child in children:
        child.join()
    for rank in range(2):
        found, norm = torch.load(tmp_path / f"two.{rank}.pt", weights_only=True)
        assert norm == pytest.approx(expected_norm, rel=1e-5)
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.slow
def test_workers_share_a_run(tmp_path: Path) -> None:
    """The real command with two processes: one set of files, and the losses of a run with one."""
    settings = load_settings(write_config(tmp_path))
    assert launch(settings, workers=2)
    alone = replace(settings, output=str(tmp_path / "alone"))
    assert launch(alone)
    together, expected = losses(settings.output), losses(alone.output)
    assert together.keys() == expected.keys()
    for step, line in expected.items():
        assert together[step] == pytest.approx(line, rel=2e-3, abs=2e-3), step
    assert (tmp_path / "run" / "head.safetensors").exists()
    assert launch(replace(settings, steps=5), workers=2, resume=True)  # and both go on from one checkpoint
    assert len(metrics(settings.output)) == 5


def test_a_failing_worker_ends_the_run_with_its_own_words(tmp_path: Path) -> None:
    settings = load_settings(write_config(tmp_path), ["data.annotations=" + str(tmp_path / "nowhere.json")])
    with pytest.raises(Exception, match=r"nowhere\.json") as caught:
        launch(settings, workers=2)
    assert "exit code" not in str(caught.value)


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    config = load_settings(write_config(tmp_path))
    for workers in (0, 3):
        with pytest.raises(ConfigError, match=rf"workers is {workers}, expected at least 1, and batch_size \(2\)"):
            launch(config, workers=workers)
    with pytest.raises(ConfigError, match="batch_size is 4, expected a multiple of the number of workers"):
        WorkerGroup(0, 3).positions(4)


def test_positions_cover_the_batch_once() -> None:
    shares = [WorkerGroup(rank, 4).positions(16) for rank in range(4)]
    assert [position for share in shares for position in share] == list(range(16))

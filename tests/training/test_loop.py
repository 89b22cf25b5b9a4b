"""The loop: what it writes, that it can stop and go on without a trace, and what ends it."""

import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from torch import Tensor

from streamseg.errors import ConfigError, TrainingError
from streamseg.fcclip.weights import load_weights
from streamseg.segmenter import Segmenter
from streamseg.training.interrupt import Interrupt
from streamseg.training.learner import Learner
from streamseg.training.loop import Trainer, train
from streamseg.training.start import build_model, clip_fingerprint, head_state
from streamseg.training.workers import WorkerGroup
from tests.training.small_runs import PaintedSource, losses, metrics, small_settings, use_small_model


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_model(monkeypatch)


class StopAfter(Interrupt):
    """Asks for a stop once `count` steps are done."""

    def __init__(self, count: int) -> None:
        super().__init__(())
        self.left = count

    @property
    def requested(self) -> bool:
        self.left -= 1
        return self.left <= 0


class FailingSource(PaintedSource):
    """Loses its disk at one step."""

    def __init__(self, fails_at: int) -> None:
        super().__init__()
        self.fails_at = fails_at

    def batch(self, step: int, positions: Any) -> Any:
        if step == self.fails_at:
            raise OSError("the disk is gone")
        return super().batch(step, positions)


def same_files(a: Path, b: Path) -> bool:
    return a.read_bytes() == b.read_bytes()


def test_a_run_learns_and_leaves_everything_behind(tmp_path: Path) -> None:
    settings = small_settings(tmp_path / "run", validate_every=3, pictures=2, save_every=2, keep=2, prefetch=2)
    assert train(settings, source=PaintedSource())
    lines = metrics(settings.output)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[-1]["loss"] < lines[0]["loss"]
    stages = {
        "loss_ce",
        "loss_mask",
        "loss_dice",
        *(f"loss_{kind}_{i}" for kind in ("ce", "mask", "dice") for i in (0, 2)),
    }
    assert stages <= set(lines[0])
    weighted = 2 * sum(v for k, v in lines[0].items() if "_ce" in k)
    weighted += 5 * sum(v for k, v in lines[0].items() if "_mask" in k or "_dice" in k)
    assert lines[0]["loss"] == pytest.approx(weighted, rel=1e-5)
    assert [line["lr"] for line in lines] == pytest.approx([1e-3] * 4 + [1e-4] * 2)
    run = tmp_path / "run"
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["step-00000004.pt", "step-00000006.pt"]
    assert len(list((run / "pictures").iterdir())) == 4
    assert cv2.imread(str(run / "pictures" / "step-00000003-1.jpg")).shape == (64, 128, 3)


def test_weights_load_as_any_others(tmp_path: Path) -> None:
    settings = small_settings(tmp_path / "run", steps=2)
    trainer = Trainer(settings, WorkerGroup(), source=PaintedSource())
    trainer.run(Interrupt(()))
    trainer.close()
    clip = tmp_path / "clip.pt"
    torch.save(trainer.learner.model.backbone.clip_model.state_dict(), clip)
    for name, clip_file in (("head.safetensors", clip), ("model_official.pth", None)):
        model = build_model(small_settings(tmp_path, seed=5))
        load_weights(model, tmp_path / "run" / name, clip=clip_file)
        for key, value in trainer.learner.model.state_dict().items():
            assert torch.equal(value, model.state_dict()[key]), key


def test_a_run_starts_from_files(tmp_path: Path) -> None:
    """Fine-tuning: the head of another run, on the CLIP that it learned on."""
    first = small_settings(tmp_path / "first", steps=1)
    train(first, source=PaintedSource())
    official = str(tmp_path / "first" / "model_official.pth")
    again = build_model(small_settings(tmp_path / "b", clip=None, init=official))
    split = build_model(
        small_settings(tmp_path / "c", clip=official, init=str(tmp_path / "first" / "head.safetensors"))
    )
    assert all(torch.equal(value, split.state_dict()[key]) for key, value in again.state_dict().items())
    fresh = build_model(small_settings(tmp_path / "d", clip=official))
    assert clip_fingerprint(fresh) == clip_fingerprint(again)
    assert not torch.equal(fresh.mask_decoder.query_feat.weight, again.mask_decoder.query_feat.weight)


def test_the_frozen_clip_is_frozen(tmp_path: Path) -> None:
    trainer = Trainer(small_settings(tmp_path / "run", steps=3), WorkerGroup(), source=PaintedSource())
    model = trainer.learner.model
    before = {key: value.clone() for key, value in head_state(model).items()}
    trainer.run(Interrupt(()))
    trainer.close()
    assert clip_fingerprint(model) == trainer.clip
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    unchanged = [key for key, value in head_state(model).items() if torch.equal(value, before[key])]
    assert unchanged == []
    trained = {key for key, parameter in model.named_parameters() if parameter.grad is not None}
    assert trained == set(head_state(model))


def test_a_run_that_failed_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """With a checkpoint between two lines of metrics, a running mean, and batches made ahead."""
    options = {"steps": 8, "save_every": 3, "log_every": 2, "ema_decay": 0.9, "prefetch": 2}
    whole, broken = small_settings(tmp_path / "whole", **options), small_settings(tmp_path / "broken", **options)
    assert train(whole, source=PaintedSource())
    with pytest.raises(OSError, match="the disk is gone"):
        train(broken, source=FailingSource(fails_at=5))
    assert list(losses(broken.output)) == [2, 4]
    assert train(broken, source=PaintedSource(), resume=True)
    assert losses(broken.output) == losses(whole.output)
    assert same_files(tmp_path / "broken" / "head.safetensors", tmp_path / "whole" / "head.safetensors")


def test_a_wish_to_stop_saves_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = small_settings(tmp_path / "run")
    assert not train(settings, source=PaintedSource(), interrupt=StopAfter(2))
    assert "stopped after step 2 of 6" in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoints" / "step-00000002.pt").exists()
    assert train(settings, source=PaintedSource(), resume=True)
    assert list(losses(settings.output)) == [1, 2, 3, 4, 5, 6]


def test_a_finished_run_can_get_longer(tmp_path: Path) -> None:
    settings = small_settings(tmp_path / "run", steps=2)
    train(settings, source=PaintedSource())
    assert train(small_settings(tmp_path / "run", steps=3), source=PaintedSource(), resume=True)
    assert list(losses(settings.output)) == [1, 2, 3]


def test_an_earlier_run_is_not_overwritten(tmp_path: Path) -> None:
    settings = small_settings(tmp_path / "run", steps=1)
    train(settings, source=PaintedSource())
    with pytest.raises(ConfigError, match="holds a run already: go on with --resume"):
        train(settings, source=PaintedSource())
    with pytest.raises(TrainingError, match="no checkpoint to resume from"):
        train(small_settings(tmp_path / "other"), source=PaintedSource(), resume=True)


def test_resuming_with_other_settings_is_refused(tmp_path: Path) -> None:
    train(small_settings(tmp_path / "run", steps=1), source=PaintedSource())
    with pytest.raises(ConfigError, match="batch_size was 2, now 4; seed was 0, now 1"):
        train(small_settings(tmp_path / "run", batch_size=4, seed=1), source=PaintedSource(), resume=True)
    # The CLIP counts by its values: here a file with another one.
    other = build_model(small_settings(tmp_path, seed=9))
    torch.save(other.backbone.clip_model.state_dict(), tmp_path / "clip.pt")
    with pytest.raises(ConfigError, match="cannot resume with another CLIP"):
        train(small_settings(tmp_path / "run", clip=str(tmp_path / "clip.pt")), source=PaintedSource(), resume=True)


def test_a_loss_that_is_no_number_names_step_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = small_settings(tmp_path / "run", save_every=1)
    honest = Learner.losses

    def poisoned(self: Learner, step: int, *arguments: Any) -> dict[str, Tensor]:
        found = honest(self, step, *arguments)
        return {**found, "loss": found["loss"] * (float("nan") if step == 3 else 1)}

    monkeypatch.setattr(Learner, "losses", poisoned)
    with pytest.raises(TrainingError, match=r"diverged in step 4: .*painted 3-0, painted 3-1"):
        train(settings, source=PaintedSource())
    last = torch.load(tmp_path / "run" / "checkpoints" / "step-00000003.pt", weights_only=True)
    assert all(value.isfinite().all() for value in last["head"].values())


def test_diverged_predictions_end_the_run(tmp_path: Path) -> None:
    settings = small_settings(tmp_path / "run")
    wild = small_settings(tmp_path / "run", optimizer=type(settings.optimizer)(lr=1e30, clip_norm=1.0))
    with pytest.raises(TrainingError, match="diverged in step 2"):
        train(wild, source=PaintedSource())


def test_the_running_mean_is_what_is_handed_out(tmp_path: Path) -> None:
    seen: list[Tensor] = []

    def look(segmenter: Segmenter, step: int) -> dict[str, float]:
        seen.append(segmenter.model.mask_decoder.query_feat.weight.detach().clone())
        return {"score": step / 2}

    settings = small_settings(tmp_path / "run", steps=2, ema_decay=0.75, validate_every=2)
    trainer = Trainer(settings, WorkerGroup(), source=PaintedSource(), on_validate=look)
    queries = trainer.learner.model.mask_decoder.query_feat.weight
    values = [queries.detach().clone()]
    update = trainer.learner.update

    def recorded(step: int) -> float:
        rate = update(step)
        values.append(queries.detach().clone())
        return rate

    trainer.learner.update = recorded  # type: ignore[method-assign]
    trainer.run(Interrupt(()))
    trainer.close()
    mean = 0.75 * (0.75 * values[0] + 0.25 * values[1]) + 0.25 * values[2]
    torch.testing.assert_close(seen[0], mean)
    assert torch.equal(queries, values[2])
    assert metrics(settings.output)[-1] == {"step": 2, "validation/score": 1.0}


def test_validation_knows_what_was_trained_on(tmp_path: Path) -> None:
    seen: list[bool] = []

    def look(segmenter: Segmenter, step: int) -> dict[str, float]:
        del step
        for vocabulary in PaintedSource().vocabularies:
            seen.extend(segmenter.text_classifier(vocabulary).seen.tolist())
        return {}

    settings = small_settings(tmp_path / "run", steps=1, validate_every=1)
    train(settings, source=PaintedSource(), on_validate=look)
    assert seen == [True] * 8


def test_without_tensorboard_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    train(small_settings(tmp_path / "run", steps=1, tensorboard=True), source=PaintedSource())
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "tensorboard is not installed, so there are no curves: pip install tensorboard"
    ]


def test_bf16_trains_too(tmp_path: Path) -> None:
    for fp32 in (True, False):
        settings = small_settings(
            tmp_path / str(fp32), steps=3, precision="bf16", pixel_decoder_fp32=fp32, channels_last=True
        )
        train(settings, source=PaintedSource())
        first, *_, last = metrics(settings.output)
        assert last["loss"] < first["loss"]


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_trains(tmp_path: Path, precision: str) -> None:
    settings = small_settings(tmp_path / "run", steps=8, device="cuda", precision=precision, prefetch=2, log_every=4)
    assert train(settings, source=PaintedSource())
    first, last = metrics(settings.output)
    assert last["loss"] < first["loss"]

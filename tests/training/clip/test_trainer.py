"""Contrastive pre-training: the loss, the equality with inference, and runs that stop and go on."""

import json
import math
import os
import signal
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipelines.train_clip import main
from streamseg.errors import ConfigError, TrainingError
from streamseg.fcclip.backbone import ConvNextBackbone
from streamseg.fcclip.checkpoint import read_state_dict
from streamseg.fcclip.model import build_fcclip
from streamseg.fcclip.weights import load_weights
from streamseg.training.clip import trainer
from streamseg.training.clip.augment import augment_crops
from streamseg.training.clip.caption_words import CaptionWords
from streamseg.training.clip.loss import contrastive_loss, pair_up
from streamseg.training.clip.mosaic import encode_mosaic
from streamseg.training.clip.run import CropBatch, crops_ahead
from streamseg.training.clip.settings import ClipSettings, Phase, read_clip_settings
from streamseg.training.clip.trainer import CHECKPOINT_NAME, CLIP_NAME, ContrastiveTrainer, learning_rate_at, train_clip
from streamseg.world.captions import caption
from streamseg.world.crops import crop_batch
from streamseg.world.names import COLORS, SHAPES, STUFF, Composition
from streamseg.world.seeds import generator

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "train_demo_clip.yaml"
PAINT = {"red": (220, 30, 30), "green": (30, 160, 40), "blue": (40, 60, 220), "white": (240, 240, 240)}
SETTINGS = ClipSettings(
    phases=(Phase(32, 6),),
    batch_size=8,
    warmup_steps=2,
    mosaic=2,
    precision="fp32",
    render_processes=0,
    log_every=2,
    validate_every=100,
    checkpoint_every=100,
    validation_crops=20,
)


def painted(seed: int, step: int, count: int, size: int) -> CropBatch:
    """Squares of one colour, with captions that say which, mostly: learnable in seconds."""
    rng = generator("painted", seed, step)
    names = [tuple(PAINT)[rng.integers(len(PAINT))] for _ in range(count)]
    pictures = np.empty((count, size, size, 3), np.uint8)
    pictures[:] = np.array([PAINT[name] for name in names])[:, None, None]
    return pictures, [caption(Composition("cube", name, "plain"), None, rng) for name in names]


def clip_tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in read_state_dict(folder / CLIP_NAME).items()}


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


# --- the loss


def test_which_captions_are_true_of_which_pictures() -> None:
    captions = [
        "a red car on grass",
        "a photo of a car.",
        "the automobile",
        "blue car",
        "a lorry",
        "grass",
        "a red thing: car",
    ]
    pairs = pair_up([*captions, "a photo of a car."])
    assert pairs.texts == tuple(captions)
    table = [
        ["+" if p else "?" if o else "-" for p, o in zip(*row, strict=True)]
        for row in zip(pairs.positive, pairs.open, strict=True)
    ]
    assert ["".join(row) for row in table] == [
        "+++--?+",  # red car on grass: "a car" is true, "grass" is there but not what the picture is of
        "?++?--?",  # a car: of what colour, nobody said
        "?++?--?",
        "-+++---",
        "----+--",
        "-----+-",
        "?++---+",
        "?++?--?",
    ]  # fmt: skip


def test_without_repetitions_the_loss_is_infonce() -> None:
    captions = ["a car", "a bus", "a star on sand", "sky"]
    torch.manual_seed(0)
    image, text = torch.randn(4, 16), torch.randn(4, 16)
    loss, accuracy = contrastive_loss(image, text, pair_up(captions), torch.tensor(5.0))
    logits = 5 * F.cosine_similarity(image[:, None], text[None], dim=-1)
    target = torch.arange(4)
    expected = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    assert accuracy.item() == (logits.argmax(1) == target).float().mean().item()


def test_open_pairs_do_not_count_and_true_ones_share() -> None:
    pairs = pair_up(["a red car", "a car", "a bus"])
    image = F.normalize(torch.tensor([[1.0, 0.2, 0.1], [0.3, 1.0, 0.0], [0.1, 0.2, 1.0]]), dim=-1)
    text = F.normalize(torch.tensor([[1.0, 0.0, 0.3], [0.2, 1.0, 0.1], [0.0, 0.1, 1.0]]), dim=-1)
    (s00, s01, s02), (_, s11, s12), (s20, s21, s22) = (image @ text.T).tolist()

    def surprise(chosen: float, *others: float) -> float:
        return math.log(sum(math.exp(x) for x in (chosen, *others))) - chosen

    # Whether the second picture's car is red is open: its pair with the first text is nowhere.
    by_picture = [
        (surprise(s00, s01, s02) + surprise(s01, s00, s02)) / 2,
        surprise(s11, s12),
        surprise(s22, s20, s21),
    ]
    by_text = [surprise(s00, s20), (surprise(s01, s11, s21) + surprise(s11, s01, s21)) / 2, surprise(s22, s02, s12)]
    loss, _ = contrastive_loss(image, text, pairs, torch.tensor(1.0))
    assert loss.item() == pytest.approx((sum(by_picture) + sum(by_text)) / 6, abs=1e-6)


def test_gradients_stay_finite_beside_open_pairs() -> None:
    image = torch.randn(3, 8, requires_grad=True)
    loss, _ = contrastive_loss(image, torch.randn(3, 8), pair_up(["a red car", "a car", "a bus"]), torch.tensor(100.0))
    loss.backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()


# --- the model


def test_what_is_trained_is_what_inference_reads() -> None:
    trainer = ContrastiveTrainer(SETTINGS)
    for index in range(2):
        trainer.train_step(*painted(0, index, 8, 32))
    clip_model = trainer.clip_model.eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = clip_model.encode_image(images)
        backbone = ConvNextBackbone(clip_model)
        dense = backbone(images).dense
        found = backbone.mask_embeddings(dense, torch.ones(2, 1, *dense.shape[-2:]))[:, 0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("side", [1, 2])
def test_a_mosaic_is_read_as_inference_reads_masks(side: int) -> None:
    clip_model = ContrastiveTrainer(SETTINGS).clip_model.eval()
    crops = torch.randn(2 * side**2, 3, 64, 64)
    backbone = ConvNextBackbone(clip_model)
    with torch.no_grad():
        found = encode_mosaic(clip_model, crops, side)
        for index, crop_embedding in enumerate(found):
            which, row, column = index // side**2, index % side**2 // side, index % side
            group = crops[which * side**2 : (which + 1) * side**2]
            rows = [torch.cat(list(group[start : start + side]), dim=2) for start in range(0, side**2, side)]
            dense = backbone(torch.cat(rows, dim=1)[None]).dense
            mask = torch.full((1, 1, 2 * side, 2 * side), -1.0)
            mask[..., 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = 1
            expected = backbone.mask_embeddings(dense, mask)[0, 0]
            torch.testing.assert_close(crop_embedding, expected, atol=1e-5, rtol=1e-4)


def test_everything_learns_and_the_temperature_stays_in_bounds() -> None:
    trainer = ContrastiveTrainer(replace(SETTINGS, learning_rate=0.1, warmup_steps=0))
    before = {name: parameter.clone() for name, parameter in trainer.clip_model.named_parameters()}
    gammas = [value for name, value in before.items() if name.endswith(".gamma")]
    assert len(gammas) == 12
    assert all((gamma == SETTINGS.layer_scale).all() for gamma in gammas)
    with torch.no_grad():
        trainer.clip_model.logit_scale.fill_(math.log(100) - 0.01)
    for index in range(2):
        trainer.train_step(*painted(0, index, 8, 32))
    after = dict(trainer.clip_model.named_parameters())
    assert [name for name, value in before.items() if torch.equal(value, after[name])] == []
    assert 0 <= after["logit_scale"].item() <= math.log(100) + 1e-6


def test_colors_are_learnt() -> None:
    trainer = ContrastiveTrainer(replace(SETTINGS, phases=(Phase(32, 40),), batch_size=16, warmup_steps=5))
    losses = [trainer.train_step(*painted(0, index, 16, 32))[0].item() for index in range(40)]
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])


def test_the_word_heads_ask_what_was_said_and_nothing_else() -> None:
    words = CaptionWords(16)
    embedding = torch.randn(2, 16, requires_grad=True)
    loss = words(embedding, ["a red car on grass", "the sky"])
    subject, color, _, background = (head(embedding).log_softmax(-1) for head in words.heads)
    shapes, stuff = [entry.name for entry in SHAPES], [entry.name for entry in STUFF]
    expected = -(subject[0, shapes.index("car")] + subject[1, len(SHAPES) + stuff.index("sky")]) / 2
    expected = expected - color[0, 0] - background[0, stuff.index("grass")]
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    words(embedding, ["the sky", "grass"]).backward()
    assert embedding.grad is not None
    assert embedding.grad.isfinite().all()


def test_word_heads_can_be_left_out() -> None:
    step = painted(0, 0, 8, 32)
    losses, grads = [], []
    for weight in (0.0, 1.0):
        trainer = ContrastiveTrainer(replace(SETTINGS, word_weight=weight))
        losses.append(trainer.train_step(*step)[0].item())
        grads.append([bool((head.weight.grad != 0).any()) for head in trainer.words.heads])
    assert losses[0] == losses[1]  # what is reported is the contrastive loss
    assert grads[0] == [False] * 4
    assert True in grads[1]


def test_the_demo_loads_the_clip(tmp_path: Path) -> None:
    trainer = ContrastiveTrainer(SETTINGS)
    trainer.save(tmp_path)
    model = build_fcclip(trainer.spec)
    head = {name: value for name, value in model.state_dict().items() if "clip_model" not in name}
    torch.save({"model": head}, tmp_path / "head.pth")
    load_weights(model, tmp_path / "head.pth", clip=tmp_path / CLIP_NAME)
    assert equal(model.backbone.clip_model.state_dict(), trainer.clip_model.state_dict())


# --- data


def test_augmentation_keeps_the_scale_and_depends_on_the_state_alone() -> None:
    crops = torch.from_numpy(painted(0, 0, 6, 32)[0]).permute(0, 3, 1, 2).float()
    first = augment_crops(crops, torch.Generator().manual_seed(1))
    assert torch.equal(first, augment_crops(crops, torch.Generator().manual_seed(1)))
    assert not torch.equal(first, augment_crops(crops, torch.Generator().manual_seed(2)))
    assert first.shape == crops.shape
    assert 0 <= first.min() < first.max() <= 255
    assert len({tuple(change) for change in (first - crops).mean((2, 3)).tolist()}) == 6


def test_augmentation_leaves_colors_what_they_are() -> None:
    paint = torch.tensor([PAINT[name] for name in PAINT], dtype=torch.float32)
    crops = paint[:, :, None, None].expand(-1, -1, 16, 16)
    for seed in range(20):
        mean = augment_crops(crops, torch.Generator().manual_seed(seed)).mean((2, 3))
        assert torch.cdist(mean, paint).argmin(1).tolist() == [0, 1, 2, 3]


def test_augmentation_mirrors_half() -> None:
    crops = torch.zeros(200, 3, 4, 4)
    crops[..., :2] = 200
    changed = augment_crops(crops, torch.Generator().manual_seed(0))
    mirrored = changed[..., 2:].mean((1, 2, 3)) > changed[..., :2].mean((1, 2, 3))
    assert 70 < mirrored.sum() < 130


def test_rendering_ahead_in_other_processes_changes_nothing() -> None:
    settings = replace(SETTINGS, phases=(Phase(32, 2), Phase(64, 3)), batch_size=4, render_processes=1)
    with crops_ahead(settings, 1) as batches:
        found = list(batches)
    assert [len(pictures[0]) for pictures, _ in found] == [32, 64, 64, 64]
    for step, (pictures, captions) in enumerate(found, start=1):
        expected_pictures, expected_captions = crop_batch(settings.seed, step, 4, settings.size_at(step))
        assert np.array_equal(pictures, expected_pictures)
        assert captions == expected_captions


# --- runs


def test_a_run_that_stops_goes_on_as_if_it_had_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train_clip(SETTINGS, tmp_path / "whole", crops=painted, say=lambda _: None)
    asked = iter([False, True])
    real_step = ContrastiveTrainer.train_step

    def step_then_terminate(self: ContrastiveTrainer, *batch: Any) -> Any:
        if next(asked, False):
            os.kill(os.getpid(), signal.SIGTERM)
        return real_step(self, *batch)

    monkeypatch.setattr(ContrastiveTrainer, "train_step", step_then_terminate)
    lines: list[str] = []
    assert not train_clip(SETTINGS, tmp_path / "parts", crops=painted, say=lines.append)
    assert not equal(clip_tensors(tmp_path / "parts"), clip_tensors(tmp_path / "whole"))
    assert train_clip(SETTINGS, tmp_path / "parts", crops=painted, say=lines.append)
    assert "going on from step 2" in lines
    assert equal(clip_tensors(tmp_path / "parts"), clip_tensors(tmp_path / "whole"))


def test_time_is_up(tmp_path: Path) -> None:
    assert not train_clip(SETTINGS, tmp_path, hours=0.0, crops=painted, say=lambda _: None)
    assert torch.load(tmp_path / CHECKPOINT_NAME, weights_only=True)["step"] == 1


def test_the_log(tmp_path: Path) -> None:
    lines: list[str] = []
    train_clip(replace(SETTINGS, phases=(Phase(32, 3),)), tmp_path, crops=painted, say=lines.append)
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [2, 3, 3]
    assert all(entry["loss"] > 0 and 0 <= entry["accuracy"] <= 1 and entry["size"] == 32 for entry in entries[:2])
    scores = entries[2]["validation"]
    assert {"shape", "color", "pattern", "stuff"} <= set(scores)
    assert all(0 <= score <= 1 for score in scores.values())
    assert len(lines) == 3
    assert "zero-shot" in lines[-1]


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        return torch.tensor(float("nan"), requires_grad=True), torch.tensor(0.0)

    monkeypatch.setattr(trainer, "contrastive_loss", broken)
    with pytest.raises(TrainingError, match="the loss is nan at step 2: lower learning_rate"):
        train_clip(SETTINGS, tmp_path, crops=painted, say=lambda _: None)


def test_other_settings_are_refused_but_a_longer_run_is_not(tmp_path: Path) -> None:
    short = replace(SETTINGS, phases=(Phase(32, 1),))
    train_clip(short, tmp_path, crops=painted, say=lambda _: None)
    with pytest.raises(ConfigError, match=r"setting seed is 2, but .*checkpoint.pth was begun with 1: set it back"):
        train_clip(replace(short, seed=2), tmp_path, crops=painted, say=lambda _: None)
    assert train_clip(replace(short, phases=(Phase(32, 2),)), tmp_path, crops=painted, say=lambda _: None)


def test_a_damaged_checkpoint(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT_NAME).write_bytes(b"nothing")
    with pytest.raises(TrainingError, match=r"cannot go on from .*checkpoint.pth .*move it away"):
        train_clip(SETTINGS, tmp_path, crops=painted, say=lambda _: None)


# --- settings


def test_the_schedule() -> None:
    settings = replace(SETTINGS, phases=(Phase(32, 60), Phase(64, 50)), warmup_steps=10)
    rates = [learning_rate_at(step, settings) for step in range(settings.total_steps + 1)]
    assert rates[:10] == pytest.approx([1e-4 * (step + 1) for step in range(10)])
    assert rates[10] == 1e-3
    assert rates[60] == pytest.approx((1e-3 + 1e-5) / 2)
    assert rates[-1] == pytest.approx(1e-5)
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert [settings.size_at(step) for step in (0, 59, 60, 109, 200)] == [32, 32, 64, 64, 64]


def test_sizes_take_turns() -> None:
    settings = replace(SETTINGS, phases=(Phase(64, 5, (96,)), Phase(32, 2)))
    assert [settings.size_at(step) for step in range(8)] == [64, 96, 64, 96, 64, 32, 32, 32]


def test_the_shipped_config_and_its_overrides() -> None:
    settings = read_clip_settings(CONFIG, ("batch_size=64", "phases=[{size: 96, steps: 5}]"))
    assert (settings.batch_size, settings.phases, settings.model) == (64, (Phase(96, 5),), "demo")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("batchsize=3", "unknown setting batchsize: did you mean 'batch_size'"),
        ("batch_size=0", "setting batch_size is 0, expected at least 1"),
        ("batch_size=100", "setting batch_size is 100, expected a multiple of 16, for mosaics of 4 by 4"),
        ("phases=[]", "setting phases is empty"),
        ("phases=[{size: 50, steps: 3}]", "setting phases.size is 50, expected a multiple of 32"),
        ("phases=[{size: 64, steps: 0}]", "setting phases.steps is 0"),
        ("precision=fp8", "setting precision is 'fp8', expected one of fp32, bf16"),
        ("model=demmo", "unknown model 'demmo': did you mean 'demo'"),
    ],
)
def test_settings_out_of_range(override: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(CONFIG), override, "--output", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_the_command_says_whether_it_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = [
        "phases=[{size: 32, steps: 2}]",
        "batch_size=4",
        "mosaic=2",
        "render_processes=0",
        "validation_crops=8",
        "log_every=1",
    ]
    command = [str(CONFIG), *tiny, "--output", str(tmp_path)]
    assert main([*command, "--hours", "0"]) == 3
    assert main(command) == 0
    assert "step 2/2  32 px" in capsys.readouterr().out
    assert (tmp_path / CLIP_NAME).exists()


def test_painted_colors_are_words_of_the_world() -> None:
    assert set(PAINT) <= {color.name for color in COLORS}

"""Stage 0 of the demo model: a small convolutional CLIP, trained on rendered crops and their captions.

Published FC-CLIP starts from a CLIP that others trained on billions of pictures. The demo's world is small enough to
do that part too: contrastive learning as in CLIP (arXiv 2103.00020, section 2), on crops that show one thing or some
stuff. The result is a file in open_clip's names, which the mask generator is then trained on, frozen as ever.

Every random choice is a function of the seed and the step, so a run that was stopped goes on as if it had not been.
"""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...errors import ConfigError, TrainingError
from ...fcclip.backbone import build_clip
from ...fcclip.checkpoint import write_checkpoint, write_safetensors
from ...fcclip.prompt_tree import encode_trimmed
from ...fcclip.spec import get_spec
from ...fcclip.text import build_text_encoder
from ...parsing import to_plain
from ..interrupt import Interrupt
from .augment import augment_crops
from .caption_words import CaptionWords
from .loss import contrastive_loss, pair_up
from .mosaic import encode_mosaic
from .run import CropSource, RunLog, crops_ahead
from .settings import ClipSettings
from .zero_shot import labelled_crops, zero_shot_accuracy

__all__ = ["CHECKPOINT_NAME", "CLIP_NAME", "ContrastiveTrainer", "learning_rate_at", "train_clip"]

CHECKPOINT_NAME = "checkpoint.pth"
CLIP_NAME = "clip.safetensors"
MAX_LOGIT_SCALE = math.log(100)  # CLIP, section 2.5
BETAS = (0.9, 0.98)
# What a resumed run may have otherwise: how long and how it is watched, not what it learns.
CHANGEABLE = (
    "phases",
    "mosaic",
    "render_processes",
    "log_every",
    "validate_every",
    "checkpoint_every",
    "validation_crops",
)


class ContrastiveTrainer:
    """The CLIP of a model, its optimizer, and one step at a time.

    Args:
        settings: of the run.
        device: where to compute.
    """

    def __init__(self, settings: ClipSettings, device: torch.device | str = "cpu") -> None:
        self.settings = settings
        self.device = torch.device(device)
        self.spec = get_spec(settings.model)
        self.step = 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            clip_model = build_clip(self.spec)
            self.words = CaptionWords(self.spec.embed_dim).to(self.device)
        _set_layer_scale(clip_model, settings.layer_scale)
        self.clip_model: Any = clip_model.to(self.device).to(memory_format=torch.channels_last)
        self.tokenize = build_text_encoder(self.clip_model, self.spec).tokenize
        self.optimizer = torch.optim.AdamW(self._parameter_groups(), betas=BETAS, fused=True)
        self._mean = torch.tensor(self.spec.pixel_mean, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(self.spec.pixel_std, device=self.device).view(1, 3, 1, 1)

    def train_step(self, pictures: NDArray[np.uint8], captions: list[str]) -> tuple[Tensor, Tensor]:
        """One optimizer step on crops (B, size, size, 3) uint8 with their captions.

        Returns:
            The contrastive loss and its accuracy, see `contrastive_loss`; not synchronised.
        """
        pairs = pair_up(captions)
        tokens = self.tokenize(pairs.texts).to(self.device)
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + self.step)
        crops = self._normalize(augment_crops(self._pixels(pictures), generator))
        self.clip_model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            image = encode_mosaic(self.clip_model, crops, self.settings.mosaic)
            text = encode_trimmed(self.clip_model, tokens)
        loss, accuracy = contrastive_loss(image, text, pairs.to(self.device), self.clip_model.logit_scale.exp())
        self._descend(loss + self.settings.word_weight * self.words(image, captions))
        self.step += 1
        return loss.detach(), accuracy

    def validate(self, count: int, size: int) -> dict[str, float]:
        """Zero-shot accuracies on `count` crops of a seed of their own, see `zero_shot_accuracy`."""
        self.clip_model.eval()
        crops = labelled_crops(self.settings.seed, count, size)
        return zero_shot_accuracy(self.clip_model, self.spec, crops, self._embed)

    def save(self, folder: Path) -> None:
        """The state to go on from, and the CLIP as it is; each replaces its file in one step."""
        state = {
            "step": self.step,
            "clip": self.clip_model.state_dict(),
            "words": self.words.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "settings": to_plain(self.settings),
        }
        write_checkpoint(folder / CHECKPOINT_NAME, state)
        write_safetensors(folder / CLIP_NAME, self.clip_model.state_dict())

    def resume(self, path: Path) -> None:
        """Go on where a checkpoint stands.

        Raises:
            TrainingError: it cannot be read.
            ConfigError: it belongs to other settings.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            found, step = state["settings"], state["step"]
        except Exception as error:  # damaged bytes make the unpickler raise anything
            reason = str(error).partition("\n")[0][:160]
            raise TrainingError(f"cannot go on from {path} ({reason}): move it away to start again") from error
        for key, value in to_plain(self.settings).items():
            if key not in CHANGEABLE and found.get(key) != value:
                raise ConfigError(
                    f"setting {key} is {value!r}, but {path} was begun with {found.get(key)!r}: "
                    "set it back, or choose another output folder"
                )
        self.clip_model.load_state_dict(state["clip"])
        self.words.load_state_dict(state["words"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = step

    def _descend(self, loss: Tensor) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate_at(self.step, self.settings)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.clip_model.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        with torch.no_grad():
            self.clip_model.logit_scale.clamp_(0, MAX_LOGIT_SCALE)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Matrices and kernels decay; norms, biases, scales, embeddings and the temperature do not."""
        settings = self.settings
        decayed, kept = list(self.words.parameters()), list[nn.Parameter]()
        for name, parameter in self.clip_model.named_parameters():
            plain = parameter.ndim < 2 or "embedding" in name
            (kept if plain else decayed).append(parameter)
        return [
            {"params": decayed, "weight_decay": settings.weight_decay, "lr": settings.learning_rate},
            {"params": kept, "weight_decay": 0.0, "lr": settings.learning_rate},
        ]

    def _embed(self, pictures: NDArray[np.uint8]) -> Tensor:
        """As in training, without augmentation; an incomplete mosaic is filled up with the last crop."""
        missing = -len(pictures) % self.settings.mosaic**2
        filled = np.concatenate([pictures, np.repeat(pictures[-1:], missing, axis=0)])
        embeddings = encode_mosaic(self.clip_model, self._normalize(self._pixels(filled)), self.settings.mosaic)
        return embeddings[: len(pictures)]

    def _pixels(self, pictures: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2).float()

    def _normalize(self, pixels: Tensor) -> Tensor:
        return ((pixels - self._mean) / self._std).contiguous(memory_format=torch.channels_last)


def train_clip(
    settings: ClipSettings,
    output: Path,
    *,
    device: torch.device | str = "cpu",
    hours: float | None = None,
    crops: CropSource | None = None,
    say: Callable[[str], None] = print,
) -> bool:
    """Train to the end of the phases, or until time is up or the process is asked to stop; either way all is saved.

    Args:
        output: folder for checkpoint, CLIP and log; a checkpoint in it is gone on from.
        hours: of this call; None for no limit.
        crops: where crops come from; None for the world's.
        say: gets lines for people.

    Returns:
        Whether the phases are done.
    """
    output.mkdir(parents=True, exist_ok=True)
    trainer = ContrastiveTrainer(settings, device)
    if (output / CHECKPOINT_NAME).exists():
        trainer.resume(output / CHECKPOINT_NAME)
        say(f"going on from step {trainer.step}")
    deadline = math.inf if hours is None else time.monotonic() + 3600 * hours
    log = RunLog(output / "log.jsonl", settings, say)
    with Interrupt() as interrupt, crops_ahead(settings, trainer.step, crops) as batches:
        _loop(trainer, batches, log, output, lambda: interrupt.requested or time.monotonic() > deadline)
    trainer.save(output)
    return trainer.step >= settings.total_steps


def _loop(
    trainer: ContrastiveTrainer,
    batches: Iterator[tuple[NDArray[np.uint8], list[str]]],
    log: RunLog,
    output: Path,
    stop: Callable[[], bool],
) -> None:
    settings = trainer.settings
    for pictures, captions in batches:
        loss, accuracy = trainer.train_step(pictures, captions)
        log.add(trainer.step, loss, accuracy, learning_rate_at(trainer.step - 1, settings))
        last = trainer.step >= settings.total_steps
        if trainer.step % settings.checkpoint_every == 0:
            trainer.save(output)
        if last or trainer.step % settings.validate_every == 0:
            scores = trainer.validate(settings.validation_crops, settings.phase_at(trainer.step - 1).size)
            log.validated(trainer.step, scores)
        if stop():
            return


def learning_rate_at(step: int, settings: ClipSettings) -> float:
    """Linear warm-up, then a cosine down to the final rate over the steps of all phases."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    length = max(settings.total_steps - settings.warmup_steps, 1)
    progress = min((step - settings.warmup_steps) / length, 1.0)
    low, high = settings.final_learning_rate, settings.learning_rate
    return low + (high - low) * (1 + math.cos(math.pi * progress)) / 2


def _set_layer_scale(clip_model: nn.Module, value: float) -> None:
    """timm starts ConvNeXt's residual branches at a millionth of their size, and it takes long until they count."""
    with torch.no_grad():
        for name, parameter in clip_model.named_parameters():
            if name.startswith("visual.") and name.endswith(".gamma"):
                parameter.fill_(value)

"""One optimizer step and all that it leaves behind: weights, moments, loss scale, running mean."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..fcclip.criterion import Criterion
from ..fcclip.model import FCCLIP
from .data.batches import Batch
from .network import TextClassifiers, TrainingNetwork
from .optimizer import build_optimizer, clip_gradients, learning_rate, set_learning_rate
from .settings import TrainSettings
from .start import choose_autocast, head_state
from .workers import WorkerGroup

__all__ = ["Learner", "image_seed"]


class Learner:
    """Learns from batches.

    Args:
        model: on its device.
        text: the vocabularies on the same device.
        settings: of the run.
        group: with whom gradients are averaged.
    """

    def __init__(self, model: FCCLIP, text: TextClassifiers, settings: TrainSettings, group: WorkerGroup) -> None:
        self.model = model
        self.text = text
        self.settings = settings
        self.group = group
        autocast = choose_autocast(settings.precision, text.device)
        self.network = group.wrap(
            TrainingNetwork(
                model,
                autocast=autocast,
                pixel_decoder_fp32=settings.pixel_decoder_fp32,
                channels_last=settings.channels_last,
            )
        )
        self.criterion = Criterion(settings.criterion)
        self.optimizer = build_optimizer(model, settings.optimizer)
        self.scaler = torch.amp.GradScaler(text.device.type, enabled=autocast == torch.float16)
        self.average = self._copy_of_head() if settings.ema_decay else {}

    @property
    def tolerates_overflow(self) -> bool:
        """float16: a step whose gradients are not finite is skipped, and the loss scaled down."""
        return bool(self.scaler.is_enabled())

    def losses(self, step: int, batch: Batch, positions: range) -> dict[str, Tensor]:
        """Losses of this worker's part of a batch, unweighted, with their weighted sum as `loss`.

        Args:
            step: number of the batch.
            batch: pictures and targets on the device.
            positions: where in the batch each picture stands; with seed and step it decides the sampled points.

        Raises:
            FloatingPointError: predictions are not finite.
        """
        stages = self.network(batch.images, self.text(batch.vocabulary))
        seeds = [image_seed(self.settings.seed, step, position) for position in positions]
        reduce = self.group.mean if self.group.size > 1 else None
        losses = self.criterion(stages, batch.targets, seeds, reduce=reduce)
        return {"loss": self.criterion.total(losses), **losses}

    def backward(self, loss: Tensor) -> Tensor:
        """Gradients of all workers, averaged and clipped; returns their norm before clipping, a scalar."""
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        return clip_gradients(self.optimizer, self.settings.optimizer.clip_norm)

    def update(self, step: int) -> float:
        """Move the weights; returns the learning rate."""
        rate = learning_rate(self.settings.optimizer, step, self.settings.steps)
        set_learning_rate(self.optimizer, rate)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._update_average()
        return rate

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it; tensors are the learner's own."""
        return {
            "head": head_state(self.model),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        for key, value in head_state(self.model).items():
            value.copy_(state["head"][key])
        for key, value in self.average.items():
            value.copy_(state["average"][key])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.tolerates_overflow:
            self.scaler.load_state_dict(state["scaler"])

    @contextmanager
    def best_weights(self) -> Iterator[FCCLIP]:
        """The model as it would be handed out: with the running mean where there is one."""
        if not self.average:
            yield self.model
            return
        current = self._copy_of_head()
        self._fill_head(self.average)
        try:
            yield self.model
        finally:
            self._fill_head(current)

    def _copy_of_head(self) -> dict[str, Tensor]:
        return {key: value.detach().clone() for key, value in head_state(self.model).items()}

    @torch.no_grad()
    def _fill_head(self, values: Mapping[str, Tensor]) -> None:
        for key, value in head_state(self.model).items():
            value.copy_(values[key])

    @torch.no_grad()
    def _update_average(self) -> None:
        head = head_state(self.model) if self.average else {}
        for key, value in self.average.items():
            value.lerp_(head[key], 1 - self.settings.ema_decay)


def image_seed(seed: int, step: int, position: int) -> int:
    """The seed of one picture's sampled points: neighbours have nothing in common."""
    digest = hashlib.blake2b(f"points {seed} {step} {position}".encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "little")

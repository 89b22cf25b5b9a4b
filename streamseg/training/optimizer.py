"""AdamW as Mask2Former sets it up: who decays, how gradients are clipped, and the learning rate over time."""

import math
from bisect import bisect_right
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .settings import OptimizerSettings

__all__ = ["build_optimizer", "clip_gradients", "learning_rate", "set_learning_rate"]

NORMS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.LocalResponseNorm,
)
POSITION_TABLES = ("relative_position_bias_table", "absolute_pos_embed")


def build_optimizer(model: nn.Module, settings: OptimizerSettings) -> torch.optim.AdamW:
    """AdamW over everything in `model` that is not frozen, in groups of equal weight decay.

    The published rule: norms and `nn.Embedding` tables (the queries, the decoder's levels, void) do not decay; all else
    does, biases, the temperature and the encoder's level embedding (a plain parameter) included.
    """
    groups: dict[float, list[Tensor]] = {}
    for parameter, decay in _with_decay(model, settings):
        groups.setdefault(decay, []).append(parameter)
    return torch.optim.AdamW(
        [{"params": parameters, "weight_decay": decay} for decay, parameters in sorted(groups.items())],
        lr=settings.lr,
        fused=True,
    )


def learning_rate(settings: OptimizerSettings, step: int, steps: int) -> float:
    """The rate of step number `step` (from 0) of a run of `steps`. A pure function: a resumed run needs no state."""
    return settings.lr * _scheduled(settings, step, steps) * _warmup(settings, step)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The same rate for every group: the frozen CLIP is in none, so there is no second rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip_gradients(optimizer: torch.optim.Optimizer, max_norm: float) -> Tensor:
    """Scale all gradients of the optimizer together so that their L2 norm is at most `max_norm`.

    Returns:
        The norm before, a scalar on the device; inf or NaN where a gradient is.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return torch.nn.utils.clip_grad_norm_(parameters, max_norm)


def _with_decay(model: nn.Module, settings: OptimizerSettings) -> Iterator[tuple[Tensor, float]]:
    seen: set[int] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            yield parameter, _decay(module, name, settings)


def _decay(module: nn.Module, name: str, settings: OptimizerSettings) -> float:
    if isinstance(module, nn.Embedding):
        return settings.weight_decay_embed
    if isinstance(module, NORMS):
        return settings.weight_decay_norm
    return 0.0 if any(table in name for table in POSITION_TABLES) else settings.weight_decay


def _scheduled(settings: OptimizerSettings, step: int, steps: int) -> float:
    if settings.schedule == "step":
        return float(settings.gamma ** bisect_right(settings.milestones, step))
    progress = min(1.0, step / max(1, steps - 1))
    return settings.final_factor + (1 - settings.final_factor) * (1 + math.cos(math.pi * progress)) / 2


def _warmup(settings: OptimizerSettings, step: int) -> float:
    if step >= settings.warmup_steps:
        return 1.0
    progress = step / settings.warmup_steps
    return settings.warmup_factor * (1 - progress) + progress

"""The formulas of the criterion in plain Python and float64, for comparison."""

from collections.abc import Sequence
from math import exp, log1p

import torch
from torch import Tensor

from streamseg.fcclip.targets import Targets


def random_targets(counts: Sequence[int], classes: int, height: int, width: int, seed: int = 0) -> list[Targets]:
    generator = torch.Generator().manual_seed(seed)
    return [
        Targets(
            torch.randint(classes, (count,), generator=generator),
            torch.rand(count, height, width, generator=generator) > 0.5,
        )
        for count in counts
    ]


def value_at(plane: Tensor, x: float, y: float) -> float:
    """Bilinear, pixel centres at (i + 0.5) / size, zero outside."""
    height, width = plane.shape
    column, row = x * width - 0.5, y * height - 0.5
    total = 0.0
    for i in range(height):
        for j in range(width):
            total += float(plane[i, j]) * max(0.0, 1 - abs(column - j)) * max(0.0, 1 - abs(row - i))
    return total


def cross_entropy(logit: float, target: float) -> float:
    return target * (log1p(exp(-abs(logit))) + max(-logit, 0)) + (1 - target) * (
        log1p(exp(-abs(logit))) + max(logit, 0)
    )


def dice_loss(logits: Sequence[float], targets: Sequence[float]) -> float:
    """1 - dice of the probabilities, with 1 added above and below."""
    probabilities = [1 / (1 + exp(-logit)) for logit in logits]
    overlap = sum(p * t for p, t in zip(probabilities, targets, strict=True))
    return 1 - (2 * overlap + 1) / (sum(probabilities) + sum(targets) + 1)

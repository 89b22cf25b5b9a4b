"""What training eats: annotated pictures, one by one and in batches.

A batch is a pure function of the step and of the positions in it. Nothing is drawn from a running generator, so a run
that was killed goes on with the batches it would have had, and two workers with half the positions each see what one
worker with all of them sees.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ...fcclip.targets import Targets
from ...vocabulary import Vocabulary

__all__ = ["Batch", "BatchSource", "Example", "collate"]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One picture with its answer.

    Attributes:
        image: (3, H, W) uint8, RGB.
        targets: its segments; masks are (N, H, W).
        name: where it came from, for messages.
    """

    image: Tensor
    targets: Targets
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Pictures of one size, with answers in one vocabulary.

    Attributes:
        images: (B, 3, H, W) uint8, RGB; H and W multiples of 32.
        targets: one for each picture; masks are (N, H, W).
        vocabulary: what the labels count in; it may change from batch to batch.
    """

    images: Tensor
    targets: tuple[Targets, ...]
    vocabulary: Vocabulary

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """The same batch on another device."""
        return Batch(
            self.images.to(device, non_blocking=non_blocking),
            tuple(targets.to(device, non_blocking=non_blocking) for targets in self.targets),
            self.vocabulary,
        )


class BatchSource(Protocol):
    """Endless training data, addressed by step."""

    @property
    def vocabularies(self) -> Sequence[Vocabulary]:
        """Every vocabulary that a batch may come in."""
        ...

    def batch(self, step: int, positions: Sequence[int]) -> Batch:
        """The pictures at `positions` of the global batch number `step`; the same arguments give the same batch."""
        ...


def collate(examples: Sequence[Example], vocabulary: Vocabulary) -> Batch:
    """Pictures of one size, side by side."""
    return Batch(
        torch.stack([example.image for example in examples]),
        tuple(example.targets for example in examples),
        vocabulary,
    )

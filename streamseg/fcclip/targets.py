"""What a picture really shows: the answer that training compares predictions with."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Targets"]


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The annotated segments of one picture, things and stuff alike.

    Attributes:
        labels: (N,) int64, each segment's place in the vocabulary's categories.
        masks: (N, H, W) bool; they do not overlap, and what no mask covers is void.
    """

    labels: Tensor
    masks: Tensor

    def __post_init__(self) -> None:
        if self.labels.ndim != 1 or self.masks.ndim != 3 or len(self.labels) != len(self.masks):
            raise ValueError(
                f"labels {tuple(self.labels.shape)} and masks {tuple(self.masks.shape)} are not (N,) and (N, H, W)"
            )
        if self.labels.dtype != torch.int64 or self.masks.dtype != torch.bool:
            raise ValueError(f"labels are {self.labels.dtype} and masks {self.masks.dtype}, expected int64 and bool")

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Targets":
        """The same targets on another device."""
        return Targets(
            self.labels.to(device, non_blocking=non_blocking), self.masks.to(device, non_blocking=non_blocking)
        )

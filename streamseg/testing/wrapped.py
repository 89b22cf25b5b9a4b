"""A segmenter around another one: the same doors, for those who change what happens at one of them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..fcclip.classifier import ClassScores
from ..frames import Frame
from ..queries import Queries
from ..vocabulary import Vocabulary

__all__ = ["WrappedSegmenter"]


class WrappedSegmenter:
    """Every call goes to `base`, which is a `Segmenter` or offers the same."""

    def __init__(self, base: Any) -> None:
        self.base = base
        self.spec = base.spec
        self.device: torch.device = base.device

    def identity(self) -> dict[str, Any]:
        """As of `Segmenter`."""
        identity: dict[str, Any] = self.base.identity()
        return identity

    def segment(self, frames: Sequence[Frame], vocabulary: Vocabulary | Sequence[Vocabulary]) -> list[Queries]:
        """One `Queries` per frame."""
        queries: list[Queries] = self.base.segment(frames, vocabulary)
        return queries

    def class_scores(
        self, in_embedding: Tensor, out_embedding: Tensor, valid: Tensor, vocabulary: Vocabulary
    ) -> ClassScores:
        """As of `Segmenter`."""
        scores: ClassScores = self.base.class_scores(in_embedding, out_embedding, valid, vocabulary)
        return scores

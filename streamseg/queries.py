"""Queries: what the segmenter hands to association and fusion, one object per frame."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .vocabulary import Vocabulary

__all__ = ["MaskGeometry", "Queries", "ScoredQueries"]


@dataclass(frozen=True, slots=True)
class MaskGeometry:
    """How mask logits at a quarter of the padded network input map back to the picture.

    Attributes:
        padded_hw: network input with its padding, in pixels; the logits have a quarter of it.
        resized_hw: the part of it that shows the picture.
        output_hw: size of the panoptic map.
    """

    padded_hw: tuple[int, int]
    resized_hw: tuple[int, int]
    output_hw: tuple[int, int]

    def upsample(self, mask_logits: Tensor) -> Tensor:
        """(N, h, w) -> (N, *output_hw), as published: to the padded size, cropped, then to the output size."""
        masks = F.interpolate(mask_logits[None], size=self.padded_hw, mode="bilinear", align_corners=False)
        masks = masks[..., : self.resized_hw[0], : self.resized_hw[1]]
        if self.resized_hw != self.output_hw:
            masks = F.interpolate(masks, size=self.output_hw, mode="bilinear", align_corners=False)
        return masks[0]


@dataclass(frozen=True, slots=True, eq=False)
class ScoredQueries:
    """All Q queries of one frame after the class step, before those that are not worth keeping are left out.

    Attributes:
        vocabulary, class_log_scores, void_probability, training_void_probability: as of `Queries`, for all Q.
        kept: (Q,) bool, which ones stay.
    """

    vocabulary: Vocabulary
    class_log_scores: Tensor
    void_probability: Tensor
    training_void_probability: Tensor
    kept: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """The N queries of one frame that are worth looking at, on the device where they were computed.

    Attributes:
        vocabulary: whose categories (then background) `class_log_scores` follows.
        geometry: how the masks map back to the picture.
        slots: (N,) int64, which of the model's Q learned queries each one is, ascending.
        mask_logits: (N, H/4, W/4) of the padded input, before sigmoid.
        class_log_scores: (N, K + background), log of the geometric ensemble without void, normalised.
        void_probability: (N,), under the frame's vocabulary; it moves with the number of words.
        training_void_probability: (N,), under the model's training vocabulary; comparable between vocabularies.
        in_vocabulary_embedding: (N, D), trained class embedding, not normalised.
        out_of_vocabulary_embedding: (N, D), CLIP's embedding of the masked region, not normalised.
        clip_valid: (N,) bool, the mask is not empty at stride 32, so the CLIP embedding means something.
        query_embedding: (N, C), after the decoder's norm.
        pixel_feature: (N, C), mean mask feature under the mask.
        global_clip_embedding: (D,), CLIP's embedding of the whole frame, unit length.
    """

    vocabulary: Vocabulary
    geometry: MaskGeometry
    slots: Tensor
    mask_logits: Tensor
    class_log_scores: Tensor
    void_probability: Tensor
    training_void_probability: Tensor
    in_vocabulary_embedding: Tensor
    out_of_vocabulary_embedding: Tensor
    clip_valid: Tensor
    query_embedding: Tensor
    pixel_feature: Tensor
    global_clip_embedding: Tensor

    def __len__(self) -> int:
        return self.mask_logits.shape[0]

    def __repr__(self) -> str:
        height, width = self.mask_logits.shape[-2:]
        return (
            f"Queries({len(self)} of {height}x{width} logits on {self.mask_logits.device}, "
            f"vocabulary {self.vocabulary.name!r} with {len(self.vocabulary)} categories)"
        )

    @property
    def objectness(self) -> Tensor:
        """(N,), 1 - p(void) under the training vocabulary: how likely each query is anything at all."""
        return 1 - self.training_void_probability

    def to(self, device: torch.device | str) -> "Queries":
        """The same queries on another device."""
        return self._each_tensor(lambda tensor: tensor.to(device))

    def compact(self, dtype: torch.dtype = torch.float16) -> "Queries":
        """The same queries with half the memory: masks and embeddings in `dtype`, scores untouched.

        float16 keeps mask logits to 1 part in 2048, so only pixels within that of a mask's edge can change hands.
        """
        narrow: dict[str, Any] = {
            name: getattr(self, name).to(dtype)
            for name in (
                "mask_logits",
                "in_vocabulary_embedding",
                "out_of_vocabulary_embedding",
                "query_embedding",
                "pixel_feature",
            )
        }
        return replace(self, **narrow)

    def relabelled(self, vocabulary: Vocabulary, class_log_scores: Tensor, void_probability: Tensor) -> "Queries":
        """The same queries with scores under another vocabulary (`Segmenter.classify` computes them)."""
        return replace(
            self, vocabulary=vocabulary, class_log_scores=class_log_scores, void_probability=void_probability
        )

    def _each_tensor(self, change: Callable[[Tensor], Tensor]) -> "Queries":
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {name: change(value) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **changed)

"""Crops side by side in one picture, each read out under its own square.

A crop alone is mostly rim to a trunk of stride 32: its last features see more padding than picture, and what they learn
does not carry over to the inside of a large picture, where inference pools them under masks (FC-CLIP, arXiv 2308.02487,
section 3.3). In a mosaic they see neighbours instead, and have to tell what is theirs, at the cost of the crops alone.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["encode_mosaic"]

STRIDE = 32


def encode_mosaic(clip_model: nn.Module, crops: Tensor, side: int) -> Tensor:
    """CLIP's embedding of each crop, from mosaics of `side` times `side` of them.

    Args:
        clip_model: an open_clip model with a ConvNeXt trunk.
        crops: (B, 3, s, s), normalised; B a multiple of `side` squared, s a multiple of 32.

    Returns:
        (B, D), not normalised: what `ConvNextBackbone.mask_embeddings` gives for the squares of the mosaics.
    """
    visual: Any = clip_model.visual
    dense = visual.trunk.forward_features(_mosaics(crops, side))
    pooled = F.avg_pool2d(dense, crops.shape[-1] // STRIDE)
    squares = pooled.permute(0, 2, 3, 1).reshape(len(crops), -1, 1, 1)
    embeddings: Tensor = visual.head(visual.trunk.head(squares))
    return embeddings


def _mosaics(crops: Tensor, side: int) -> Tensor:
    """(B, 3, s, s) to (B / side², 3, side s, side s), row by row."""
    count, channels, height, width = crops.shape
    grid = crops.reshape(count // side**2, side, side, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return grid.reshape(-1, channels, side * height, side * width)

"""The published semantic map, a band of rows at a time.

Each pixel gets the class with the largest sum over queries of class probability x sigmoid(mask) (`semantic_inference`).
Written out, that takes a number for each query, and one for each class, at every pixel: 20 GB for 847 classes at
800x1333, or for a picture of 20 megapixels. Rows depend on nothing but a few rows of the small masks, so bands of them
give the same map in constant memory.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ...queries import MaskGeometry

__all__ = ["class_map"]

CPU_BAND_NUMBERS = 1 << 24  # queries and classes x pixels of a band: 64 MB of float32
CUDA_BAND_NUMBERS = 1 << 28


def class_map(
    class_probabilities: Tensor,
    mask_logits: Tensor,
    geometry: MaskGeometry,
    *,
    upsample: Literal["masks", "scores"],
) -> Tensor:
    """The class of every pixel.

    Args:
        class_probabilities: (Q, K+1), void last.
        mask_logits: (Q, h, w), before sigmoid, of the padded network input.
        geometry: how they become the picture's pixels.
        upsample: what is brought from the network's size to the picture's: masks, before they are weighed, or the
            scores of classes.

    Returns:
        (H, W) int64, positions in the vocabulary; of equal scores the first.
    """
    height, width = geometry.output_hw
    weights = class_probabilities[:, :-1].float()
    if len(weights) == 0:  # interpolation refuses what is empty
        return torch.zeros(height, width, dtype=torch.int64, device=weights.device)
    numbers = sum(weights.shape) * max(width, geometry.padded_hw[1])
    limit = CUDA_BAND_NUMBERS if mask_logits.device.type == "cuda" else CPU_BAND_NUMBERS
    rows = max(1, limit // max(1, numbers))
    found = [
        _band(weights, mask_logits.float(), geometry, first, min(first + rows, height), upsample).argmax(0)
        for first in range(0, height, rows)
    ]
    return torch.cat(found)


def _band(weights: Tensor, mask_logits: Tensor, geometry: MaskGeometry, first: int, end: int, upsample: str) -> Tensor:
    """(K, end - first, W) scores of the output's rows from `first` to `end`."""
    resized_height, resized_width = geometry.resized_hw
    top, bottom = _needed(first, end, resized_height, geometry.output_hw[0])
    masks = _rows(mask_logits, 0, mask_logits.shape[1], top, bottom, geometry.padded_hw)[..., :resized_width]
    if upsample == "scores":
        return _rows(_weigh(weights, masks), top, resized_height, first, end, geometry.output_hw)
    return _weigh(weights, _rows(masks, top, resized_height, first, end, geometry.output_hw))


def _weigh(weights: Tensor, mask_logits: Tensor) -> Tensor:
    return torch.einsum("qc,qhw->chw", weights, mask_logits.sigmoid())


def _needed(first: int, end: int, height: int, output_height: int) -> tuple[int, int]:
    """Which rows of a picture of this height the output's rows from `first` to `end` mix."""
    if height == output_height:
        return first, end
    upper, _ = _place(torch.tensor([first, end - 1]), height, output_height)
    return int(upper[0]), min(int(upper[1]) + 2, height)


def _rows(band: Tensor, offset: int, height: int, first: int, end: int, size_hw: tuple[int, int]) -> Tensor:
    """Rows `first` to `end` of `F.interpolate(x, size_hw, mode="bilinear")`.

    Args:
        band: (N, b, w), rows of x from `offset` on.
        height: of x.
    """
    if height != size_hw[0]:
        upper, share = _place(torch.arange(first, end, device=band.device), height, size_hw[0])
        lower = (upper + 1).clamp(max=height - 1)
        share = share[:, None]
        band = band[:, upper - offset] * (1 - share) + band[:, lower - offset] * share
    else:
        band = band[:, first - offset : end - offset]
    if band.shape[2] == size_hw[1]:
        return band
    out: Tensor = F.interpolate(band[None], size=(end - first, size_hw[1]), mode="bilinear", align_corners=False)[0]
    return out


def _place(rows: Tensor, height: int, output_height: int) -> tuple[Tensor, Tensor]:
    """Where output rows lie among `height` rows: the row above, and the share of the one below."""
    position = ((rows.float() + 0.5) * (height / output_height) - 0.5).clamp(min=0)
    upper = position.floor().long().clamp(max=height - 1)
    return upper, position - upper

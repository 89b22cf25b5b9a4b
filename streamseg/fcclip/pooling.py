"""Mask pooling: the mean of a feature map under each mask (paper section 3.3)."""

import torch
from torch import Tensor

__all__ = ["mask_pool"]

# Sums over a large mask leave float16's range (65504); a power of two changes no digit.
SCALE = 2.0**-8


def mask_pool(features: Tensor, mask_logits: Tensor) -> Tensor:
    """Mean feature under each hard mask.

    Args:
        features: (B, C, H, W).
        mask_logits: (B, Q, H, W), before sigmoid; a pixel belongs to the mask where its logit is above 0.

    Returns:
        (B, Q, C) in the features' dtype; zeros for an empty mask. No gradient flows into the masks.
    """
    with torch.no_grad():
        masks = (mask_logits > 0).flatten(2)
        area = masks.sum(-1, keepdim=True, dtype=torch.float32)
        masks = masks.to(features.dtype) * SCALE
    pooled = masks @ features.flatten(2).transpose(1, 2)
    return (pooled / ((area + 1e-8) * SCALE)).to(features.dtype)

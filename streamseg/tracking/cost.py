"""How alike a track and a query are: four cues, and the gates that a pair has to pass.

The cues complement one another. The query embedding knows what the decoder was looking for, the mask where it is, the
mean mask feature how it looks, and the class posterior what it is called.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..config.tracking import TrackingSettings

__all__ = ["FORBIDDEN", "cost_of", "gate", "intersections", "mask_iou", "shifted", "similarity"]

FORBIDDEN = 1e3
"""Cost of a pair that a gate excludes: above any limit, and finite, as the solver wants it."""

Array = npt.NDArray[Any]


def similarity(
    query_cosine: Tensor, iou: Tensor, feature_cosine: Tensor, class_overlap: Tensor, settings: TrackingSettings
) -> Tensor:
    """(T, N) of each cue -> (T, N), their weighted mean."""
    weights = (settings.query_weight, settings.iou_weight, settings.feature_weight, settings.class_weight)
    cues = (query_cosine, iou, feature_cosine, class_overlap)
    total = sum(weights)
    return sum((cue * (weight / total) for cue, weight in zip(cues, weights, strict=True)), start=iou * 0)


def intersections(first: Tensor, second: Tensor) -> Tensor:
    """(T, h, w) and (N, h, w) coverage -> (T, N), common area in cells."""
    return first.flatten(1) @ second.flatten(1).T


def mask_iou(first: Tensor, second: Tensor) -> Tensor:
    """(T, h, w) and (N, h, w) coverage -> (T, N), the Tanimoto overlap: for binary masks, intersection over union."""
    common = intersections(first, second)
    union = first.flatten(1).square().sum(1)[:, None] + second.flatten(1).square().sum(1) - common
    return common / union.clamp(min=1e-6)


def shifted(masks: Tensor, offsets_yx: Tensor) -> Tensor:
    """Each mask moved by whole cells; what leaves is gone, and nothing comes in.

    Args:
        masks: (T, h, w).
        offsets_yx: (T, 2) int64, down and right.
    """
    count, height, width = masks.shape
    device = masks.device
    y = torch.arange(height, device=device) - offsets_yx[:, :1]
    x = torch.arange(width, device=device) - offsets_yx[:, 1:]
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    rows = y.clamp(0, height - 1)[:, :, None].expand(count, height, width)
    columns = x.clamp(0, width - 1)[:, None, :].expand(count, height, width)
    return masks.gather(1, rows).gather(2, columns) * inside


def gate(
    iou: Array, track_centre: Array, track_area: Array, centre: Array, area: Array, settings: TrackingSettings
) -> npt.NDArray[np.bool_]:
    """Which pairs are possible at all: near or overlapping, and of a similar size.

    Args:
        iou: (T, N), with the tracks' masks where they are expected.
        track_centre, track_area: (T, 2) and (T,), in cells.
        centre, area: (N, 2) and (N,), of the queries.

    Returns:
        (T, N) bool.
    """
    distance = np.linalg.norm(track_centre[:, None] - centre[None], axis=2)
    near = distance < settings.gate_distance * np.sqrt(track_area)[:, None]
    larger = np.maximum(track_area[:, None], area[None])
    smaller = np.minimum(track_area[:, None], area[None])
    alike = larger <= settings.gate_area_ratio * smaller
    allowed: npt.NDArray[np.bool_] = ((iou >= settings.gate_iou) | near) & alike
    return allowed


def cost_of(likeness: Array, allowed: npt.NDArray[np.bool_]) -> Array:
    """(T, N) likeness, 1 at best -> the cost of each pair."""
    return np.where(allowed, 1 - likeness, FORBIDDEN)

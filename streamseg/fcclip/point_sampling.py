"""Values of masks at points: training compares masks at a few thousand points, not at every pixel.

Mask2Former (arXiv 2112.01527, section 3.3) after PointRend (arXiv 1912.08193, section 3.1): matching looks at uniformly
drawn points, the losses at points drawn where the prediction is least certain. Points are (x, y) with 0 and 1 at the
outer edges of the first and last pixel, so one point means the same place in maps of every resolution. Interpolation is
bilinear, with zeros beyond the edge.

Which points an image gets depends on the image's seed and the stage alone, not on the batch that the image is in.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["sample_maps", "sample_masks", "uncertain_points", "uniform_points"]


def sample_maps(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of float maps; gradients reach the maps.

    Args:
        maps: (B, C, H, W) float.
        points: (B, P, 2), x and y in [0, 1], shared by the C maps of one row.

    Returns:
        (B, C, P) in the maps' dtype.
    """
    grid = 2 * points.unsqueeze(2) - 1
    return F.grid_sample(maps, grid, padding_mode="zeros", align_corners=False).squeeze(-1)


def sample_masks(masks: Sequence[Tensor], points: Tensor, rows: Sequence[int]) -> list[Tensor]:
    """The same for bool masks, image by image: they stay bool, and only what is looked at becomes float.

    Args:
        masks: (N, H, W) bool of each image, N its own, H and W the same for all.
        points: (sum of rows, P, 2).
        rows: how many rows of points each image has: N, or 1 for points that its masks share.

    Returns:
        (N, P) float32 in [0, 1] of each image.
    """
    height, width = masks[0].shape[1:]
    index, weight = _taps(points, height, width)
    return [
        (own.flatten(1).gather(1, where.flatten(1).expand(len(own), -1)).unflatten(1, (4, -1)) * share).sum(1)
        for own, where, share in zip(masks, index.split(list(rows)), weight.split(list(rows)), strict=True)
    ]


def _taps(points: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """(R, P, 2) -> the four pixels about each point, counted row by row, and their weights; both (R, 4, P)."""
    column, column_weight = _neighbours(points[..., 0], width)
    row, row_weight = _neighbours(points[..., 1], height)
    index = row.unsqueeze(2) * width + column.unsqueeze(1)
    return index.flatten(1, 2), (row_weight.unsqueeze(2) * column_weight.unsqueeze(1)).flatten(1, 2)


def _neighbours(coordinate: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """(R, P) -> the two pixels about each coordinate along one axis, and their weights; both (R, 2, P)."""
    position = coordinate * size - 0.5
    low = position.floor()
    fraction = position - low
    index = torch.stack([low, low + 1], dim=1).long()
    weight = torch.stack([1 - fraction, fraction], dim=1)
    inside = (index >= 0) & (index < size)
    return index.clamp(0, size - 1), weight * inside


def uniform_points(
    counts: Sequence[int], num_points: int, seeds: Sequence[int], stream: tuple[int, ...], device: torch.device
) -> Tensor:
    """Points drawn uniformly, each image from a generator of its own.

    Args:
        counts: how many rows of points each image gets.
        num_points: P.
        seeds: one for each image.
        stream: what the points are for, e.g. the stage; other numbers give other points.
        device: where they are drawn. CPU and GPU draw different ones.

    Returns:
        (sum of counts, P, 2) float32 in [0, 1), image after image.
    """
    points = torch.empty(sum(counts), num_points, 2, device=device)
    for rows, seed in zip(points.split(list(counts)), seeds, strict=True):
        rows.uniform_(generator=_generator((seed, *stream), device))
    return points


def _generator(key: tuple[int, ...], device: torch.device) -> torch.Generator:
    # SeedSequence spreads neighbouring keys over all bits; torch's CPU generator takes the low 32 of them.
    sequence = np.random.SeedSequence([number % 2**64 for number in key])
    return torch.Generator(device).manual_seed(int(sequence.generate_state(1)[0]))


@torch.no_grad()
def uncertain_points(maps: Tensor, candidates: Tensor, count: int) -> Tensor:
    """Of the candidates, those where each map is closest to the boundary: uncertainty is -|logit|.

    Args:
        maps: (M, h, w) float logits.
        candidates: (M, C, 2).
        count: how many to keep, at most C.

    Returns:
        (M, count, 2), in no order.
    """
    distance = sample_maps(maps.unsqueeze(1), candidates).squeeze(1).abs()
    nearest = distance.topk(count, dim=1, largest=False, sorted=False).indices
    return candidates.gather(1, nearest.unsqueeze(-1).expand(-1, -1, 2))

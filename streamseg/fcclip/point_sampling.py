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


def sample_masks(masks: Tensor, points: Tensor) -> Tensor:
    """The same for bool masks, which stay bool: only what is looked at becomes float.

    Args:
        masks: (N, H, W) bool.
        points: (N, P, 2), or (1, P, 2) for points that all masks share.

    Returns:
        (N, P) float32 in [0, 1].
    """
    height, width = masks.shape[-2:]
    columns = _neighbours(points[..., 0], width)
    rows = _neighbours(points[..., 1], height)
    flat = masks.flatten(1)
    values = points.new_zeros(len(masks), points.shape[1], dtype=torch.float32)
    for row, row_weight in rows:
        for column, column_weight in columns:
            index = (row * width + column).expand(len(masks), -1)
            values += flat.gather(1, index) * (row_weight * column_weight)
    return values


def _neighbours(coordinate: Tensor, size: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The two pixel indices about each coordinate and their weights; a pixel beyond the edge weighs nothing."""
    position = coordinate * size - 0.5
    low = position.floor()
    fraction = position - low
    first = low.long()
    second = first + 1
    return (
        (first.clamp(min=0), (1 - fraction) * (first >= 0)),
        (second.clamp(max=size - 1), fraction * (second < size)),
    )


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

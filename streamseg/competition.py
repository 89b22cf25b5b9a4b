"""Masks compete for pixels: whose score x sigmoid(mask) is largest where.

The heart of the panoptic merge, and on a CPU its cost: a hundred masks at 720p are 92 million pixels. Two ways with the
same signature stand side by side. `compete_plain` upsamples every mask, as published. `compete_tiles` cuts the picture
into tiles and upsamples, per tile, only the masks that can matter there. What can matter is decided exactly: bilinear
interpolation never leaves the range of the values that it mixes, so the largest and smallest logit under a tile bound
all its pixels. `tests/test_competition.py` holds the two against each other.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from .queries import MaskGeometry

__all__ = ["compete", "compete_plain", "compete_tiles"]

CPU_CHUNK_PIXELS = 1 << 22  # pixels upsampled at a time: 16 MB of float32
CUDA_CHUNK_PIXELS = 1 << 27
TILE_HW = (32, 64)
# Bounds are widened by this, so that rounding in the interpolation can never make a left-out mask matter.
SLACK = 1e-4

Winners = tuple[Tensor, Tensor, Tensor]


def compete(scores: Tensor, mask_logits: Tensor, geometry: MaskGeometry) -> Winners:
    """The faster of the two for the device: tiles need the host's decision per tile, which a GPU would wait for.

    Args:
        scores: (N,) weight of each mask, at least one.
        mask_logits: (N, h, w), before sigmoid.
        geometry: how they become output pixels.

    Returns:
        winner (H, W) int64, the mask with the largest score x sigmoid (the first of equal ones);
        sure (H, W) bool, the winner's own sigmoid is at least 0.5;
        own_area (N,) int64, pixels of each mask whose sigmoid is at least 0.5, won or not.
    """
    implementation = compete_tiles if mask_logits.device.type == "cpu" else compete_plain
    return implementation(scores.float(), mask_logits.float(), geometry)


def compete_plain(scores: Tensor, mask_logits: Tensor, geometry: MaskGeometry) -> Winners:
    """A few masks at a time with a running maximum: the memory does not grow with their number."""
    height, width = geometry.output_hw
    device = mask_logits.device
    best = torch.full((height, width), -1.0, device=device)
    winner = torch.zeros((height, width), dtype=torch.int64, device=device)
    sure = torch.zeros((height, width), dtype=torch.bool, device=device)
    own_areas = []
    limit = CUDA_CHUNK_PIXELS if device.type == "cuda" else CPU_CHUNK_PIXELS
    chunk = max(1, limit // max(height * width, geometry.padded_hw[0] * geometry.padded_hw[1]))
    for start in range(0, len(scores), chunk):
        part = slice(start, start + chunk)
        masks = geometry.upsample(mask_logits[part]).sigmoid()
        covers = masks >= 0.5
        own_areas.append(covers.flatten(1).sum(1))
        weighted, index = (masks * scores[part, None, None]).max(0)
        # Strictly better only: of equal masks the first one wins, as in one argmax over all.
        better = weighted > best
        best = torch.where(better, weighted, best)
        winner = torch.where(better, index + start, winner)
        sure = torch.where(better, covers.gather(0, index[None])[0], sure)
    return winner, sure, torch.cat(own_areas)


def compete_tiles(scores: Tensor, mask_logits: Tensor, geometry: MaskGeometry) -> Winners:
    """Same contract as `compete_plain`."""
    height, width = geometry.output_hw
    winner = torch.zeros((height, width), dtype=torch.int64)
    sure = torch.zeros((height, width), dtype=torch.bool)
    own_area = torch.zeros(len(scores), dtype=torch.int64)
    rows = _interpolation(mask_logits.shape[1], geometry.padded_hw[0], geometry.resized_hw[0], height)
    columns = _interpolation(mask_logits.shape[2], geometry.padded_hw[1], geometry.resized_hw[1], width)
    column_bands = _bands(columns, TILE_HW[1])
    for row_tile, row_band in _bands(rows, TILE_HW[0]):
        strip = mask_logits[:, row_band]
        highest, lowest = strip.amax(1), strip.amin(1)
        row_weights = rows[row_tile, row_band]
        for column_tile, column_band in column_bands:
            high = highest[:, column_band].amax(1) + SLACK
            low = lowest[:, column_band].amin(1) - SLACK
            wins_somewhere = scores * high.sigmoid() >= (scores * low.sigmoid()).max()
            covers_all = low >= 0
            chosen = torch.nonzero(wins_somewhere | ((high >= 0) & ~covers_all)).squeeze(1)

            column_weights = columns[column_tile, column_band]
            masks = (row_weights @ strip[chosen, :, column_band] @ column_weights.T).sigmoid_()
            covers = masks >= 0.5
            own_area += covers_all * (row_weights.shape[0] * column_weights.shape[0])
            own_area[chosen] = own_area[chosen].where(covers_all[chosen], own_area[chosen] + covers.flatten(1).sum(1))
            index = masks.mul_(scores[chosen, None, None]).argmax(0)
            winner[row_tile, column_tile] = chosen[index]
            sure[row_tile, column_tile] = covers.gather(0, index[None])[0]
    return winner, sure, own_area


@lru_cache(maxsize=32)
def _interpolation(length: int, padded: int, resized: int, output: int) -> Tensor:
    """(output, length) weights of the published upsampling along one axis.

    Upsample, crop, resize again: all linear, and the same for every row and column, so the chain is one matrix. It is
    read off by sending unit vectors through the operations themselves.
    """
    with torch.inference_mode(False), torch.no_grad():
        unit = torch.eye(length)[None]
        weights = F.interpolate(unit, size=padded, mode="linear", align_corners=False)[..., :resized]
        if resized != output:
            weights = F.interpolate(weights, size=output, mode="linear", align_corners=False)
        return weights[0].T.contiguous()


def _bands(weights: Tensor, tile: int) -> list[tuple[slice, slice]]:
    """Tiles of output positions, each with the input positions that it mixes."""
    bands = []
    for start in range(0, weights.shape[0], tile):
        outputs = slice(start, min(start + tile, weights.shape[0]))
        used = weights[outputs].any(0).nonzero()
        bands.append((outputs, slice(int(used[0]), int(used[-1]) + 1)))
    return bands

"""Masks compete for pixels: whose score x sigmoid(mask) is largest where.

The heart of the panoptic merge, and on a CPU its cost: a hundred masks at 720p are 92 million pixels. Two ways with the
same signature stand side by side. `compete_plain` upsamples every mask, as published. `compete_tiles` cuts the picture
into tiles and upsamples, per tile, only the masks that can matter there. What can matter is decided exactly: bilinear
interpolation never leaves the range of the values that it mixes, so the largest and smallest logit under a tile bound
all its pixels. Most tiles are settled by these bounds alone; the others are computed together, as one batch of small
matrix products. `tests/test_competition.py` holds the two ways against each other.

Who wins a pixel, and whether it is sure of it, is one number (an *outcome*), so that it is written, counted and looked
up once. Up to 128 masks it is a byte. The tiles' per-pixel work is NumPy's: its comparisons of floats take a third of
torch's, and of bytes a core does 64 at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from .queries import MaskGeometry

__all__ = ["compete", "compete_plain", "compete_tiles"]

CPU_CHUNK_PIXELS = 1 << 19  # pixels upsampled at a time: 2 MB of float32 stay in the cache and in the heap
CUDA_CHUNK_PIXELS = 1 << 27
TILE_HW = (32, 32)
# Bounds are widened by this, so that rounding in the interpolation can never make a left-out mask matter.
SLACK = 1e-4

BYTE_MASKS = 128  # whose outcomes fit a byte

Outcomes = tuple[Tensor, Tensor]
Array = npt.NDArray[Any]


def compete(scores: Tensor, mask_logits: Tensor, geometry: MaskGeometry) -> Outcomes:
    """The faster of the two for the device: tiles need the host's decision per tile, which a GPU would wait for.

    Args:
        scores: (N,) weight of each mask, at least one.
        mask_logits: (N, h, w), before sigmoid.
        geometry: how they become output pixels.

    Returns:
        outcome (H, W) uint8 or int32: twice the mask with the largest score x sigmoid (the first of equal ones), and 1
        more where it is sure, its own sigmoid being at least 0.5;
        own_area (N,) int64, pixels of each mask whose sigmoid is at least 0.5, won or not.
    """
    implementation = compete_tiles if mask_logits.device.type == "cpu" else compete_plain
    return implementation(scores.float(), mask_logits.float(), geometry)


def compete_plain(scores: Tensor, mask_logits: Tensor, geometry: MaskGeometry) -> Outcomes:
    """A few masks at a time with a running maximum: the memory does not grow with their number."""
    height, width = geometry.output_hw
    device = mask_logits.device
    best = torch.full((height, width), -1.0, device=device)
    winner = torch.zeros((height, width), dtype=torch.int32, device=device)
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
        winner = torch.where(better, index.int() + start, winner)
        sure = torch.where(better, covers.gather(0, index[None])[0], sure)
    return (winner * 2 + sure).to(outcome_dtype(len(scores))), torch.cat(own_areas)


def compete_tiles(scores: Tensor, mask_logits: Tensor, geometry: MaskGeometry) -> Outcomes:
    """Same contract as `compete_plain`."""
    outcome = torch.empty(geometry.output_hw, dtype=outcome_dtype(len(scores)))
    own_area = torch.zeros(len(scores), dtype=torch.int64)
    lengths = zip(mask_logits.shape[1:], geometry.padded_hw, geometry.resized_hw, geometry.output_hw, strict=True)
    rows, columns = (_tiles(*axis, tile) for axis, tile in zip(lengths, TILE_HW, strict=True))
    for grid in (_Grid(down, across) for down in rows for across in columns):
        own_area += _settle(grid, scores, mask_logits, outcome)
    return outcome, own_area


def outcome_dtype(masks: int) -> torch.dtype:
    """The narrowest type for twice the number of so many masks."""
    return torch.uint8 if masks <= BYTE_MASKS else torch.int32


class _Tiles(NamedTuple):
    """T tiles of one size along one axis, side by side.

    `outputs` are the positions that they fill; each tile mixes the input positions `inputs` (T, n) by `weights`
    (T, size, n).
    """

    outputs: slice
    inputs: Tensor
    weights: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """R x C tiles of one size."""

    rows: _Tiles
    columns: _Tiles

    @property
    def tile_pixels(self) -> int:
        return self.rows.weights.shape[1] * self.columns.weights.shape[1]

    def filled(self, values: Tensor) -> Tensor:
        """(R, C) values -> (R, C, tile height, tile width), in each tile its own."""
        height, width = self.rows.weights.shape[1], self.columns.weights.shape[1]
        return values[..., None, None].expand(*values.shape, height, width).contiguous()

    def write(self, tiles: Tensor, picture: Tensor) -> None:
        """Put (R, C, tile height, tile width) where they belong in (H, W)."""
        part = picture[self.rows.outputs, self.columns.outputs]
        part[:] = tiles.transpose(1, 2).reshape(part.shape)

    def bounds(self, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """(N, h, w) -> twice (R, C, N), what no pixel of a mask in a tile is above, and below."""
        high, low = (self._extremes(mask_logits.numpy(), extreme) for extreme in (np.maximum, np.minimum))
        return torch.from_numpy(high) + SLACK, torch.from_numpy(low) - SLACK

    def _extremes(self, mask_logits: Array, extreme: np.ufunc) -> Array:
        """(N, h, w) -> (R, C, N), the largest or smallest logit that each tile mixes."""
        rows, columns = self.rows.inputs.numpy().T, self.columns.inputs.numpy().T  # by place in the window first
        bands = extreme.reduce(mask_logits[:, rows], axis=1)
        return np.ascontiguousarray(extreme.reduce(bands[..., columns], axis=2).transpose(1, 2, 0))

    def upsample(self, mask_logits: Tensor, mask: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Masks (P,), each in the tile at a row and column (P,) -> (P, tile height, tile width)."""
        y, x = self.rows.inputs[row], self.columns.inputs[column]
        part = mask_logits[mask[:, None, None], y[:, :, None], x[:, None, :]]
        return self.rows.weights[row] @ part @ self.columns.weights[column].mT


def _settle(grid: _Grid, scores: Tensor, mask_logits: Tensor, outcome: Tensor) -> Tensor:
    """Fill the grid's part of the outcome; (N,) int64, the area of each mask in there."""
    high, low = grid.bounds(mask_logits)
    covers_all = low >= 0
    crosses = (high >= 0) & ~covers_all
    matters = crosses | (scores * high.sigmoid() >= (scores * low.sigmoid()).amax(-1, keepdim=True))
    only = matters.int().argmax(-1, keepdim=True)
    settled = (only * 2 + covers_all.gather(-1, only)).squeeze(-1)
    tiles = grid.filled(settled.to(outcome.dtype))
    own_area = covers_all.sum((0, 1)) * grid.tile_pixels

    for row, column in _contested(matters, crosses, grid.tile_pixels):
        tile, mask, sizes = _by_rank(matters[row, column])
        values = grid.upsample(mask_logits, mask, row[tile], column[tile]).sigmoid_()
        covers = torch.from_numpy(values.numpy() >= 0.5).view(torch.uint8)
        area = covers.flatten(1).sum(1, dtype=torch.int32)
        own_area.index_add_(0, mask, (area * crosses[row[tile], column[tile], mask]).long())
        values *= scores[mask, None, None]
        outcomes = covers + (mask * 2).to(outcome.dtype)[:, None, None]
        tiles.numpy()[row.numpy(), column.numpy()] = _best(values.numpy(), outcomes.numpy(), sizes)
    grid.write(tiles, outcome)
    return own_area


def _contested(matters: Tensor, crosses: Tensor, tile_pixels: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and columns of the tiles that bounds do not settle, those with most masks first, in chunks."""
    counts = matters.sum(-1)
    tiles = torch.nonzero((counts > 1) | crosses.any(-1))
    tiles = tiles[counts[tiles.unbind(1)].argsort(descending=True, stable=True)]
    step = max(1, CPU_CHUNK_PIXELS // (tile_pixels * int(counts.max())))
    for start in range(0, len(tiles), step):
        row, column = tiles[start : start + step].unbind(1)
        yield row, column


def _by_rank(matters: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """(T, N) bool, rows with many members first -> tile and mask of each member, and how many have each rank.

    The first members of all tiles come first, then the second ones, and so on: those of one rank belong to the tiles
    from the first on.
    """
    tile, mask = matters.nonzero(as_tuple=True)
    rank = (matters.cumsum(1) - 1)[tile, mask]
    order = rank.argsort(stable=True)
    return tile[order], mask[order], rank.bincount().tolist()


def _best(values: Array, outcomes: Array, sizes: list[int]) -> Array:
    """Members as `_by_rank` orders them, (P, h, w) values and outcomes -> (T, h, w), the outcome of the largest value.

    Of equal ones the first counts. A tile's members come in ascending order, and so do their outcomes: who takes a
    pixel over has the larger one, whatever stood there: a maximum does what a choice would, at a fraction of its cost.
    Both arguments are used up.
    """
    start = sizes[0]
    highest, best = values[:start], outcomes[:start]
    for size in sizes[1:]:
        members = slice(start, start + size)
        better = values[members] > highest[:size]
        np.maximum(highest[:size], values[members], out=highest[:size])
        outcomes[members] *= better.view(np.uint8)
        np.maximum(best[:size], outcomes[members], out=best[:size])
        start += size
    return best


@lru_cache(maxsize=32)
def _tiles(length: int, padded: int, resized: int, output: int, size: int) -> tuple[_Tiles, ...]:
    """One axis in tiles of `size`, or of a little less where that leaves nothing over; else the last one is smaller."""
    with torch.inference_mode(False), torch.no_grad():
        weights = _interpolation(length, padded, resized, output)
        size = next((fitting for fitting in range(size, size // 2, -1) if output % fitting == 0), size)
        whole = output - output % size
        parts = [(0, whole, size), (whole, output, output - whole)]
        return tuple(_tiles_of(weights, start, stop, each) for start, stop, each in parts if start < stop)


def _tiles_of(weights: Tensor, start: int, stop: int, size: int) -> _Tiles:
    """Tiles from `start` to `stop`; they take equally many inputs, so that they fit in one batch."""
    tiled = weights[start:stop].unflatten(0, (-1, size))
    used = tiled.any(1)
    first, last = used.int().argmax(1), used.shape[1] - 1 - used.flip(1).int().argmax(1)
    window = int((last - first).max()) + 1
    inputs = first.clamp(max=used.shape[1] - window)[:, None] + torch.arange(window)
    return _Tiles(slice(start, stop), inputs, tiled.gather(2, inputs[:, None].expand(-1, size, -1)))


def _interpolation(length: int, padded: int, resized: int, output: int) -> Tensor:
    """(output, length) weights of the published upsampling along one axis.

    Upsample, crop, resize again: all linear, and the same for every row and column, so the chain is one matrix. It is
    read off by sending unit vectors through the operations themselves.
    """
    unit = torch.eye(length)[None]
    weights = F.interpolate(unit, size=padded, mode="linear", align_corners=False)[..., :resized]
    if resized != output:
        weights = F.interpolate(weights, size=output, mode="linear", align_corners=False)
    return weights[0].T.contiguous()

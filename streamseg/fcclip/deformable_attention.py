"""Multi-scale deformable attention (Zhu et al., "Deformable DETR", ICLR 2021, equation 3).

Each query looks at a few points per level, around its own place, at offsets that it predicts itself. Two ways to sum
the samples stand side by side with the same signature: `sample_plain` is the formula, read off the paper with
`grid_sample`; `sample_bags` is the same sum as an embedding bag, 5-10 times faster on a CPU, where `grid_sample` spends
its time on copies. `tests/fcclip/test_deformable_attention.py` holds them against each other.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .position import constant_in_graphs

__all__ = ["MultiScaleDeformableAttention", "reference_points", "sample_bags", "sample_plain"]

Sampler = Callable[[Tensor, Tensor, Tensor, Sequence[tuple[int, int]]], Tensor]


def reference_points(shapes: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
    """Centre of every cell of every level: (sum of H*W, 2) as x, y in (0, 1), levels in the given order."""
    points = []
    for height, width in shapes:
        y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) / height
        x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) / width
        points.append(torch.stack((x.repeat(height), y.repeat_interleave(width)), dim=-1))
    return torch.cat(points)


def sample_plain(value: Tensor, locations: Tensor, weights: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
    """Weighted sum of bilinear samples, as written in the paper.

    Args:
        value: (B, S, M, D) for S = sum of H*W over the levels, M heads of D channels.
        locations: (B, S, M, L, P, 2), x and y in pixels of level L, where 0 is the centre of the first pixel.
        weights: (B, S, M, L, P), summing to 1 over (L, P).
        shapes: (height, width) of the L levels.

    Returns:
        (B, S, M*D). Samples outside of a level count as zero.
    """
    batch, length, heads, dim = value.shape
    total = locations.new_zeros(batch * heads, dim, length)
    levels = value.split([height * width for height, width in shapes], dim=1)
    for level, (height, width) in enumerate(shapes):
        # In the coordinates' type: rounded to bfloat16 with the values, they would miss by a pixel in wide pictures.
        image = levels[level].permute(0, 2, 3, 1).reshape(batch * heads, dim, height, width).to(locations.dtype)
        size = _size_xy(height, width, locations.dtype, locations.device)
        grid = (2 * locations[:, :, :, level] + 1) / size - 1  # pixels to grid_sample's [-1, 1], align_corners=False
        grid = grid.transpose(1, 2).flatten(0, 1)
        samples = F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        weight = weights[:, :, :, level].transpose(1, 2).reshape(batch * heads, 1, length, -1)
        total = total + (samples * weight).sum(-1)
    return total.reshape(batch, heads * dim, length).transpose(1, 2).to(value.dtype)


@constant_in_graphs
@lru_cache(maxsize=256)
def _size_xy(height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(2,), width and height. Kept, because a GPU waits for each number that comes from the host. Read-only."""
    with torch.inference_mode(False):
        return torch.tensor((width, height), dtype=dtype, device=device)


def sample_bags(value: Tensor, locations: Tensor, weights: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
    """Same contract as `sample_plain`; the four corners of all samples of a query and head become one embedding bag."""
    batch, length, heads, dim = value.shape
    device = value.device
    size = torch.tensor([(width, height) for height, width in shapes], device=device, dtype=locations.dtype)
    starts = [0]
    for height, width in shapes[:-1]:
        starts.append(starts[-1] + height * width)
    widths, heights = size[:, None, 0], size[:, None, 1]
    start = torch.tensor(starts, device=device, dtype=locations.dtype)[:, None]

    x, y = locations.unbind(-1)  # (B, S, M, L, P)
    left, top = x.floor(), y.floor()
    right_weight, bottom_weight = x - left, y - top
    rows = []
    corner_weights = []
    for row, row_weight in ((top, 1 - bottom_weight), (top + 1, bottom_weight)):
        row_weight = weights * row_weight * ((row >= 0) & (row < heights))
        row_start = start + row.clamp(min=0).minimum(heights - 1) * widths
        for column, column_weight in ((left, 1 - right_weight), (left + 1, right_weight)):
            corner_weights.append(row_weight * column_weight * ((column >= 0) & (column < widths)))
            rows.append(row_start + column.clamp(min=0).minimum(widths - 1))
    # Row of the table = (image * S + cell) * M + head. float32 counts exactly up to 2^24 cells; the rest is integer.
    cell = torch.stack(rows, dim=-1).to(torch.int64)
    head = torch.arange(heads, device=device)
    image = torch.arange(batch, device=device)[:, None, None] * (length * heads)
    index = cell * heads + (image + head)[..., None, None, None]
    bags = F.embedding_bag(
        index.reshape(batch * length * heads, -1),
        value.reshape(batch * length * heads, dim),
        mode="sum",
        per_sample_weights=torch.stack(corner_weights, dim=-1).reshape(batch * length * heads, -1).to(value.dtype),
    )
    return bags.reshape(batch, length, heads * dim)


class MultiScaleDeformableAttention(nn.Module):
    """One deformable attention layer over the concatenated cells of all levels, attending to themselves."""

    def __init__(self, dim: int, num_levels: int, num_heads: int, num_points: int) -> None:
        super().__init__()
        self.num_levels = num_levels
        self.num_heads = num_heads
        self.num_points = num_points
        self.sampling_offsets = nn.Linear(dim, num_heads * num_levels * num_points * 2)
        self.attention_weights = nn.Linear(dim, num_heads * num_levels * num_points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)
        self.sampler: Sampler | None = None  # None: the faster one for the device

    def forward(self, x: Tensor, position: Tensor, centres: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
        """Attend.

        Args:
            x: (B, S, C) cells of all levels.
            position: (1, S, C), added to make the queries.
            centres: (S, L, 2), each cell's own place in pixels of every level (x, y; 0 = centre of the first pixel).
            shapes: (height, width) of the L levels.

        Returns:
            (B, S, C), before the residual sum.
        """
        batch, length, _ = x.shape
        query = x + position
        value = self.value_proj(x).reshape(batch, length, self.num_heads, -1)
        # Offsets are predicted in pixels of the level that they point into (equation 3: phi(p) + dp). Coordinates stay
        # in float32: bfloat16 has no room for a fraction beyond pixel 128.
        offsets = self.sampling_offsets(query).float()
        locations = centres[:, None, :, None] + offsets.reshape(
            batch, length, self.num_heads, self.num_levels, self.num_points, 2
        )
        weights = self.attention_weights(query).float().reshape(batch, length, self.num_heads, -1).softmax(-1)
        weights = weights.reshape(batch, length, self.num_heads, self.num_levels, self.num_points)
        sampler = self.sampler or (sample_bags if self._bags_pay(x) else sample_plain)
        attended: Tensor = self.output_proj(sampler(value, locations, weights, shapes).to(x.dtype))
        return attended

    @staticmethod
    def _bags_pay(x: Tensor) -> bool:
        return x.device.type == "cpu" and not torch.is_grad_enabled()

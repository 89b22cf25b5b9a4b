"""The same world, rendered in batches with torch: for training on a GPU that would otherwise wait for the CPU.

Takes the same moments as the CPU renderer and paints them by the same rules, layer by layer over the whole batch at
once. Sampling is torch's, so pictures differ from the CPU's by rounding along edges; scores always use the CPU's.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .device_effects import apply_effects
from .layout import inside
from .names import Composition
from .snapshot import Snapshot, Sprite, stuff_id
from .sprites import render_sprite
from .textures import TILE, texture_level

__all__ = ["render_batch"]

SPRITE_SIZE = 96  # pixels; four samples a pixel keep small things smooth
SUBPIXELS = 2


@torch.no_grad()
def render_batch(
    snapshots: Sequence[Snapshot], size_hw: tuple[int, int], device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Pictures and identities of B moments.

    Args:
        snapshots: B of them.
        size_hw: height and width in pixels.
        device: where to paint.

    Returns:
        (B, 3, H, W) uint8 RGB, and (B, H, W) int32 ids, 0 for void.
    """
    device = torch.device(device)
    matrices = torch.tensor(
        np.stack([_to_world(snapshot, size_hw) for snapshot in snapshots]), dtype=torch.float32, device=device
    )
    rgb, ids = _paint_stuff(snapshots, size_hw, matrices)
    for layer in range(max((len(snapshot.sprites) for snapshot in snapshots), default=0)):
        _paint_layer(rgb, ids, snapshots, layer, size_hw)
    return apply_effects(rgb, [snapshot.effects for snapshot in snapshots]), ids


def _to_world(snapshot: Snapshot, size_hw: tuple[int, int]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    matrix = snapshot.camera.to_pixels(size_hw)
    inverse = np.linalg.inv(matrix[:, :2])
    return np.column_stack((inverse, -inverse @ matrix[:, 2]))


def _pixel_middles(size_hw: tuple[int, int], device: torch.device, subpixels: int = 1) -> tuple[Tensor, Tensor]:
    """x (1, w) and y (h, 1) of every pixel's, or sub-pixel's, middle."""
    y, x = ((torch.arange(side * subpixels, device=device) + 0.5) / subpixels for side in size_hw)
    return x[None], y[:, None]


def _paint_stuff(snapshots: Sequence[Snapshot], size_hw: tuple[int, int], matrices: Tensor) -> tuple[Tensor, Tensor]:
    device = matrices.device
    x, y = _pixel_middles(size_hw, device)
    rgb = torch.zeros(len(snapshots), 3, *size_hw, device=device)
    ids = torch.zeros(len(snapshots), *size_hw, dtype=torch.int32, device=device)
    for row, snapshot in enumerate(snapshots):
        pixels_per_unit = snapshot.camera.zoom * size_hw[0]
        matrix = matrices[row]
        world_x = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
        world_y = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
        for region in snapshot.regions:
            a, b = math.cos(region.turn) / region.scale, math.sin(region.turn) / region.scale
            # The same level of detail as the CPU's.
            level = max(0, min(5, round(math.log2(TILE / (region.scale * pixels_per_unit)))))
            tile = _texture(region.stuff, region.variant, level, device)
            surface = _wrapped(tile, a * world_x - b * world_y, b * world_x + a * world_y)
            here = inside(region.edge, world_x, world_y, torch) > 0
            rgb[row] = torch.where(here, surface, rgb[row])
            ids[row] = torch.where(here, stuff_id(region.stuff), ids[row])
    return rgb, ids


def _wrapped(tile: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A texture (3, T + 1, T + 1) at positions in tiles, which go round: (3, H, W)."""
    half = 0.5 / (tile.shape[-1] - 1)  # of a texel: positions count from a corner, samples from a texel's middle
    x, y = x - half, y - half
    grid = torch.stack((x - x.floor(), y - y.floor()), dim=-1) * 2 - 1
    return F.grid_sample(tile[None], grid[None], mode="bilinear", align_corners=True)[0]


@lru_cache(maxsize=256)
def _texture(stuff: str, variant: int, level: int, device: torch.device) -> Tensor:
    """(3, T + 1, T + 1) float: the last row and column repeat the first, so that going round leaves no seam."""
    tile = torch.from_numpy(texture_level(stuff, variant, level).copy()).permute(2, 0, 1).float()
    return F.pad(tile[None], (0, 1, 0, 1), mode="circular")[0].to(device)


def _paint_layer(rgb: Tensor, ids: Tensor, snapshots: Sequence[Snapshot], layer: int, size_hw: tuple[int, int]) -> None:
    """The things that are number `layer` in their pictures' lists, over what is there."""
    rows = [row for row, snapshot in enumerate(snapshots) if layer < len(snapshot.sprites)]
    sprites = [snapshots[row].sprites[layer] for row in rows]
    device = rgb.device
    to_sprite = np.stack([_to_sprite(snapshots[row], snapshots[row].sprites[layer], size_hw) for row in rows])
    matrices = torch.tensor(to_sprite, dtype=torch.float32, device=device)
    pictures = torch.stack([_sprite(sprite.composition, sprite.variant, device) for sprite in sprites])
    light = torch.tensor([sprite.light for sprite in sprites], device=device)[:, None, None, None]
    numbers = torch.tensor([sprite.id for sprite in sprites], dtype=torch.int32, device=device)[:, None, None]

    x, y = _pixel_middles(size_hw, device, SUBPIXELS)
    a = matrices[:, :, :, None, None]
    grid = torch.stack([a[:, axis, 0] * x + a[:, axis, 1] * y + a[:, axis, 2] for axis in (0, 1)], dim=-1) * 2 - 1
    painted = F.avg_pool2d(F.grid_sample(pictures, grid, mode="bilinear", align_corners=False), SUBPIXELS)
    color, alpha = painted[:, :3] * light, painted[:, 3:]
    index = torch.tensor(rows, device=device)
    rgb[index] = (rgb[index] * (1 - alpha) + color).clamp(0, 255)
    ids[index] = torch.where(alpha[:, 0] >= 0.5, numbers, ids[index])


def _to_sprite(
    snapshot: Snapshot, sprite: Sprite, size_hw: tuple[int, int]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(2, 3) from pixels to the sprite's unit square."""
    to_pixels, to_world = snapshot.camera.to_pixels(size_hw), sprite.pose.to_world()
    linear = np.linalg.inv(to_pixels[:, :2] @ to_world[:, :2])
    offset = to_pixels[:, :2] @ to_world[:, 2] + to_pixels[:, 2]
    return np.column_stack((linear, -linear @ offset))


@lru_cache(maxsize=8192)
def _sprite(composition: Composition, variant: int, device: torch.device) -> Tensor:
    """(4, S, S) float: colour times alpha on the 0..255 scale, and alpha on 0..1."""
    picture = torch.from_numpy(render_sprite(composition, size=SPRITE_SIZE, variant=variant)).permute(2, 0, 1).float()
    alpha = picture[3:] / 255
    return torch.cat((picture[:3] * alpha, alpha)).to(device)

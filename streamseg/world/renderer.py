"""A moment of the world as pixels and exact ground truth, with numpy and OpenCV.

Things are painted from back to front; a pixel belongs to the last one that covers at least half of it. Light, blur,
noise and compression change the picture only, never the truth.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from .cache import PictureCache
from .effects import apply_effects
from .layout import grid, inside
from .names import Composition
from .snapshot import Snapshot, Sprite, WorldSegment, stuff_id
from .sprites import render_sprite
from .textures import TILE, texture_level

__all__ = ["RenderedWorld", "render"]

SPRITE_SIZES = (40, 80, 160, 320, 640)  # sides in pixels; the smallest that is large enough is scaled down
OPAQUE = 128  # alpha from which a pixel counts as covered
SPRITE_CACHE_BYTES = 2 * 2**30  # drawing a sprite takes much longer than placing it

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RenderedWorld:
    """A picture and its truth.

    Attributes:
        rgb: (H, W, 3) uint8.
        ids: (H, W) int32, the segment of every pixel; 0 is void.
        segments: those with at least one visible pixel, by id.
    """

    rgb: NDArray[np.uint8]
    ids: NDArray[np.int32]
    segments: tuple[WorldSegment, ...]


def render(snapshot: Snapshot, size_hw: tuple[int, int]) -> RenderedWorld:
    """The picture of a moment, at a size in pixels (height, width)."""
    to_pixels = snapshot.camera.to_pixels(size_hw)
    rgb, ids = _paint_stuff(snapshot, size_hw, to_pixels)
    whole_areas: dict[int, float] = {}
    for sprite in snapshot.sprites:
        whole_areas[sprite.id] = whole_areas.get(sprite.id, 0.0) + _paint_sprite(rgb, ids, sprite, to_pixels)
    segments = _segments(snapshot, ids, whole_areas)
    return RenderedWorld(apply_effects(rgb, snapshot.effects), ids, segments)


def _paint_stuff(
    snapshot: Snapshot, size_hw: tuple[int, int], to_pixels: Matrix
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    to_world = cv2.invertAffineTransform(to_pixels).astype(np.float64)
    x, y = grid(size_hw, to_world)
    rgb = np.zeros((*size_hw, 3), np.uint8)
    ids = np.zeros(size_hw, np.int32)
    for region in snapshot.regions:
        pixels_per_unit = math.hypot(to_pixels[0, 0], to_pixels[1, 0])
        level = max(0, min(5, round(math.log2(TILE / (region.scale * pixels_per_unit)))))
        tile = texture_level(region.stuff, region.variant, level)
        surface = _warp(tile, _texture_matrix(region.turn, tile.shape[0] / region.scale, to_world), size_hw)
        if region.edge.kind == "everywhere":
            rgb, ids[:] = surface, stuff_id(region.stuff)
            continue
        here = inside(region.edge, x, y) > 0
        np.copyto(rgb, surface, where=here[..., None])
        ids[here] = stuff_id(region.stuff)
    return rgb, ids


def _texture_matrix(turn: float, scale: float, to_world: Matrix) -> Matrix:
    """(2, 3) from a frame's pixel indices to a texture's."""
    a, b = scale * math.cos(turn), scale * math.sin(turn)
    linear = np.array([[a, -b], [b, a]]) @ to_world[:, :2]
    offset = np.array([[a, -b], [b, a]]) @ to_world[:, 2]
    return np.column_stack((linear, offset + linear @ (0.5, 0.5) - 0.5))


def _warp(tile: NDArray[np.uint8], matrix: Matrix, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(tile, matrix, (size_hw[1], size_hw[0]), flags=flags, borderMode=cv2.BORDER_WRAP)
    return warped.astype(np.uint8, copy=False)


def _paint_sprite(rgb: NDArray[np.uint8], ids: NDArray[np.int32], sprite: Sprite, to_pixels: Matrix) -> float:
    """Paint one thing; returns its whole area in pixels, what lies outside the frame included."""
    to_world = sprite.pose.to_world()
    linear = to_pixels[:, :2] @ to_world[:, :2]
    offset = to_pixels[:, :2] @ to_world[:, 2] + to_pixels[:, 2]
    side_pixels = math.sqrt(abs(float(np.linalg.det(linear))))
    picture = _sprite_picture(sprite.composition, sprite.variant, _sprite_size(side_pixels))
    whole_area = _opaque_share(sprite.composition, sprite.variant) * side_pixels**2

    corners = linear @ np.array([[0, 1, 0, 1], [0, 0, 1, 1]]) + offset[:, None]
    left, top = np.maximum(np.floor(corners.min(1)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(corners.max(1)).astype(int), (ids.shape[1], ids.shape[0]))
    if left >= right or top >= bottom:
        return whole_area
    # From pixel indices of the window to those of the sprite; both count middles of pixels.
    back = np.linalg.inv(linear) * picture.shape[0]
    shift = back @ (np.array([left, top]) + 0.5 - offset) - 0.5
    window = cv2.warpAffine(
        picture,
        np.column_stack((back, shift)),
        (int(right - left), int(bottom - top)),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    alpha = window[..., 3:].astype(np.float32) * np.float32(1 / 255)
    behind = rgb[top:bottom, left:right]
    ahead = window[..., :3].astype(np.float32) * np.float32(sprite.light)
    behind[:] = np.clip(behind * (1 - alpha) + ahead, 0, 255).astype(np.uint8)
    ids[top:bottom, left:right][window[..., 3] >= OPAQUE] = sprite.id
    return whole_area


def _sprite_size(side_pixels: float) -> int:
    return next((size for size in SPRITE_SIZES if size >= side_pixels), SPRITE_SIZES[-1])


_sprites = PictureCache(SPRITE_CACHE_BYTES)


def _sprite_picture(composition: Composition, variant: int, size: int) -> NDArray[np.uint8]:
    """(size, size, 4) RGBA with colour already multiplied by alpha, so that interpolation does not bleed."""
    return _sprites.get((composition, variant, size), lambda: _premultiplied(composition, variant, size))


def _premultiplied(composition: Composition, variant: int, size: int) -> NDArray[np.uint8]:
    picture = render_sprite(composition, size=size, variant=variant)
    alpha = picture[..., 3:].astype(np.uint16)
    return np.concatenate(((picture[..., :3] * alpha + 127) // 255, alpha), axis=2).astype(np.uint8)


@lru_cache(maxsize=4096)
def _opaque_share(composition: Composition, variant: int) -> float:
    """Share of the sprite's square that it covers."""
    picture = _sprite_picture(composition, variant, SPRITE_SIZES[1])
    return float((picture[..., 3] >= OPAQUE).mean())


def _segments(snapshot: Snapshot, ids: NDArray[np.int32], whole_areas: dict[int, float]) -> tuple[WorldSegment, ...]:
    things = {sprite.id: sprite for sprite in snapshot.sprites}
    names = {stuff_id(region.stuff): region.stuff for region in snapshot.regions}
    segments = []
    for id_, area in zip(*np.unique(ids, return_counts=True), strict=True):
        if id_ == 0:
            continue
        if id_ in names:
            segments.append(WorldSegment(int(id_), names[int(id_)], False, False, int(area), 1.0))
            continue
        sprite = things[int(id_)]
        visibility = min(1.0, int(area) / max(1.0, whole_areas[int(id_)]))
        kind = sprite.composition
        segments.append(WorldSegment(int(id_), kind.shape, True, sprite.iscrowd, int(area), visibility, kind))
    return tuple(segments)

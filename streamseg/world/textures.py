"""Surfaces of the world's stuff: one small picture for each, made of noise and lines, that repeats without a seam."""

from collections.abc import Callable
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from .names import STUFF
from .seeds import generator

__all__ = ["TEXTURE_VARIANTS", "TILE", "texture", "texture_level"]

TILE = 512  # pixels of a texture's side
RIDGES = 8  # of hills, in one tile
PEBBLES, PEBBLE_RIM = 900, 60  # of gravel in one tile, and how far one may reach, in pixels
TEXTURE_VARIANTS = 6  # kinds of each surface: other colours, other noise

Image = NDArray[np.float32]


@cache
def texture(stuff: str, variant: int) -> NDArray[np.uint8]:
    """(TILE, TILE, 3) uint8 RGB, read-only; opposite edges fit together.

    Args:
        stuff: a name out of `names.STUFF`.
        variant: which kind, from 0; numbers beyond `TEXTURE_VARIANTS` come round again.

    Raises:
        ConfigError: there is no such stuff.
    """
    if stuff not in _PAINTERS:
        raise ConfigError(f"unknown stuff {stuff!r}, expected one of {', '.join(entry.name for entry in STUFF)}")
    rng = generator("texture", stuff, variant % TEXTURE_VARIANTS)
    painted = _PAINTERS[stuff](rng).clip(0, 255).astype(np.uint8)
    painted.flags.writeable = False
    return painted


@lru_cache(maxsize=256)
def texture_level(stuff: str, variant: int, level: int) -> NDArray[np.uint8]:
    """The texture at half the size, `level` times over: what is seen from afar must not flicker."""
    if level == 0:
        return texture(stuff, variant)
    larger = texture_level(stuff, variant, level - 1)
    side = larger.shape[0] // 2
    return cv2.resize(larger, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _noise(rng: np.random.Generator, roughness: float, stretch: tuple[float, float] = (1.0, 1.0)) -> Image:
    """(TILE, TILE) noise of mean 0 and deviation 1 that repeats; its power falls with frequency to the -roughness.

    Args:
        rng: where it comes from.
        roughness: 0 is white noise, 2 is like clouds.
        stretch: how much longer its features are along (rows, columns).
    """
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE)))
    rows = np.fft.fftfreq(TILE)[:, None] * stretch[0]
    columns = np.fft.rfftfreq(TILE)[None] * stretch[1]
    frequency = np.sqrt(rows**2 + columns**2)
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(spectrum * frequency**-roughness, s=(TILE, TILE))
    return np.asarray(field / field.std(), np.float32)


def _tinted(rng: np.random.Generator, rgb: tuple[float, float, float], jitter: float = 10) -> Image:
    """A base colour, a little different in each variant: (3,)."""
    return np.asarray(rgb, np.float32) + rng.uniform(-jitter, jitter, 3).astype(np.float32)


def _shaded(base: Image, *layers: tuple[Image, tuple[float, float, float]]) -> Image:
    """Base colour plus noise fields, each along its own direction in RGB."""
    picture = np.broadcast_to(base, (TILE, TILE, 3)).astype(np.float32)
    for field, direction in layers:
        picture = picture + field[..., None] * np.asarray(direction, np.float32)
    return picture


def _sky(rng: np.random.Generator) -> Image:
    clouds = np.clip(_noise(rng, 1.9, (1.0, 2.2)) - 0.3, 0, 2)[..., None] / 2
    blue = _tinted(rng, (112, 170, 228), 14)
    return np.asarray(blue * (1 - clouds) + clouds * np.float32(250))


def _grass(rng: np.random.Generator) -> Image:
    blades = _noise(rng, 0.6, (3.0, 0.6))
    return _shaded(_tinted(rng, (82, 140, 52)), (blades, (14, 20, 10)), (_noise(rng, 1.6), (10, 10, 2)))


def _water(rng: np.random.Generator) -> Image:
    waves = np.sin(6 * _noise(rng, 1.6, (0.35, 2.4)))
    return _shaded(_tinted(rng, (30, 94, 138)), (waves, (16, 26, 28)), (_noise(rng, 1.8), (4, 8, 10)))


def _sand(rng: np.random.Generator) -> Image:
    ripples = np.sin(4 * _noise(rng, 1.9, (0.5, 2.0)))
    return _shaded(_tinted(rng, (218, 190, 134)), (ripples, (7, 7, 6)), (_noise(rng, 0.1), (7, 7, 7)))


def _snow(rng: np.random.Generator) -> Image:
    return _shaded(_tinted(rng, (232, 238, 246), 5), (_noise(rng, 1.9), (7, 6, 4)), (_noise(rng, 0.3), (3, 3, 3)))


def _soil(rng: np.random.Generator) -> Image:
    clods = _noise(rng, 1.0)
    return _shaded(_tinted(rng, (92, 62, 40), 8), (clods, (15, 12, 9)), (_noise(rng, 0.2), (6, 5, 4)))


def _road(rng: np.random.Generator) -> Image:
    picture = _shaded(_tinted(rng, (78, 78, 82), 8), (_noise(rng, 0.2), (7, 7, 7)), (_noise(rng, 1.7), (5, 5, 5)))
    dash = np.zeros((TILE, TILE), np.float32)
    lane = int(rng.integers(TILE))
    for row in range(lane, lane + 14):
        dash[row % TILE, : TILE // 2] = 1
    return picture * (1 - dash[..., None]) + dash[..., None] * np.float32(215)


def _hills(rng: np.random.Generator) -> Image:
    """Ridge behind ridge, paler with distance."""
    columns = np.arange(TILE, dtype=np.float32) * np.float32(2 * np.pi / TILE)
    rows = np.arange(TILE, dtype=np.float32)[:, None]
    base = _tinted(rng, (70, 96, 88), 10)
    picture = np.broadcast_to(base + 46, (TILE, TILE, 3)).astype(np.float32).copy()
    waves, phases = rng.integers(2, 7, (RIDGES, 3)), rng.uniform(0, 2 * np.pi, (RIDGES, 3))
    for place in range(-2, RIDGES + 1):  # ridges wave over the edges, so some come twice
        ridge = place % RIDGES
        height = sum(np.sin(w * columns + p) for w, p in zip(waves[ridge], phases[ridge], strict=True)) * 14
        picture[rows > (place + 0.5) * TILE / RIDGES + height[None]] = base + (RIDGES - ridge) * 5 * np.float32(
            1 if ridge % 2 else 1.25
        )
    return picture + _noise(rng, 0.9)[..., None] * 5


def _gravel(rng: np.random.Generator) -> Image:
    """Pebbles: cells around random points, dark between them."""
    points = rng.integers(0, TILE, (PEBBLES, 2))
    tile = np.zeros((TILE, TILE), np.int64)  # 1 + the number of the point that lies there
    tile[points[:, 1], points[:, 0]] = np.arange(1, PEBBLES + 1)
    numbers = np.pad(tile, PEBBLE_RIM, mode="wrap")  # pebbles reach over the edges
    distance, labels = cv2.distanceTransformWithLabels(
        (numbers == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    points_of_labels = np.zeros(int(labels.max()) + 1, np.int64)
    points_of_labels[labels[numbers > 0]] = numbers[numbers > 0]
    inner = slice(PEBBLE_RIM, -PEBBLE_RIM)
    tones = rng.uniform(-32, 32, PEBBLES + 1).astype(np.float32)
    shade = tones[points_of_labels[labels[inner, inner]]] - np.clip(distance[inner, inner] - 5, 0, 9) * 8
    return np.asarray(_tinted(rng, (152, 146, 138), 8) + shade[..., None] + _noise(rng, 0.2)[..., None] * 4)


def _bricks(rng: np.random.Generator) -> Image:
    return _blocks(rng, _tinted(rng, (158, 72, 54)), mortar=(196, 188, 178), rows=16, columns=8, gap=5, tones=16)


def _tiles(rng: np.random.Generator) -> Image:
    base = _tinted(rng, (190, 176, 196), 12)
    picture = _blocks(rng, base, mortar=(112, 104, 116), rows=8, columns=8, gap=4, tones=4, bond=False)
    squares = (np.indices((8, 8)).sum(0) % 2).repeat(TILE // 8, 0).repeat(TILE // 8, 1)
    return np.asarray(picture - squares[..., None] * np.float32(46))


def _planks(rng: np.random.Generator) -> Image:
    base = _tinted(rng, (176, 126, 76), 10)
    grain = _noise(rng, 1.1, (0.25, 4.0))
    boards = _blocks(rng, base, mortar=(86, 56, 32), rows=8, columns=2, gap=4, tones=20)
    return boards + grain[..., None] * np.asarray((11, 9, 6), np.float32)


def _blocks(
    rng: np.random.Generator,
    base: Image,
    *,
    mortar: tuple[float, float, float],
    rows: int,
    columns: int,
    gap: int,
    tones: float,
    bond: bool = True,
) -> Image:
    """Rows of blocks with mortar between them; every second row is shifted by half a block where `bond`."""
    picture = np.broadcast_to(np.asarray(mortar, np.float32), (TILE, TILE, 3)).copy()
    height, width = TILE // rows, TILE // columns
    for row in range(rows):
        band = np.broadcast_to(np.asarray(mortar, np.float32), (height, TILE, 3)).copy()
        for column in range(columns):
            left = column * width
            band[gap:, left + gap : left + width] = base + np.float32(rng.uniform(-tones, tones))
        shift = width // 2 if bond and row % 2 else 0
        picture[row * height : (row + 1) * height] = np.roll(band, shift, axis=1)
    return picture + _noise(rng, 0.5)[..., None] * np.float32(5)


_PAINTERS: dict[str, Callable[[np.random.Generator], Image]] = {
    "sky": _sky,
    "grass": _grass,
    "water": _water,
    "sand": _sand,
    "brick wall": _bricks,
    "road": _road,
    "snow": _snow,
    "wooden floor": _planks,
    "gravel": _gravel,
    "hills": _hills,
    "tiled floor": _tiles,
    "soil": _soil,
}

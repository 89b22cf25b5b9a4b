"""Drawings become small pictures: rasterised, coloured, patterned, shaded, with an outline around every part.

A sprite is a pure function of what it shows, its size and its variant. The variant draws, from random numbers of its
own, the small differences between two red cars (a little lighter, lit from another side, other stripes), never their
names.
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from .names import PATTERNS, Composition
from .palette import DARK, GLASS, METAL, PALETTE, WHITE, Tones, tones_of
from .patterns import pattern_mask
from .seeds import generator
from .shapes import Drawing, Role, drawing

__all__ = ["INKS", "render_sprite", "role_map", "sprite_mask"]

Image = npt.NDArray[np.uint8]

# The values of a role map. A hole is as empty as what lies around the drawing.
INKS = ("hole", "body", "shade", "light", "dark", "glass", "metal", "white", "line", "contrast")
INK = {name: value for value, name in enumerate(INKS)}

OVERSAMPLING = 3
LARGE = 160  # sprites beyond this many pixels make do with less oversampling
LINE_WIDTH = 1 / 95  # of the sprite's size
SUBPIXEL_BITS = 4  # of the coordinates that OpenCV gets
SMALLEST = 32  # pixels; below, outlines and patterns are lost
LIGHT_RANGE = (0.86, 1.1)  # brightness at the far side and at the lit side
LIT_FROM = (-60.0, 60.0)  # degrees around straight above


def render_sprite(composition: Composition, *, size: int = 160, variant: int = 0) -> Image:
    """A picture of one thing.

    Args:
        composition: shape, colour and pattern, by their names.
        size: of the square picture, in pixels, at least 32; the thing spans nine tenths of it.
        variant: at least 0; each has its own small differences of colour, light and pattern.

    Returns:
        (size, size, 4) uint8 RGBA, straight alpha, antialiased; colours of empty pixels are 0.

    Raises:
        ConfigError: an unknown name, a size too small, a negative variant.
    """
    _check(composition, size, variant)
    rng = generator("sprite", composition.shape, composition.color, composition.pattern, variant)
    tones = tones_of(composition.color, rng)
    light = _light(size, rng)
    fine = size * (OVERSAMPLING if size <= LARGE else OVERSAMPLING - 1)
    inks = role_map(composition.shape, fine)
    pattern = pattern_mask(composition.pattern, fine, rng)
    inks = np.where(pattern & (inks == INK["body"]), np.uint8(INK["contrast"]), inks)
    return _painted(inks, tones, light)


def sprite_mask(rgba: Image) -> npt.NDArray[np.bool_]:
    """(H, W) bool: where a picture (H, W, 4) is more opaque than not."""
    return rgba[..., 3] >= 128


@lru_cache(maxsize=68)  # two sizes of every shape
def role_map(shape: str, size: int) -> Image:
    """(size, size) uint8, read-only: for every pixel, the index in `INKS` of what the drawing puts there."""
    canvas = np.zeros((size, size), np.uint8)
    width = max(2, round(2 * LINE_WIDTH * size))  # the inner half is painted over
    for role, outlines in _runs(drawing(shape), size):
        _draw_line(canvas, role, outlines, width)
        for outline in outlines:
            cv2.fillPoly(canvas, [outline], INK[role], shift=SUBPIXEL_BITS)
    canvas.setflags(write=False)
    return canvas


def _runs(parts: Drawing, size: int) -> list[tuple[Role, list[npt.NDArray[np.int32]]]]:
    """Neighbouring parts of one role together, their outlines in OpenCV's fixed-point pixels."""
    runs: list[tuple[Role, list[npt.NDArray[np.int32]]]] = []
    for part in parts:
        if not runs or runs[-1][0] != part.role:
            runs.append((part.role, []))
        pixels = (part.outline * size - 0.5) * 2**SUBPIXEL_BITS
        runs[-1][1].append(np.rint(pixels).astype(np.int32))
    return runs


def _draw_line(canvas: Image, role: Role, outlines: list[npt.NDArray[np.int32]], width: int) -> None:
    """The line around one run of parts, in place.

    Light lies on things like light: it has a line against the background only. A pupil's line would hide the white of
    the eye. A hole's line takes from what it is cut into, and does not stray beyond.
    """
    line = np.zeros_like(canvas)
    cv2.polylines(line, outlines, isClosed=True, color=1, thickness=width, shift=SUBPIXEL_BITS)
    drawn = line.astype(bool)
    if role == "light":
        drawn &= canvas == INK["hole"]
    elif role == "dark":
        drawn &= canvas != INK["white"]
    elif role == "hole":
        drawn &= canvas != INK["hole"]
    canvas[drawn] = INK["line"]


def _painted(inks: Image, tones: Tones, light: npt.NDArray[np.float32]) -> Image:
    """The role map in colour, shrunk to the light's size, and lit."""
    size = light.shape[0]
    rgba = cv2.LUT(cv2.merge([inks] * 4), _color_table(tones))
    small = cv2.resize(rgba, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    alpha = small[..., 3:]
    rgb = small[..., :3] * (light[..., None] * 255 / np.maximum(alpha, 1))  # empty pixels came in black
    return np.asarray(np.rint(np.concatenate([np.minimum(rgb, 255), alpha], 2)), np.uint8)


def _color_table(tones: Tones) -> Image:
    """(256, 1, 4) RGBA of every ink."""
    colors = {
        "body": tones.body,
        "shade": tones.shade,
        "light": tones.light,
        "dark": DARK,
        "glass": GLASS,
        "metal": METAL,
        "white": WHITE,
        "line": tones.line,
        "contrast": tones.contrast,
    }
    table = np.zeros((256, 1, 4), np.uint8)
    for name, color in colors.items():
        table[INK[name], 0] = (*color, 255)
    return table


def _light(size: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """(size, size) brightness, falling evenly from the side that the light comes from."""
    angle = np.radians(rng.uniform(*LIT_FROM))
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    away = (np.cos(angle) * axis[:, None] + np.sin(angle) * axis[None, :]) / (abs(np.cos(angle)) + abs(np.sin(angle)))
    far, near = LIGHT_RANGE
    return np.asarray((near + far) / 2 - away * (near - far) / 2, np.float32)


def _check(composition: Composition, size: int, variant: int) -> None:
    if composition.color not in PALETTE:
        raise ConfigError(f"unknown colour {composition.color!r}: the colours are {', '.join(PALETTE)}")
    patterns = [pattern.name for pattern in PATTERNS]
    if composition.pattern not in patterns:
        raise ConfigError(f"unknown pattern {composition.pattern!r}: the patterns are {', '.join(patterns)}")
    if size < SMALLEST:
        raise ConfigError(f"a sprite of {size} pixels is too small: ask for {SMALLEST} or more, and shrink it")
    if variant < 0:
        raise ConfigError(f"variant {variant} is negative: count from 0")

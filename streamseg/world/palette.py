"""The colours of things: twelve that keep their distance, and the tones that each is shaded and patterned with.

Whatever is done to a colour, its name has to stay true: red stripes go with white or deep red, not with pink.
"""

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

__all__ = ["DARK", "GLASS", "METAL", "PALETTE", "WHITE", "Color", "Tones", "jittered", "tones_of"]

Color = tuple[int, int, int]

PALETTE: Mapping[str, Color] = MappingProxyType(
    {
        "red": (208, 30, 38),
        "orange": (244, 128, 20),
        "yellow": (250, 216, 44),
        "green": (48, 156, 60),
        "cyan": (50, 202, 210),
        "blue": (36, 80, 202),
        "purple": (126, 54, 168),
        "pink": (246, 148, 190),
        "brown": (122, 76, 40),
        "black": (35, 35, 38),
        "gray": (134, 136, 140),
        "white": (240, 240, 238),
    }
)

DARK: Color = (24, 24, 28)
GLASS: Color = (178, 206, 222)
METAL: Color = (196, 200, 206)
WHITE: Color = (247, 247, 245)

# What goes with a colour in a pattern: one of these. Light blends of red, orange and purple would be pink, yellow and
# the like, so most colours are paired with white and with a deep tone of their own only.
CONTRASTS: Mapping[str, tuple[Color, ...]] = MappingProxyType(
    {
        "red": (WHITE, (116, 8, 16)),
        "orange": (WHITE, (60, 36, 20)),
        "yellow": (WHITE, (56, 50, 24)),
        "green": (WHITE, (12, 78, 26)),
        "cyan": (WHITE, (8, 98, 110)),
        "blue": (WHITE, (14, 28, 96)),
        "purple": (WHITE, (62, 14, 92)),
        "pink": (WHITE, (150, 30, 92)),
        "brown": ((240, 226, 200), (56, 30, 14)),
        "black": (WHITE, (188, 188, 192)),
        "gray": (WHITE, (48, 48, 52)),
        "white": ((60, 60, 66), (126, 128, 134)),
    }
)

SHADE_FACTOR = 0.66
LINE_FACTOR = 0.4
LIGHTENING = 0.4  # how far the light tone goes towards white
HUE_JITTER = 0.008  # of the colour circle
VALUE_JITTER = 0.06


@dataclass(frozen=True, slots=True)
class Tones:
    """A colour as it is painted: itself, the tone that its patterns are drawn in, shadow, light, and outline."""

    body: Color
    contrast: Color
    shade: Color
    light: Color
    line: Color


def tones_of(name: str, rng: np.random.Generator) -> Tones:
    """The tones of a colour, each time a little different, its name staying the same."""
    body = jittered(PALETTE[name], rng)
    contrasts = CONTRASTS[name]
    contrast = contrasts[int(rng.integers(len(contrasts)))]
    strength = rng.uniform(0.85, 1.15)
    if name == "black":  # black on black says nothing: shadows and outlines are lighter than the body
        gray = round(94 * strength)
        return Tones(body, contrast, (58, 58, 64), (88, 88, 94), (gray, gray, gray + 6))
    line = scaled(body, LINE_FACTOR * strength)
    return Tones(body, contrast, scaled(body, SHADE_FACTOR), blended(body, WHITE, LIGHTENING), line)


def jittered(color: Color, rng: np.random.Generator) -> Color:
    """The colour, a touch brighter or darker, and a touch round the colour circle."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in color))
    hue += rng.uniform(-HUE_JITTER, HUE_JITTER)
    value = min(1.0, value * (1 + rng.uniform(-VALUE_JITTER, VALUE_JITTER)))
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def scaled(color: Color, factor: float) -> Color:
    return blended((0, 0, 0), color, factor)


def blended(start: Color, end: Color, share: float) -> Color:
    """From `start`, a share of the way to `end`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(start, end, strict=True))
    return red, green, blue

"""Overlays: a picture with its segments' masks, outlines and names drawn over it.

Sizes follow the picture, from 64x64 to 4K. Stuff is drawn lighter than things, void is left as it is. A colour depends
on the id alone (or on the category alone), so it stays the same over time.
"""

import colorsys
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..frames import Segment

__all__ = ["ColorBy", "Places", "color_of", "draw_overlay"]

Image = npt.NDArray[np.uint8]
Color = tuple[int, int, int]
ColorBy = Literal["id", "category"]
Places = dict[int, tuple[int, int]]
"""Top left corners of names, in pixels, by id of segment."""

OPACITY = 0.5
STUFF_SHARE = 0.6  # stuff is that much as opaque as things
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
SHADES = ((0.75, 1.0), (0.55, 0.95), (0.85, 0.8))  # saturation and value; neighbours in hue get another one
PLACEMENT_SIZE = 480  # names are placed on a map whose long side is at most this
FONT_WEIGHT = 500
SHORT_IDS = 2**16  # OpenCV looks up ids below this, three times as fast as NumPy
CENTERS_PER_SEGMENT = 4
ROOMY = 3  # a segment holds its name if its box is so many times larger
NEAR = 3  # heights of a name: it moves so far from one picture to the next rather than find a better place
MOST_COVERED = 0.3  # of the picture; names beyond it are left out, as are those that find no free place


def draw_overlay(
    rgb: Image,
    ids: npt.NDArray[np.int32],
    segments: Sequence[Segment],
    *,
    color_by: ColorBy = "id",
    show_labels: bool = True,
    show_scores: bool = True,
    show_ids: bool = False,
    opacity: float = OPACITY,
    places: Places | None = None,
) -> Image:
    """The picture with its segments drawn over it.

    Args:
        rgb: (H, W, 3) uint8.
        ids: (h, w) int32, id of every pixel's segment; of the picture's size, or scaled to it.
        segments: what the ids mean; ids that are not among them are void.
        color_by: "id" tells the instances of one category apart, "category" gives them one colour.
        show_labels: write the label of every segment that has room for it.
        show_scores, show_ids: add the score, or the id, to the label.
        opacity: of things, 0 (outlines and names alone) to 1; stuff is drawn lighter.
        places: of a video: where names stood in the picture before, so that they stay near; updated.

    Returns:
        (H, W, 3) uint8, a new array.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
        raise ConfigError(f"picture is {rgb.dtype} {rgb.shape}, expected uint8 RGB of shape (height, width, 3)")
    if color_by not in ("id", "category"):
        raise ConfigError(f"color_by is {color_by!r}, expected 'id' or 'category'")
    if not 0 <= opacity <= 1:
        raise ConfigError(f"opacity is {opacity!r}, expected a number from 0 to 1")
    if not segments or not ids.size:
        return rgb.copy()
    height, width = rgb.shape[:2]
    index = _index_map(ids, segments)
    if index.shape != (height, width):
        index = cv2.resize(index, (width, height), interpolation=cv2.INTER_NEAREST)
    colors = [color_of(segment.id if color_by == "id" else segment.category_id) for segment in segments]
    scale = _Scale.of(height, width)
    out = _blend(rgb, index, segments, colors, scale, opacity)
    if show_labels:
        texts = [_texts(segment, show_scores=show_scores, show_ids=show_ids) for segment in segments]
        chips = _place(texts, index, segments, scale, places or {})
        for chip in chips:
            _draw(out, chip, colors[chip.position], scale)
        if places is not None:
            places.clear()
            places.update({segments[chip.position].id: (chip.x, chip.y) for chip in chips})
    return out


def color_of(number: int) -> Color:
    """The RGB colour of an id or category: hues a golden angle apart, so that any few of them differ well."""
    saturation, value = SHADES[number // 5 % len(SHADES)]
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN_RATIO % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Sizes in pixels that suit a picture."""

    font: int
    line: int
    padding: int
    ascent: int
    descent: int

    @classmethod
    def of(cls, height: int, width: int) -> "_Scale":
        extent = math.sqrt(height * width)
        font = max(10, round(4 + extent * 0.0145))
        _, top, _, text_height = _text_box("Ágjp", font)
        return cls(font, max(1, round(extent / 500)), max(1, font // 5), -top, top + text_height)

    @property
    def chip_height(self) -> int:
        return self.ascent + self.descent + 2 * self.padding


@dataclass(frozen=True, slots=True)
class _Chip:
    """A name on its background: where its top left corner is, and how large it is."""

    position: int
    text: str
    x: int
    y: int
    width: int
    height: int

    @property
    def area(self) -> int:
        return self.width * self.height

    def overlaps(self, other: "_Chip") -> bool:
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return across > 0 and down > 0


def _index_map(ids: npt.NDArray[np.int32], segments: Sequence[Segment]) -> npt.NDArray[Any]:
    """(H, W) position of every pixel's segment, from 1; 0 is void."""
    highest = max(int(ids.max()), max(segment.id for segment in segments))
    table: npt.NDArray[Any] = np.zeros(max(highest + 1, SHORT_IDS), np.uint8 if len(segments) < 256 else np.uint16)
    for position, segment in enumerate(segments, start=1):
        table[segment.id] = position
    if highest < SHORT_IDS:
        return np.asarray(cv2.LUT(ids.astype(np.uint16), table))
    return np.take(table, ids)


def _blend(
    rgb: Image,
    index: npt.NDArray[Any],
    segments: Sequence[Segment],
    colors: Sequence[Color],
    scale: _Scale,
    opacity: float,
) -> Image:
    isthing = np.array([False, *(segment.isthing for segment in segments)])
    isstuff = ~isthing
    isstuff[0] = False
    flat = _look_up(colors, index)
    out, blended = rgb.copy(), np.empty_like(rgb)
    # Things last, so that their outlines lie over those of stuff.
    for members, weight, line in (
        (isstuff, STUFF_SHARE * opacity, max(1, scale.line // 2)),
        (isthing, opacity, scale.line),
    ):
        if members.any():
            region = _members(index, members)
            cv2.copyTo(cv2.addWeighted(rgb, 1 - weight, flat, weight, 0, blended), region, out)
            cv2.copyTo(flat, cv2.bitwise_and(_edges(index, line), region), out)
    return out


def _look_up(colors: Sequence[Color], index: npt.NDArray[Any]) -> Image:
    """(H, W, 3) the colour of every pixel's segment; void is black."""
    if index.dtype != np.uint8:
        return np.take(np.array([(0, 0, 0), *colors], np.uint8), index, axis=0)
    table = np.zeros((256, 1, 3), np.uint8)
    table[1 : 1 + len(colors), 0] = colors
    return np.asarray(cv2.applyColorMap(index, table), np.uint8)


def _members(index: npt.NDArray[Any], members: npt.NDArray[np.bool_]) -> Image:
    """255 on the pixels of those segments, 0 on all others."""
    table = np.zeros(max(256, len(members)), np.uint8)
    table[: len(members)][members] = 255
    return np.asarray(cv2.LUT(index, table) if index.dtype == np.uint8 else table[index], np.uint8)


def _edges(index: npt.NDArray[Any], line: int) -> Image:
    """255 on the pixels that are at most `line` away from another segment, 0 on all others."""
    change = cv2.morphologyEx(index, cv2.MORPH_GRADIENT, np.ones((2 * line + 1, 2 * line + 1), np.uint8))
    return np.asarray(cv2.inRange(change, 1, 65535), np.uint8)


# Names.


def _texts(segment: Segment, *, show_scores: bool, show_ids: bool) -> tuple[str, ...]:
    """The name of a segment, then a shorter form for where there is less room."""
    label = " ".join(segment.label.split())
    name = f"{label} #{segment.id}" if show_ids else label
    return (f"{name} {segment.score:.0%}", name) if show_scores else (name,)


def _place(
    texts: Sequence[tuple[str, ...]],
    index: npt.NDArray[Any],
    segments: Sequence[Segment],
    scale: _Scale,
    places: Places,
) -> list[_Chip]:
    """A place for every name that finds one: things before stuff, large before small."""
    height, width = index.shape
    shrink = min(1.0, PLACEMENT_SIZE / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    small = cv2.resize(index, size, interpolation=cv2.INTER_NEAREST)
    zoom = (width / size[0], height / size[1])
    placed: list[_Chip] = []
    room = MOST_COVERED * height * width
    for position in sorted(range(len(segments)), key=lambda i: (not segments[i].isthing, -segments[i].area)):
        mask = (small == position + 1).astype(np.uint8)
        if not mask.any():
            continue
        chip = next(
            (
                chip
                for chip in _chips(
                    position, texts[position], mask, zoom, scale, (width, height), places.get(segments[position].id)
                )
                if chip.area <= room and not any(chip.overlaps(other) for other in placed)
            ),
            None,
        )
        if chip is not None:
            placed.append(chip)
            room -= chip.area
    return placed


def _chips(
    position: int,
    texts: Sequence[str],
    mask: Image,
    zoom: tuple[float, float],
    scale: _Scale,
    picture_wh: tuple[int, int],
    before: tuple[int, int] | None,
) -> Iterator[_Chip]:
    """Every way to write a segment's name inside the picture, best first: as a whole, then shorter.

    A place near the one `before` comes first, or names would jump between places that are equally good.
    """
    box = cv2.boundingRect(mask)
    centers = list(_centers(mask, box, zoom))
    for text in texts:
        text = _cut(text, picture_wh[0] - 2 * scale.padding, scale)
        width = _text_box(text, scale.font)[2] + 2 * scale.padding
        height = scale.chip_height
        if not text or width > picture_wh[0] or height > picture_wh[1]:
            continue
        for x, y in _near_first(list(_corners(box, centers, zoom, (width, height))), before, NEAR * height):
            inside_x, inside_y = min(max(0, x), picture_wh[0] - width), min(max(0, y), picture_wh[1] - height)
            yield _Chip(position, text, inside_x, inside_y, width, height)


def _corners(
    box: Sequence[int], centers: Sequence[tuple[float, float]], zoom: tuple[float, float], chip_wh: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """Top left corners for a chip, best first: deep inside its segment, else just around it.

    A segment too small to hold its name is named from above, so that it stays visible.
    """
    chip_width, chip_height = chip_wh
    x, y, width, height = (length * zoom[i % 2] for i, length in enumerate(box))
    inside = [(round(cx - chip_width / 2), round(cy - chip_height / 2)) for cx, cy in centers]
    column, row = round(x + (width - chip_width) / 2), round(y + (height - chip_height) / 2)
    around = [
        (column, round(y - chip_height)),
        (column, round(y + height)),
        (round(x + width), row),
        (round(x - chip_width), row),
    ]
    yield from (*inside, *around) if width * height >= ROOMY * chip_width * chip_height else (*around, *inside)


def _near_first(corners: list[tuple[int, int]], before: tuple[int, int] | None, near: float) -> list[tuple[int, int]]:
    """The corner nearest to `before` in front, if it is near at all."""
    if before is None:
        return corners
    nearest = min(corners, key=lambda corner: math.dist(corner, before))
    if math.dist(nearest, before) > near:
        return corners
    return [nearest, *(corner for corner in corners if corner is not nearest)]


def _centers(mask: Image, box: Sequence[int], zoom: tuple[float, float]) -> Iterator[tuple[float, float]]:
    """Points of the picture that lie deep inside the mask, deepest first, well apart from one another."""
    left, top, width, height = box
    framed = cv2.copyMakeBorder(mask[top : top + height, left : left + width], 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 3)
    for _ in range(CENTERS_PER_SEGMENT):
        _, deepest, _, (x, y) = cv2.minMaxLoc(depth)
        if deepest <= 0:
            return
        yield (left + x - 0.5) * zoom[0], (top + y - 0.5) * zoom[1]
        cv2.circle(depth, (x, y), max(1, round(deepest)), 0, -1)


def _cut(text: str, width: int, scale: _Scale) -> str:
    """The text, or as many of its first letters as fit; nothing where not even two do."""
    if _text_box(text, scale.font)[2] <= width:
        return text
    shortened = (text[:length].rstrip() + "…" for length in range(len(text) - 1, 1, -1))
    return next((candidate for candidate in shortened if _text_box(candidate, scale.font)[2] <= width), "")


def _draw(out: Image, chip: _Chip, color: Color, scale: _Scale) -> None:
    cv2.rectangle(out, (chip.x, chip.y), (chip.x + chip.width - 1, chip.y + chip.height - 1), color, -1)
    origin = (chip.x + scale.padding, chip.y + scale.padding + scale.ascent)
    cv2.putText(out, chip.text, origin, _contrast(color), cv2.FontFace("sans"), scale.font, FONT_WEIGHT)


def _text_box(text: str, font: int) -> tuple[int, int, int, int]:
    """x, y, width, height of a text whose baseline starts at (0, 0)."""
    x, y, width, height = cv2.getTextSize((0, 0), text, (0, 0), cv2.FontFace("sans"), font, FONT_WEIGHT)
    return x, y, width, height


def _contrast(color: Color) -> Color:
    """Black or white, whichever is easier to read on the colour (WCAG's relative luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in color)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)

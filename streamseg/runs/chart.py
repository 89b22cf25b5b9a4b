"""A small plotting kit: a canvas with good text, panels with lines and bars in them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

__all__ = [
    "PALETTE",
    "Bar",
    "Canvas",
    "Panel",
    "Series",
    "cut_name",
    "draw_bars",
    "draw_legend",
    "draw_lines",
    "draw_rows",
    "nice_ticks",
    "time_ticks",
]

Color = tuple[int, int, int]
Anchor = Literal["left", "middle", "right"]
Format = Callable[[float], str]
Floats = npt.NDArray[np.float64]

WHITE: Color = (255, 255, 255)
INK: Color = (31, 41, 55)
MUTED: Color = (107, 114, 128)
GRID: Color = (229, 231, 235)
PALETTE: tuple[Color, ...] = (
    (37, 99, 235),
    (234, 88, 12),
    (22, 163, 74),
    (147, 51, 234),
    (219, 39, 119),
    (13, 148, 136),
)
SHIFT = 4  # OpenCV takes coordinates in sixteenths of a pixel
TITLE, LABEL = 19, 14  # heights of text in pixels
LEFT, TOP, RIGHT, BOTTOM = 58, 66, 14, 30  # room around what is plotted
LEGEND_GAP = 18
FEW = 2  # lines; more of them are drawn thinner
CLOCK_STEPS = (10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)  # seconds
NEAR_ZERO = 0.05  # an axis that begins so early, as a share of its end, begins at 0


class Canvas:
    """A white picture to draw on.

    Attributes:
        rgb: (H, W, 3) uint8.
    """

    def __init__(self, width: int, height: int) -> None:
        self.rgb: npt.NDArray[np.uint8] = np.full((height, width, 3), 255, np.uint8)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: int = LABEL,
        *,
        color: Color = INK,
        weight: int = 400,
        anchor: Anchor = "left",
    ) -> float:
        """Write a line of text whose baseline is at `y`. Returns its width."""
        width = text_width(text, size, weight)
        left = x - {"left": 0.0, "middle": width / 2, "right": float(width)}[anchor]
        cv2.putText(self.rgb, text, (round(left), round(y)), color, cv2.FontFace("sans"), size, weight)
        return width

    def rectangle(self, x: float, y: float, width: float, height: float, color: Color) -> None:
        """Filled."""
        if round(width) >= 1 and round(height) >= 1:
            corner = (round(x), round(y))
            opposite = (round(x) + round(width) - 1, round(y) + round(height) - 1)
            cv2.rectangle(self.rgb, corner, opposite, color, -1)

    def line(self, points: npt.NDArray[np.float64], color: Color, width: int = 2) -> None:
        """(N, 2) x and y of a line through all of them."""
        fixed = np.rint(points * (1 << SHIFT)).astype(np.int32)[:, None]
        cv2.polylines(self.rgb, [fixed], False, color, width, cv2.LINE_AA, SHIFT)


@dataclass(frozen=True, slots=True)
class Panel:
    """Where a diagram stands, in pixels, and what it says above."""

    x: int
    y: int
    width: int
    height: int
    title: str
    note: str = ""

    @property
    def plot(self) -> tuple[int, int, int, int]:
        """x, y, width and height of what is plotted, inside titles and labels."""
        return self.x + LEFT, self.y + TOP, self.width - LEFT - RIGHT, self.height - TOP - BOTTOM


class Series(NamedTuple):
    """One line."""

    name: str
    color: Color
    x: Floats
    y: Floats


class Bar(NamedTuple):
    """One bar; `remark` stands beside it where there is room for one."""

    name: str
    value: float
    color: Color
    remark: str = ""


def draw_lines(canvas: Canvas, panel: Panel, series: Sequence[Series], *, x_format: Format, y_format: Format) -> None:
    """Lines over time in seconds; the other axis begins at 0."""
    _head(canvas, panel)
    series = [line for line in series if len(line.x)]
    if not series:
        _nothing(canvas, panel)
        return
    highest = max(float(line.y.max()) for line in series)
    low, high = min(float(line.x[0]) for line in series), max(float(line.x[-1]) for line in series)
    low = 0.0 if 0 < low < NEAR_ZERO * high else low
    x, y, width, height = panel.plot
    top = _y_axis(canvas, panel, highest, y_format)
    span = high - low or 1.0
    for tick in time_ticks(low, high, 5):
        if low <= tick <= high:
            at = x + (tick - low) / span * width
            canvas.text(at, y + height + 20, x_format(tick), color=MUTED, anchor="middle")
    for line in series:
        points = np.stack((x + (line.x - low) / span * width, y + height * (1 - line.y / top)), axis=1)
        if len(points) == 1:
            points = np.array([points[0], (x + width, points[0, 1])])
        canvas.line(points, line.color, 2 if len(series) <= FEW else 1)


def draw_bars(canvas: Canvas, panel: Panel, bars: Sequence[Bar], *, y_format: Format) -> None:
    """Upright bars side by side, each with its name below and its value above."""
    _head(canvas, panel)
    if not any(bar.value for bar in bars):
        _nothing(canvas, panel)
        return
    x, y, width, height = panel.plot
    top = _y_axis(canvas, panel, max(bar.value for bar in bars), y_format)
    step = width / len(bars)
    for place, bar in enumerate(bars):
        tall, middle = bar.value / top * height, x + (place + 0.5) * step
        canvas.rectangle(x + place * step + 0.12 * step, y + height - tall, 0.76 * step, tall, bar.color)
        canvas.text(middle, y + height + 20, bar.name, color=MUTED, anchor="middle", size=13)
        if bar.value:
            canvas.text(middle, y + height - tall - 6, y_format(bar.value), size=13, anchor="middle")


def draw_rows(canvas: Canvas, panel: Panel, bars: Sequence[Bar], *, most: int, value_format: Format) -> None:
    """Lying bars below one another, names on the left, remarks on the right; at most `most` of them."""
    _head(canvas, panel)
    if not bars:
        _nothing(canvas, panel)
        return
    bars = bars[:most]
    x, y, width, height = panel.x, panel.y + TOP, panel.width - RIGHT, panel.height - TOP - 8
    names = max(text_width(cut_name(bar.name), LABEL) for bar in bars) + 12
    remarks = max(text_width(bar.remark, LABEL) for bar in bars) + 12
    values = max(text_width(value_format(bar.value), LABEL) for bar in bars) + 8
    longest = max(bar.value for bar in bars) or 1.0
    room, step = width - names - remarks - values, height / most
    for place, bar in enumerate(bars):
        top, length = y + place * step, bar.value / longest * room
        baseline = top + step / 2 + 5
        canvas.text(x + names - 12, baseline, cut_name(bar.name), anchor="right")
        canvas.rectangle(x + names, top + 0.14 * step, length, 0.72 * step, bar.color)
        canvas.text(x + names + length + 6, baseline, value_format(bar.value), color=MUTED)
        canvas.text(x + width, baseline, bar.remark, color=MUTED, anchor="right")


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """About so many round numbers, 1, 2 or 5 times a power of ten apart, from at most `low` to at least `high`."""
    span = high - low or abs(high) or 1.0
    raw = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor for factor in (1, 2, 5, 10) if raw <= factor * power * (1 + 1e-9)) * power
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def time_ticks(low: float, high: float, count: int) -> list[float]:
    """As `nice_ticks`, in steps that suit clocks where they are longer than ten seconds."""
    raw = (high - low) / max(1, count)
    step = next((step for step in CLOCK_STEPS if raw <= step), None)
    if raw <= CLOCK_STEPS[0] or step is None:
        return nice_ticks(low, high, count)
    return [number * float(step) for number in range(math.floor(low / step), math.ceil(high / step) + 1)]


def draw_legend(canvas: Canvas, right: float, y: float, entries: Sequence[tuple[str, Color]]) -> None:
    """Names with their colours in one line that ends at `right`, its baseline at `y`."""
    for name, color in reversed(entries):
        canvas.text(right, y, cut_name(name), anchor="right")
        right -= text_width(cut_name(name), LABEL) + 16
        canvas.rectangle(right, y - 10, 10, 10, color)
        right -= LEGEND_GAP


def cut_name(name: str, most: int = 18) -> str:
    """A name on one line, and no longer than so many letters."""
    name = " ".join(name.split())
    return name if len(name) <= most else f"{name[: most - 1]}…"


def text_width(text: str, size: int, weight: int = 400) -> float:
    """In pixels."""
    return float(cv2.getTextSize((0, 0), text, (0, 0), cv2.FontFace("sans"), size, weight)[2])


def _head(canvas: Canvas, panel: Panel) -> None:
    canvas.text(panel.x, panel.y + 20, panel.title, TITLE, weight=600)
    canvas.text(panel.x, panel.y + 42, panel.note, color=MUTED)


def _nothing(canvas: Canvas, panel: Panel) -> None:
    x, y, width, height = panel.plot
    canvas.text(x + width / 2, y + height / 2, "nothing to show", color=MUTED, anchor="middle")


def _y_axis(canvas: Canvas, panel: Panel, highest: float, y_format: Format) -> float:
    """Grid and labels from 0 on; returns the value at the top."""
    x, y, width, height = panel.plot
    ticks = nice_ticks(0.0, highest or 1.0, 4)
    for tick in ticks:
        at = y + height * (1 - tick / ticks[-1])
        canvas.rectangle(x, at, width, 1, GRID)
        canvas.text(x - 8, at + 5, y_format(tick), color=MUTED, anchor="right")
    return ticks[-1]

"""The numbers of a run as one picture: how it went over time, how long tracks lived, what there was to see."""

from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..sinks.files import atomic_write, encode_picture
from .chart import PALETTE, Bar, Canvas, Color, Panel, Series, draw_bars, draw_legend, draw_lines, draw_rows
from .stability import SHORT_FRAMES, Timelines
from .stats import RunStats
from .time_series import TimeSeries

__all__ = ["draw_stats", "write_plot"]

WIDTH, HEIGHT = 1600, 1030
MARGIN, GAP, HEADER = 40, 44, 170
STATE_Y, LEGEND_Y, TILES_Y = 46, 72, 116
MOST_RATES = 40  # births and deaths are rare: longer bins say more
COLUMNS, ROWS = 3, 2
MOST_LINES = len(PALETTE)
MOST_ROWS = 12
SHORT_COLOR: Color = (234, 88, 12)
STUFF_COLOR: Color = (148, 163, 184)
MUTED: Color = (107, 114, 128)

Of = Callable[[Timelines], TimeSeries]


def write_plot(stats: RunStats, title: str, path: Path) -> None:
    """`draw_stats` as a PNG; SinkError where it cannot be written."""
    picture = cv2.cvtColor(draw_stats(stats, title), cv2.COLOR_RGB2BGR)
    atomic_write(path, encode_picture(".png", np.asarray(picture, np.uint8), ()))


def draw_stats(stats: RunStats, title: str) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB.

    Args:
        stats: of the run.
        title: what to call it.
    """
    canvas = Canvas(WIDTH, HEIGHT)
    overall = stats.overall.to_dict()
    _header(canvas, stats, title, overall)
    panels = [_place(place) for place in range(COLUMNS * ROWS)]
    _segments(canvas, stats, panels[0])
    _over_time(
        canvas, stats, panels[1], "Flicker of things", "1 - IoU of a track's consecutive masks", _flicker, _plain
    )
    _births_and_deaths(canvas, stats, panels[2])
    _over_time(canvas, stats, panels[3], "Void", "share of the frame that no segment has", _void, _percent)
    _lengths(canvas, panels[4], overall)
    _categories(canvas, panels[5], overall)
    return canvas.rgb


def _place(place: int) -> tuple[int, int, int, int]:
    row, column = divmod(place, COLUMNS)
    width = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) // COLUMNS
    height = (HEIGHT - HEADER - MARGIN - (ROWS - 1) * GAP) // ROWS
    return MARGIN + column * (width + GAP), HEADER + row * (height + GAP), width, height


def _header(canvas: Canvas, stats: RunStats, title: str, overall: dict[str, Any]) -> None:
    canvas.text(MARGIN, 52, title, 30, weight=700)
    streams = f"{len(stats.streams)} stream{'' if len(stats.streams) == 1 else 's'}, {stats.state}"
    canvas.text(WIDTH - MARGIN, STATE_Y, streams, 18, color=MUTED, anchor="right")
    if len(stats.streams) > 1:
        names = [name for name, _ in _first(stats)]
        draw_legend(canvas, WIDTH - MARGIN, LEGEND_Y, list(zip(names, PALETTE, strict=False)))
    tiles = (
        ("frames", f"{overall['records']:,}"),
        ("failed", f"{overall['failed']:,}"),
        ("tracks of things", f"{overall['tracks']['things']:,}"),
        ("seen in < 5 frames", _share(overall["tracks"]["short_share"])),
        ("flicker of things", _number(overall["flicker"]["things"], 3)),
        ("births and deaths a second", _number(overall["churn"]["per_second"], 2)),
        ("label flips per track-minute", _number(overall["label_flips"]["per_track_minute"], 2)),
        ("void", _share(overall["void_share"])),
    )
    step = (WIDTH - 2 * MARGIN) / len(tiles)
    for place, (name, value) in enumerate(tiles):
        canvas.text(MARGIN + place * step, TILES_Y, value, 26, weight=600)
        canvas.text(MARGIN + place * step, TILES_Y + 22, name, 13, color=MUTED)


def _segments(canvas: Canvas, stats: RunStats, place: tuple[int, int, int, int]) -> None:
    panel = Panel(*place, "Segments", "mean number in a frame")
    if len(stats.timelines) == 1:
        (timelines,) = stats.timelines.values()
        series = [
            Series("things", PALETTE[0], *timelines.things.means()),
            Series("stuff", STUFF_COLOR, *timelines.stuff.means()),
        ]
        draw_lines(canvas, panel, series, x_format=_clock(series), y_format=_plain)
        legend = [(line.name, line.color) for line in series if len(line.x)]
        draw_legend(canvas, panel.x + panel.width, panel.y + 20, legend)
        return
    _over_time(canvas, stats, place, "Things", "mean number in a frame", _things, _plain)


def _over_time(
    canvas: Canvas,
    stats: RunStats,
    place: tuple[int, int, int, int],
    title: str,
    note: str,
    of: Of,
    y_format: Callable[[float], str],
) -> None:
    """The means of one series of each stream."""
    series = [
        Series(name, color, *of(timelines).means())
        for (name, timelines), color in zip(_first(stats), cycle(PALETTE), strict=False)
    ]
    panel = Panel(*place, title, note + _left_out(stats))
    draw_lines(canvas, panel, series, x_format=_clock(series), y_format=y_format)


def _births_and_deaths(canvas: Canvas, stats: RunStats, place: tuple[int, int, int, int]) -> None:
    series = [
        Series(name, color, *timelines.churn.rates(MOST_RATES))
        for (name, timelines), color in zip(_first(stats), cycle(PALETTE), strict=False)
    ]
    panel = Panel(*place, "Births and deaths", "of things, a second" + _left_out(stats))
    draw_lines(canvas, panel, series, x_format=_clock(series), y_format=_plain)


def _lengths(canvas: Canvas, place: tuple[int, int, int, int], overall: dict[str, Any]) -> None:
    bars = [
        Bar(
            _bin_name(entry["from_frames"], entry["to_frames"]),
            entry["tracks"],
            SHORT_COLOR if entry["from_frames"] < SHORT_FRAMES else PALETTE[0],
        )
        for entry in overall["tracks"]["lengths"]
    ]
    draw_bars(canvas, Panel(*place, "Track lengths", "things, by frames they were seen in"), bars, y_format=_plain)


def _categories(canvas: Canvas, place: tuple[int, int, int, int], overall: dict[str, Any]) -> None:
    bars = [
        Bar(
            entry["label"],
            entry["area_share"] or 0.0,
            PALETTE[0] if entry["isthing"] else STUFF_COLOR,
            "" if entry["flicker"] is None else f"{entry['flicker']:.3f}",
        )
        for entry in overall["categories"]
    ]
    more = f"; {len(bars) - MOST_ROWS} more" if len(bars) > MOST_ROWS else ""
    note = f"share of the frame, flicker on the right; stuff is grey{more}"
    draw_rows(canvas, Panel(*place, "Categories", note), bars, most=MOST_ROWS, value_format=_one_digit)


def _first(stats: RunStats) -> Sequence[tuple[str, Timelines]]:
    return list(stats.timelines.items())[:MOST_LINES]


def _left_out(stats: RunStats) -> str:
    count = len(stats.timelines) - MOST_LINES
    return f"; {count} more stream{'' if count == 1 else 's'} not shown" if count > 0 else ""


def _things(timelines: Timelines) -> TimeSeries:
    return timelines.things


def _void(timelines: Timelines) -> TimeSeries:
    return timelines.void


def _flicker(timelines: Timelines) -> TimeSeries:
    return timelines.flicker


def _clock(series: Sequence[Series]) -> Callable[[float], str]:
    """Seconds, or minutes, or hours, whatever suits the whole axis."""
    longest = max((float(line.x[-1]) for line in series if len(line.x)), default=0.0)

    def write(seconds: float) -> str:
        minutes, rest = divmod(round(seconds), 60)
        if longest >= 3600:
            return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
        return f"{minutes}:{rest:02}" if longest >= 120 else f"{seconds:g} s"

    return write


def _bin_name(begin: int, end: int | None) -> str:
    if end == begin:
        return f"{begin}"
    return f"{begin}-{end}" if end is not None and end < 10 else f"{begin}+" if begin < 1000 else f"{begin // 1000}k+"


def _plain(value: float) -> str:
    return f"{value:,.10g}"


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _one_digit(value: float) -> str:
    return f"{value:.1%}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"

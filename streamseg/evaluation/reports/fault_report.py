"""An evaluation as one file for people: scores, the worst frames as pictures, the worst tracks. HTML, or a PNG.

An HTML file holds its pictures itself and asks nothing of the network.
"""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from rich.table import Table

from ...errors import ConfigError, EvaluationError, SinkError
from ...sinks.files import atomic_write, encode_picture
from .fault_pictures import ERRORS, draw_comparison, draw_text
from .faults import Faults, WorstFrame, WorstTrack
from .tables import percent, score_tables, table

__all__ = ["check_report_path", "write_report"]

Picture = npt.NDArray[np.uint8]

MARGIN = 24
LINE = 22
SUFFIXES = (".html", ".png")
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 1500px; margin: 2em auto; padding: 0 1em }
h1, h2 { font-weight: 600 } table { border-collapse: collapse; margin: 0.5em 0 1.5em }
td, th { padding: 0.15em 0.9em 0.15em 0; text-align: right; border-bottom: 1px solid #e5e7eb }
td:first-child, th:first-child { text-align: left } caption { text-align: left; color: #6b7280 }
img { width: 100%; display: block } figure { margin: 1em 0 2em } figcaption { margin-bottom: 0.3em }
i { display: inline-block; width: 0.9em; height: 0.9em; margin: 0 0.3em 0 1em; vertical-align: -0.1em }
"""


def check_report_path(path: Path) -> None:
    """ConfigError where no report can be called so."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--report is {str(path)!r}, expected a name that ends in {' or '.join(SUFFIXES)}")


def write_report(
    path: Path, title: str, document: Mapping[str, Any], labels: Mapping[int, str], faults: Faults
) -> None:
    """Write scores and faults.

    Args:
        path: ends in .html or .png.
        title: what was scored.
        document: of `VideoScores.to_dict`.
        labels: names of the categories.
        faults: of the same frames.

    Raises:
        EvaluationError: it cannot be written.
    """
    tables = [*score_tables(document, labels), *_track_tables(faults.tracks, labels)]
    pictures = [(_caption(worst), draw_comparison(worst.frame, labels)) for worst in faults.frames]
    if path.suffix.lower() == ".html":
        content = _html(title, tables, pictures).encode()
    else:
        content = _png(_sheet(title, tables, pictures))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, content)
    except (OSError, SinkError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EvaluationError(f"cannot write {path}: {reason}; choose another --report") from None


def _track_tables(tracks: Sequence[WorstTrack], labels: Mapping[int, str]) -> list[Table]:
    rows = [
        [
            worst.video,
            str(worst.tube.id),
            labels[worst.tube.category_id],
            f"{worst.tube.pixels:,}",
            percent(worst.tube.aq),
        ]
        for worst in tracks
    ]
    columns = ("video", "id", "category", "pixels", "association quality")
    return [table("true tracks that lose the most pixels", columns, rows)] if rows else []


def _caption(worst: WorstFrame) -> str:
    return (
        f"{worst.video} / {worst.name}: panoptic quality {percent(worst.quality)}, {worst.tp} matched, "
        f"{worst.fp} false, {worst.fn} missed"
    )


def _html(title: str, tables: Sequence[Table], pictures: Sequence[tuple[str, Picture]]) -> str:
    legend = "".join(f'<i style="background:rgb{color}"></i>{escape(name)}' for name, color in ERRORS.items())
    figures = "".join(
        f'<figure><figcaption>{escape(caption)}</figcaption><img alt="truth, prediction, errors" src="data:image/png;'
        f'base64,{base64.b64encode(_png(picture)).decode()}"></figure>'
        for caption, picture in pictures
    )
    frames = f"<h2>Worst frames</h2><p>Truth, prediction, errors:{legend}</p>{figures}" if pictures else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
        f"<h1>{escape(title)}</h1>{''.join(map(_html_table, tables))}{frames}</html>\n"
    )


def _html_table(made: Table) -> str:
    head, *rows = _cells(made)
    title = escape(str(made.title))
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    heading = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f"<table><caption>{title}</caption><tr>{heading}</tr>{lines}</table>"


def _cells(made: Table) -> list[list[str]]:
    """The heading and the rows of a table, as text."""
    columns = [[str(column.header), *map(str, column.cells)] for column in made.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _sheet(title: str, tables: Sequence[Table], pictures: Sequence[tuple[str, Picture]]) -> Picture:
    """Everything below one another on white."""
    lines = [line for made in tables for line in ["", *_text(made)]]
    width = max((picture.shape[1] for _, picture in pictures), default=1456) + 2 * MARGIN
    height = 3 * MARGIN + LINE * (len(lines) + 2) + sum(picture.shape[0] + 2 * LINE for _, picture in pictures)
    sheet = np.full((height + 2 * LINE, width, 3), 255, np.uint8)
    draw_text(sheet, title, MARGIN, MARGIN + LINE, size=24, bold=True)
    y = MARGIN + 2 * LINE
    for made in tables:
        y = _draw_table(sheet, made, y + LINE)
    y = _draw_legend(sheet, y + LINE) if pictures else y
    for caption, picture in pictures:
        draw_text(sheet, caption, MARGIN, y + LINE - 6)
        y += LINE
        sheet[y : y + picture.shape[0], MARGIN : MARGIN + picture.shape[1]] = picture
        y += picture.shape[0] + LINE // 2
    return sheet[: y + MARGIN]


def _text(made: Table) -> list[str]:
    return [str(made.title), *("" for _ in _cells(made))]


def _draw_table(sheet: Picture, made: Table, y: int) -> int:
    draw_text(sheet, str(made.title), MARGIN, y, bold=True)
    cells = _cells(made)
    widths = [max(_width(row[place]) for row in cells) for place in range(len(cells[0]))]
    for number, row in enumerate(cells, start=1):
        x = MARGIN
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            draw_text(sheet, cell, x if place == 0 else x + width - _width(cell), y + number * LINE)
            x += width + MARGIN
    return y + (len(cells) + 1) * LINE


def _draw_legend(sheet: Picture, y: int) -> int:
    x = MARGIN
    draw_text(sheet, "Worst frames: truth, prediction, errors", x, y, bold=True)
    x += _width("Worst frames: truth, prediction, errors") + 2 * MARGIN
    for name, color in ERRORS.items():
        cv2.rectangle(sheet, (x, y - 12), (x + 14, y + 2), color, -1)
        draw_text(sheet, name, x + 20, y)
        x += _width(name) + 20 + MARGIN
    return y + LINE // 2


def _width(text: str) -> int:
    _, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), cv2.FontFace("sans"), 16, 400)
    return int(width)


def _png(picture: Picture) -> bytes:
    return encode_picture(".png", np.ascontiguousarray(picture[..., ::-1]), ())

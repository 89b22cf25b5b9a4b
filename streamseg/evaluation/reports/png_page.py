"""A report as one picture: everything below one another on white."""

import cv2
import numpy as np
from rich.table import Table

from ...sinks.files import encode_picture
from .fault_pictures import draw_text, text_width
from .page import Page, Picture, Section, aligned_right, cells

__all__ = ["png_page"]

MARGIN = 24
LINE = 22
LEAST_WIDTH = 1456


def png_page(page: Page) -> bytes:
    """The file's content."""
    return encode_picture(".png", np.ascontiguousarray(_sheet(page)[..., ::-1]), ())


def _sheet(page: Page) -> Picture:
    figures = [figure for section in page.sections for figure in section.figures]
    width = max((figure.picture.shape[1] for figure in figures), default=LEAST_WIDTH) + 2 * MARGIN
    lines = sum(len(cells(made)) + 2 for made in page.tables) + 3 * len(page.sections) + 2 * len(figures) + 6
    height = 3 * MARGIN + LINE * lines + sum(figure.picture.shape[0] for figure in figures)
    sheet = np.full((height, width, 3), 255, np.uint8)
    draw_text(sheet, page.title, MARGIN, MARGIN + LINE, size=24, bold=True)
    y = MARGIN + 2 * LINE
    for made in page.tables:
        y = _draw_table(sheet, made, y + LINE)
    for section in page.sections:
        y = _draw_section(sheet, section, y + LINE)
    return sheet[: y + MARGIN]


def _draw_table(sheet: Picture, made: Table, y: int) -> int:
    draw_text(sheet, str(made.title), MARGIN, y, bold=True)
    rows = cells(made)
    widths = [max(text_width(row[place]) for row in rows) for place in range(len(rows[0]))]
    for number, row in enumerate(rows, start=1):
        x = MARGIN
        for cell, width, right in zip(row, widths, aligned_right(made), strict=True):
            draw_text(sheet, cell, x + width - text_width(cell) if right else x, y + number * LINE)
            x += width + MARGIN
    return y + (len(rows) + 1) * LINE


def _draw_section(sheet: Picture, section: Section, y: int) -> int:
    heading = f"{section.title}: {section.note}"
    draw_text(sheet, heading, MARGIN, y, bold=True)
    x = text_width(heading) + 3 * MARGIN
    for name, color in section.legend.items():
        cv2.rectangle(sheet, (x, y - 12), (x + 14, y + 2), color, -1)
        draw_text(sheet, name, x + 20, y)
        x += text_width(name) + 20 + MARGIN
    y += LINE // 2
    for figure in section.figures:
        height, width = figure.picture.shape[:2]
        draw_text(sheet, figure.caption, MARGIN, y + LINE - 6)
        y += LINE
        sheet[y : y + height, MARGIN : MARGIN + width] = figure.picture
        y += height + LINE // 2
    return y + LINE

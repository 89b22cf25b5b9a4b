"""A report as one HTML file: it holds its pictures itself and asks nothing of the network."""

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
from rich.table import Table

from ...sinks.files import encode_picture
from .page import Figure, Page, Section, aligned_right, cells

__all__ = ["html_page"]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 1500px; margin: 2em auto; padding: 0 1em }
h1, h2 { font-weight: 600 } table { border-collapse: collapse; margin: 0.5em 0 1.5em }
td, th { padding: 0.15em 0.9em 0.15em 0; text-align: left; border-bottom: 1px solid #e5e7eb }
.number { text-align: right } caption { text-align: left; color: #6b7280 }
img { width: 100%; display: block } figure { margin: 1em 0 2em } figcaption { margin-bottom: 0.3em }
i { display: inline-block; width: 0.9em; height: 0.9em; margin: 0 0.3em 0 1em; vertical-align: -0.1em }
"""


def html_page(page: Page) -> bytes:
    """The file's content."""
    title = escape(page.title)
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title}</h1>{''.join(map(_table, page.tables))}{''.join(map(_section, page.sections))}</html>\n"
    )
    return text.encode()


def _section(section: Section) -> str:
    legend = "".join(f'<i style="background:rgb{color}"></i>{escape(name)}' for name, color in section.legend.items())
    figures = "".join(_figure(figure, section.note) for figure in section.figures)
    return f"<h2>{escape(section.title)}</h2><p>{escape(section.note)}{legend}</p>{figures}"


def _figure(figure: Figure, note: str) -> str:
    content = base64.b64encode(encode_picture(".png", np.ascontiguousarray(figure.picture[..., ::-1]), ())).decode()
    return (
        f'<figure><figcaption>{escape(figure.caption)}</figcaption><img alt="{escape(note)}" '
        f'src="data:image/png;base64,{content}"></figure>'
    )


def _table(made: Table) -> str:
    head, *rows = cells(made)
    right = aligned_right(made)
    lines = "".join(f"<tr>{_row('td', row, right)}</tr>" for row in rows)
    return f"<table><caption>{escape(str(made.title))}</caption><tr>{_row('th', head, right)}</tr>{lines}</table>"


def _row(tag: str, row: Sequence[str], right: Sequence[bool]) -> str:
    kinds = (' class="number"' if each else "" for each in right)
    return "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, row, strict=True))

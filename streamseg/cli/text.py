"""What the command prints: text that any terminal takes, and tables."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

    from ..vocabulary import Vocabulary

__all__ = ["aligned", "clock", "describe_words", "new_table", "print_table", "printable", "progress_bar"]


def printable(text: str, stream: TextIO) -> str:
    """File names need not be valid text; what cannot be printed is shown as an escape."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines: the first and the last column to the left, numbers between them to the right. Columns
    that are empty in every row are left out."""
    from rich.cells import cell_len

    columns = [column for column in zip(*rows, strict=True) if any(column)]
    padded = []
    for place, column in enumerate(columns):
        width = max(map(cell_len, column))
        left = place in (0, len(columns) - 1)
        spaces = [" " * (width - cell_len(cell)) for cell in column]
        padded.append([cell + space if left else space + cell for cell, space in zip(column, spaces, strict=True)])
    return ["  ".join(cells).rstrip() for cells in zip(*padded, strict=True)]


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def describe_words(words: "Vocabulary") -> str:
    """A vocabulary for people: its name, how many words, and the first of them."""
    shown = ", ".join([category.label for category in words.categories[:3]] + ["..."] * (len(words) > 3))
    background = f", against {len(words.background)} others as background" if words.background else ""
    return f"{words.name}, {len(words)} categor{'y' if len(words) == 1 else 'ies'} ({shown}){background}"


def new_table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def print_table(table: Any) -> None:
    """As wide as the terminal; in a pipe as wide as the text, so that no line is broken."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = max(80, Measurement.get(console, console.options.update(width=10_000), table).maximum)
    console.print(table)


def progress_bar(*, quiet: bool) -> "Progress":
    """A bar on stderr, on terminals only."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet or not sys.stderr.isatty())

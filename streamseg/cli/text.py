"""What the command prints: text that any terminal takes, and tables."""

import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["new_table", "print_table", "printable", "progress_bar"]


def printable(text: str, stream: TextIO) -> str:
    """File names need not be valid text; what cannot be printed is shown as an escape."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


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

"""A bar while a vocabulary is encoded for the first time, which takes minutes for large ones on a CPU."""

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["TextProgress"]


class TextProgress:
    """Call it as progress(done, total) with numbers of names. Draws on stderr, and only on a terminal."""

    def __init__(self) -> None:
        self._bar: Progress | None = None

    def __call__(self, done: int, total: int) -> None:
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            columns = (TextColumn("encoding words"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
            self._bar.add_task("", total=total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, refresh=True)
        if done >= total:
            self._bar.stop()
            self._bar = None

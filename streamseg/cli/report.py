"""What a run over pictures tells its user."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StreamsegError
from .text import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ..frames import FrameResult

__all__ = ["Report"]


class Report:
    """What a run tells its user: a bar on a terminal, plain lines otherwise; errors even when quiet."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.failures = 0
        self.finished = 0
        self.segments = 0
        self._total = 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def say(self, text: str) -> None:
        if not self.quiet:
            self._print(text)

    def failed(self, error: StreamsegError) -> None:
        self.failures += 1
        self._print(f"error: {' '.join(str(error).split())}")
        self._advance()

    def done(self, name: str, result: "FrameResult") -> None:
        self.finished += 1
        self.segments += len(result.segments)
        if self._bar is None:
            self.say(f"[{self.finished}/{self._total}] {name}: {len(result.segments)} segments")
        self._advance()

    def progress(self, total: int) -> "Report":
        self._total = total
        return self

    def __enter__(self) -> None:
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("segmenting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task("", total=self._total)
            self._bar.start()

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def summary(self, folder: Path, example: str) -> None:
        failed = f", {self.failures} failed" if self.failures else ""
        pictures = "1 picture" if self.finished == 1 else f"{self.finished} pictures"
        where = f"; results are in {folder}{os.sep}" if self.finished else "; nothing was written"
        if not self.quiet:
            print(printable(f"{pictures} segmented ({self.segments} segments){failed}{where}", sys.stdout))
            if self.finished:
                files = f"{example}.panoptic.png, {example}.json, {example}.overlay.jpg"
                print(printable(f"  for each picture, e.g. {files}; for all of them panoptic.json", sys.stdout))

    def _print(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(printable(text, sys.stderr), markup=False, highlight=False, soft_wrap=True)
        else:
            print(printable(text, sys.stderr), file=sys.stderr, flush=True)

    def _advance(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)

"""What `streamseg run` tells as it goes: a live line for each stream on a terminal, now and then a line otherwise."""

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ..pipeline.build import expected_results
from .text import aligned, clock, describe_words, printable

if TYPE_CHECKING:
    from rich.live import Live

    from ..frames import FrameResult
    from ..metrics import StreamTotals
    from ..pipeline.plan import RunPlan, StreamPlan
    from ..runtime.job import Job

__all__ = ["Rate", "RunReport"]

LINE_SECONDS = 10.0
REFRESHES = 4  # a second, on a terminal
RATE_SECONDS = 5.0  # frames a second are counted over so long,
RATE_FRAMES = 8  # and over so many frames, so that a slow model has a steady rate, too


class RunReport:
    """Progress on stderr, the summary on stdout, or on stderr too where records go to stdout.

    Args:
        quiet: say nothing at all; errors are told by others.
        plan: of the run.
    """

    def __init__(self, quiet: bool, plan: "RunPlan") -> None:
        self.quiet = quiet
        self._plan = plan
        self._job: Job | None = None
        self._rates: dict[str, Rate] = {}
        self._live: Live | None = None
        self._began = time.monotonic()

    def begin(self) -> None:
        """Before the model is loaded."""
        streams = self._plan.streams
        for stream in streams:
            self._say(f"{stream.name}: {stream.describe()}")
        for words in dict.fromkeys(stream.vocabulary for stream in streams):
            named = [stream.name for stream in streams if stream.vocabulary == words]
            self._say(f"words{_of_some(named, len(streams))}: {describe_words(words)}")
        if self._plan.spec.notice:
            self._say(f"note: {self._plan.spec.notice}")
        self._say(f"loading {self._plan.spec.name}")

    @contextmanager
    def following(self, job: "Job") -> Iterator[None]:
        """While frames are computed."""
        self._job, self._began = job, time.monotonic()
        statuses = job.statuses()
        for name, totals in job.totals().items():
            self._rates[name] = Rate(totals.emitted, self._began)
            if totals.emitted:
                left = ", nothing is left to do" if statuses[name] == "done" else ""
                self._say(f"{name}: {totals.emitted} frames were done before{left}")
        with ExitStack() as stack:
            if not self.quiet:
                stack.enter_context(self._display() if sys.stderr.isatty() else self._log())
            yield

    def result(self, result: "FrameResult") -> None:
        """A frame is done."""
        if result.status == "failed":
            self._say(f"{result.stream_id}: frame {result.index} failed: {result.error}")

    def summary(self, job: "Job") -> None:
        """After the last frame, also of a run that failed or was stopped."""
        if self.quiet:
            return
        from .summary import print_summary

        seconds = time.monotonic() - self._began
        before = {name: rate.first for name, rate in self._rates.items()}
        on_stdout = all(sink.kind != "stdout" for sink in self._plan.settings.sinks)
        print_summary(job, seconds, before, sys.stdout if on_stdout else sys.stderr)

    @contextmanager
    def _display(self) -> Iterator[None]:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        try:
            with Live(
                console=console, get_renderable=self._renderable, refresh_per_second=REFRESHES, transient=True
            ) as self._live:
                yield
        finally:
            self._live = None

    @contextmanager
    def _log(self) -> Iterator[None]:
        ended = threading.Event()

        def tick() -> None:
            while not ended.wait(LINE_SECONDS):
                for line in self._lines():
                    self._say(line)

        ticker = threading.Thread(target=tick, name="progress", daemon=True)
        ticker.start()
        try:
            yield
        finally:
            ended.set()
            ticker.join()

    def _renderable(self) -> Any:
        from rich.text import Text

        return Text("\n".join(printable(line, sys.stderr) for line in self._lines()), no_wrap=True, overflow="ellipsis")

    def _lines(self) -> list[str]:
        if self._job is None:
            return []
        totals, statuses, now = self._job.totals(), self._job.statuses(), time.monotonic()
        return aligned(
            [self._cells(stream, totals[stream.name], statuses[stream.name], now) for stream in self._job.plan.streams]
        )

    def _cells(self, stream: "StreamPlan", totals: "StreamTotals", status: str, now: float) -> list[str]:
        rate = self._rates[stream.name].update(totals.emitted, now)
        expected = expected_results(stream.info, self._plan.settings.selection)
        dropped = sum(totals.dropped.values())
        return [
            stream.name,
            f"{totals.emitted} frames" if expected is None else f"{totals.emitted}/{expected} frames",
            "" if status == "done" else f"{rate:.1f} fps",
            f"{totals.tracks} tracks",
            f"{dropped} dropped" if dropped else "",
            "" if status == "done" else time_left(totals.emitted, expected, rate),
            status,
        ]

    def _say(self, text: str) -> None:
        if self.quiet:
            return
        text = printable(text, sys.stderr)
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)


class Rate:
    """Frames a second, lately.

    Args:
        count: frames that were there at the beginning.
        now: `time.monotonic()`, as in `update`.

    Attributes:
        first: frames that were there at the beginning.
    """

    def __init__(self, count: int, now: float) -> None:
        self.first = count
        self._marks = [(now, count)]

    def update(self, count: int, now: float) -> float:
        """The rate, with so many frames there by now."""
        if count != self._marks[-1][1]:
            self._marks.append((now, count))
        while len(self._marks) > 2 and self._is_enough(self._marks[1], count, now):
            self._marks.pop(0)
        began, before = self._marks[0]
        return (count - before) / (now - began) if now > began else 0.0

    @staticmethod
    def _is_enough(mark: tuple[float, int], count: int, now: float) -> bool:
        return now - mark[0] >= RATE_SECONDS and count - mark[1] >= RATE_FRAMES


def time_left(done: int, expected: int | None, rate: float) -> str:
    """Of a stream with an end; empty where nobody can tell."""
    if expected is None or rate <= 0 or done >= expected:
        return ""
    return f"{clock((expected - done) / rate)} left"


def _of_some(names: Sequence[str], count: int) -> str:
    return "" if len(names) == count else f" of {', '.join(names)}"

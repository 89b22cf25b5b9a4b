"""What `streamseg run` tells its user: a live line for each stream on a terminal, now and then a line otherwise."""

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from .text import printable

if TYPE_CHECKING:
    from rich.live import Live

    from ..frames import FrameResult
    from ..metrics import StreamTotals
    from ..pipeline.plan import RunPlan, StreamPlan
    from ..runtime.local import LocalRun

__all__ = ["RunReport", "summary_lines"]

LINE_SECONDS = 10.0
RATE_SECONDS = 5.0  # frames a second are counted over so long


class RunReport:
    """Progress on stderr, the summary on stdout, or on stderr too where records go to stdout. A context manager."""

    def __init__(self, quiet: bool, plan: "RunPlan") -> None:
        self.quiet = quiet
        self._plan = plan
        self._job: LocalRun | None = None
        self._rates: dict[str, Rate] = {}
        self._live: Live | None = None
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None
        self._records_on_stdout = any(sink.kind == "stdout" for sink in plan.settings.sinks)
        self._began = time.monotonic()

    def begin(self) -> None:
        """Before the model is loaded."""
        for stream in self._plan.streams:
            self._say(f"{stream.name}: {stream.describe()}; {stream.vocabulary!r}")
        if self._plan.spec.notice:
            self._say(f"note: {self._plan.spec.notice}")
        self._say(f"loading {self._plan.spec.name}")

    def ready(self, job: "LocalRun") -> None:
        """Before the first frame."""
        self._job = job
        for stream in job.plan.streams:
            self._rates[stream.name] = Rate(job.totals()[stream.name].emitted)
        self._began = time.monotonic()

    def result(self, result: "FrameResult") -> None:
        """A frame is done."""
        if result.status == "failed":
            self._say(f"{result.stream_id}: frame {result.index} failed: {result.error}")

    def __enter__(self) -> None:
        if self.quiet:
            return
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(stderr=True), get_renderable=self._table, refresh_per_second=4, transient=True
            )
            self._live.start()
        else:
            self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
            self._ticker.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._ticker is not None:
            self._ticker.join()

    def summary(self, job: "LocalRun") -> None:
        """After the last frame, also of a run that failed or was stopped."""
        if self.quiet:
            return
        stream = sys.stderr if self._records_on_stdout else sys.stdout
        seconds = time.monotonic() - self._began
        folder = None if job.folder is None else f"{job.folder.path}{os.sep}"
        rates = {name: rate.since_start(seconds) for name, rate in self._rates.items()}
        for line in [*summary_lines(job.totals(), rates), *loss_lines(job.losses())]:
            print(printable(line, stream), file=stream)
        if folder is not None:
            print(printable(f"results are in {folder}", stream), file=stream)

    def _tick(self) -> None:
        while not self._ended.wait(LINE_SECONDS):
            for line in self._lines():
                self._say(line)

    def _lines(self) -> list[str]:
        assert self._job is not None
        totals, statuses = self._job.totals(), self._job.statuses()
        return [
            f"{stream.name}: {self._progress(stream, totals[stream.name])}, {statuses[stream.name]}"
            for stream in self._job.plan.streams
        ]

    def _progress(self, stream: "StreamPlan", totals: "StreamTotals") -> str:
        rate = self._rates[stream.name].update(totals.emitted)
        parts = [_of(totals.emitted, stream.info.frames), f"{rate:.1f} fps", f"{totals.tracks} tracks"]
        dropped = sum(totals.dropped.values())
        if dropped:
            parts.append(f"{dropped} dropped")
        left = _time_left(stream, totals, rate)
        return ", ".join([*parts, *([left] if left else [])])

    def _table(self) -> Any:
        from rich.text import Text

        return Text("\n".join(printable(line, sys.stderr) for line in self._lines()), no_wrap=True, overflow="ellipsis")

    def _say(self, text: str) -> None:
        if self.quiet:
            return
        text = printable(text, sys.stderr)
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)


class Rate:
    """Frames a second over the last few seconds."""

    def __init__(self, count: int) -> None:
        self._first = count
        self._last = count
        self._marks = [(time.monotonic(), count)]

    def update(self, count: int) -> float:
        now = time.monotonic()
        self._last = count
        self._marks.append((now, count))
        while len(self._marks) > 2 and now - self._marks[0][0] > RATE_SECONDS:
            self._marks.pop(0)
        began, before = self._marks[0]
        return (count - before) / (now - began) if now > began else 0.0

    def since_start(self, seconds: float) -> tuple[int, float]:
        """Count that was there before, and how long the run took."""
        return self._first, seconds


def summary_lines(totals: "dict[str, StreamTotals]", rates: dict[str, tuple[int, float]]) -> list[str]:
    """One line for each stream: what became of its frames, how fast, how late."""
    lines = []
    for name, counts in totals.items():
        before, seconds = rates.get(name, (0, 0.0))
        fps = (counts.emitted - before) / seconds if seconds > 0 else 0.0
        dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.dropped.items()))
        parts = [f"{counts.decoded} decoded = {counts.emitted} emitted + {sum(counts.dropped.values())} dropped"]
        if dropped:
            parts[0] += f" ({dropped})"
        if counts.in_flight:
            parts[0] += f" + {counts.in_flight} in flight"
        if counts.failed:
            parts.append(f"{counts.failed} failed")
        parts += [f"{counts.tracks} tracks", f"{fps:.1f} fps"]
        if counts.latency_seconds is not None:
            p50, p95, p99 = (f"{1000 * value:.0f}" for value in counts.latency_seconds)
            parts.append(f"latency p50 {p50}, p95 {p95}, p99 {p99} ms")
        lines.append(f"{name}: {'; '.join(parts)}")
    return lines


def loss_lines(losses: dict[str, dict[str, dict[str, int]]]) -> list[str]:
    """One line for each sink that could not take everything."""
    lines = []
    for name, sinks in losses.items():
        for sink, lost in sinks.items():
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(lost.items()))
            lines.append(f"{name}: {sink} lost {sum(lost.values())} frames ({reasons})")
    return lines


def _of(count: int, total: int | None) -> str:
    return f"{count} frames" if total is None else f"{count}/{total} frames"


def _time_left(stream: "StreamPlan", totals: "StreamTotals", rate: float) -> str:
    if stream.info.frames is None or rate <= 0 or stream.info.frames <= totals.decoded or not totals.decoded:
        return ""
    kept = totals.emitted / totals.decoded
    seconds = int((stream.info.frames - totals.decoded) * kept / rate)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"

"""What a run has come to: what became of its frames, where the results are, and what can be done with them."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from .text import aligned, clock, printable

if TYPE_CHECKING:
    from ..metrics import StreamTotals
    from ..runtime.job import Job

__all__ = ["count_lines", "loss_lines", "print_summary", "result_lines"]

HEADER = ("stream", "decoded", "emitted", "dropped", "tracks", "fps", "latency p50, p95, p99")
ALL = "all"

RESULTS: Mapping[str, tuple[str, str]] = {
    "jsonl": ("records*.jsonl", "a line of JSON for every frame"),
    "tracks": ("tracks*.jsonl", "a line of JSON for every track"),
    "video": ("epoch-*/overlay*.mp4", "the video with its segments drawn over it"),
    "png": ("epoch-*/panoptic*/", "a panoptic PNG for every frame"),
    "masks": ("epoch-*/masks*", "a PNG for every segment of every frame"),
    "vps": ("vps/pred.json", "a video panoptic document"),
    "mots": ("mots/data/*.txt", "tracks of things, as TrackEval reads them"),
    "ytvis": ("ytvis/results.json", "a YouTube-VIS result document"),
}
"""By sink: where its files are in a stream's folder, and what they are."""


def print_summary(job: "Job", seconds: float, before: Mapping[str, int], stream: TextIO) -> None:
    """Everything, in a few lines.

    Args:
        job: the run, at its end.
        seconds: it took.
        before: frames of each stream that were there when it began, where it went on with an earlier one.
        stream: where to print.
    """
    for line in (
        *count_lines(job.totals(), seconds, before),
        *loss_lines(job.losses()),
        *_nothing_lines(job.totals()),
        *_end_lines(job, seconds),
    ):
        print(printable(line, stream), file=stream)
    if stream.isatty():
        for line in _next_lines(job):
            print(printable(line, stream), file=stream)
    stream.flush()


def count_lines(totals: "Mapping[str, StreamTotals]", seconds: float, before: Mapping[str, int]) -> list[str]:
    """A table with one line for each stream, and one for all of them."""
    rows = [_row(name, counts, _rate(counts.emitted - before.get(name, 0), seconds)) for name, counts in totals.items()]
    if len(rows) > 1:
        sums = [sum(getattr(counts, name) for counts in totals.values()) for name in ("decoded", "emitted", "tracks")]
        dropped = sum(sum(counts.dropped.values()) for counts in totals.values())
        fps = _rate(sums[1] - sum(before.values()), seconds)
        rows.append([ALL, f"{sums[0]:,}", f"{sums[1]:,}", f"{dropped:,}", f"{sums[2]:,}", fps, ""])
    why = [f"{name}: {text}" for name, counts in totals.items() if (text := _why(counts))]
    return [*aligned([HEADER, *rows]), *why]


def loss_lines(losses: Mapping[str, Mapping[str, Mapping[str, int]]]) -> list[str]:
    """One line for each sink that could not take everything."""
    return [
        f"{name}: {sink} lost {sum(lost.values())} frames ({_counted(lost)})"
        for name, sinks in losses.items()
        for sink, lost in sinks.items()
    ]


def result_lines(folder: Path, streams: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """What there is now, by sink: the first file or folder of each, and how many more."""
    rows = []
    for kind in kinds:
        if kind not in RESULTS:
            continue
        pattern, meaning = RESULTS[kind]
        there = [path for stream in streams for path in sorted((folder / stream).glob(pattern))]
        found = [path for path in there if path.is_dir() or path.stat().st_size]
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            rows.append([f"  {found[0]}{more}", meaning])
    return aligned(rows) if rows else []


def _row(name: str, counts: "StreamTotals", fps: str) -> list[str]:
    latency = counts.latency_seconds
    return [
        name,
        f"{counts.decoded:,}",
        f"{counts.emitted:,}",
        f"{sum(counts.dropped.values()):,}",
        f"{counts.tracks:,}",
        fps,
        "" if latency is None else f"{', '.join(f'{1000 * value:.0f}' for value in latency)} ms",
    ]


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:.1f}" if count > 0 and seconds > 0 else "-"


def _why(counts: "StreamTotals") -> str:
    """What became of frames that have no result, or not one as they should."""
    parts = []
    if counts.dropped:
        parts.append(f"dropped: {_counted(counts.dropped)}")
    if counts.failed:
        parts.append(f"failed: {counts.failed} of those emitted")
    if counts.in_flight:
        parts.append(f"still on their way: {counts.in_flight}")
    return "; ".join(parts)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in sorted(counts.items()))


def _nothing_lines(totals: "Mapping[str, StreamTotals]") -> Iterator[str]:
    for name, counts in totals.items():
        if not counts.emitted:
            outside = "before_start" in counts.dropped
            reason = "; --start is beyond its end" if outside and sum(counts.dropped.values()) == counts.decoded else ""
            yield f"{name}: no frame was segmented{reason}"


def _end_lines(job: "Job", seconds: float) -> list[str]:
    duration = f"{seconds:.1f} s" if seconds < 60 else clock(seconds)
    took = f"{job.state} {'in' if job.state == 'finished' else 'after'} {duration}"
    if job.folder is None:
        return [took]
    folder = job.folder.path
    files = result_lines(folder, job.plan.names, [sink.kind for sink in job.plan.settings.sinks])
    goes_on = "" if job.state == "finished" else "; the same command with --resume goes on"
    return [f"{took}; results are in {folder}{goes_on}", *files]


def _next_lines(job: "Job") -> Iterator[str]:
    kinds = [sink.kind for sink in job.plan.settings.sinks]
    if job.state != "finished" or job.folder is None or "jsonl" not in kinds:
        return
    folder = shlex.quote(str(job.folder.path))
    commands = [f"streamseg stats {folder}"]
    if "video" not in kinds:
        commands.insert(0, f"streamseg view {folder}")
    if "tracks" in kinds:
        commands.append(f'streamseg query {folder} "red car"')
    yield f"next: {', or '.join(commands)}"

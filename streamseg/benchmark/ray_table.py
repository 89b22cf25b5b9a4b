"""The figures of the Ray runtime as a table in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from .tables import head_of, row_of

__all__ = ["TARGETS", "ray_table"]

Row = Mapping[str, Any]

TARGETS = {"overhead": 0.7, "fairness": 0.8, "batching": 0.9}
"""What is wanted at least."""


def ray_table(results: Sequence[Row]) -> str:
    """Markdown: a row for each measurement, with what was wanted of it."""
    columns = ("measured", "**figure**", "wanted", "on", "beside it")
    return "\n".join([*head_of(columns), *(row_of([row["part"], *CELLS[row["part"]](row)]) for row in results)])


def _overhead(row: Row) -> list[str]:
    height, width = row["size_hw"]
    return [
        f"**{row['ratio']:.2f}** ({row['ratio_low']:.2f}-{row['ratio_high']:.2f}) of one process's frames a second",
        f"{TARGETS['overhead']}",
        f"a recording of {height}x{width}, demo model, {row['save']}, {row['runs']} turns of {row['frames']} frames",
        f"{row['local_fps']:.1f} and {row['ray_fps']:.1f} frames a second; CPU a frame {row['local_cpu_ms']:.0f} and "
        f"{row['ray_cpu_ms']:.0f} ms",
    ]


def _fairness(row: Row) -> list[str]:
    return [
        f"**{row['fairness']:.2f}**, slowest / fastest stream",
        f"{TARGETS['fairness']}",
        f"{row['streams']} recordings, {row['what']}, demo model",
        f"{row['fps']:.1f} frames a second together, over {row['seconds']:.0f} s",
    ]


def _batching(row: Row) -> list[str]:
    return [
        f"**{row['share']:.2f}** of full batches one after the other",
        f"{TARGETS['batching']}",
        f"{row['streams']} recordings, a model of {1000 * row['call_seconds']:.0f} ms a call, batches of "
        f"{row['max_batch']} at most",
        f"{row['fps']:.1f} frames a second together, {row['batch']:.1f} frames a call, over {row['seconds']:.0f} s",
    ]


def _latency(row: Row) -> list[str]:
    dropped = ", ".join(f"{reason} {count}" for reason, count in sorted(row["dropped"].items()))
    parts = "; ".join(f"{name} {_milliseconds(part)}" for name, part in row["parts"].items())
    return [
        f"**{1000 * row['total']['p95']:.0f} ms** from capture to record, 95th percentile",
        "reported",
        f"an RTSP camera, {row['size']} at {row['fps']} frames a second, model at work {row['load']:.0%} of the time",
        f"{row['frames']} frames, dropped: {dropped or 'none'}; median / 95th percentile, ms: {parts}",
    ]


def _milliseconds(part: Mapping[str, float]) -> str:
    return f"{1000 * part['p50']:.0f} / {1000 * part['p95']:.0f}"


CELLS = {"overhead": _overhead, "fairness": _fairness, "latency": _latency, "batching": _batching}

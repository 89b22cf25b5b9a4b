"""The parts of `python -m pipelines.benchmark ray`, each in a cluster of its own on this machine."""

from pathlib import Path
from typing import Any

from ..runtime.cluster.joining import join
from .pipeline import pipeline_settings
from .ray_latency import benchmark_latency
from .ray_overhead import benchmark_overhead
from .ray_streams import benchmark_batching, benchmark_fairness

__all__ = ["measure_ray"]


def measure_ray(part: str, *, source: Path | str, frames: int, runs: int) -> list[dict[str, Any]]:
    """One part's rows.

    Args:
        part: "overhead", "fairness", "latency" or "batching".
        source: the recording that overhead is measured on.
        frames, runs: of that measurement.

    Raises:
        ConfigError: Ray is not installed, or, for latency, no RTSP server.
    """
    membership = join(None)
    try:
        return [{"part": part, **row} for row in _rows(part, source, frames, runs)]
    finally:
        membership.close()


def _rows(part: str, source: Path | str, frames: int, runs: int) -> list[dict[str, Any]]:
    if part == "overhead":
        return [benchmark_overhead(pipeline_settings("demo", source, "jsonl", frames), runs=runs).to_dict()]
    if part == "fairness":
        return [benchmark_fairness(mixed=mixed).to_dict() for mixed in (False, True)]
    if part == "latency":
        return [benchmark_latency().to_dict()]
    return [benchmark_batching().to_dict()]

"""What spreading a run over processes costs: Ray against one process, on the same frames of the same recording.

Frames a second from the moment that a run has got going to its last result, both with the same model, sinks and
threads, in turns, so that drift of the machine cancels.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..config.run import RunSettings
from ..pipeline.build import build_segmenter
from ..pipeline.plan import plan_run
from ..runtime.cluster.run import RayRun
from ..runtime.run import prepare_run
from ..segmenter import Segmenter
from .pipeline import WARM_UP
from .soak_watch import processor_seconds
from .turns import Mark, Pace, take_turns

__all__ = ["Overhead", "benchmark_overhead"]


@dataclass(frozen=True, slots=True)
class Overhead:
    """One choice of sinks.

    Attributes:
        ratio: median over the turns of frames a second, Ray / one process.
        ratio_low, ratio_high: smallest and largest of these ratios.
        local_fps, ray_fps: medians.
        local_cpu_ms, ray_cpu_ms: processor time a frame of all processes of the run, medians; without Ray's own.
    """

    save: str
    size_hw: tuple[int, int]
    frames: int
    runs: int
    ratio: float
    ratio_low: float
    ratio_high: float
    local_fps: float
    ray_fps: float
    local_cpu_ms: float
    ray_cpu_ms: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def benchmark_overhead(settings: RunSettings, *, runs: int = 5) -> Overhead:
    """Measure both, in a cluster that is there.

    Args:
        settings: of `pipeline_settings`.
        runs: counted turns.
    """
    segmenter = build_segmenter(settings, progress=False)
    local, ray = replace(settings, runtime="local"), replace(settings, runtime="ray")
    turns = take_turns(lambda: one_run(ray, None), lambda: one_run(local, segmenter), runs)
    return Overhead(
        save=",".join(sink.kind for sink in settings.sinks),
        size_hw=plan_run(settings).streams[0].info.size_hw or (0, 0),
        frames=settings.selection.max_frames or 0,
        runs=runs,
        ratio=turns.ratio,
        ratio_low=min(turns.ratios),
        ratio_high=max(turns.ratios),
        local_fps=turns.baseline.fps,
        ray_fps=turns.measured.fps,
        local_cpu_ms=turns.baseline.cpu_ms,
        ray_cpu_ms=turns.measured.cpu_ms,
    )


def one_run(settings: RunSettings, segmenter: Segmenter | None) -> Pace:
    """A run to its end; without its beginning.

    Args:
        settings: of the run.
        segmenter: in one process, so that it is loaded once; under Ray each worker loads its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        job = prepare_run(
            plan_run(replace(settings, output=folder)), segmenter=segmenter, overwrite=True, progress=False
        )
        processes = job.processes if isinstance(job, RayRun) else dict
        marks: list[Mark] = []
        for number, _ in enumerate(job.results(), start=1):
            spent = _spent(processes) if number in (WARM_UP, settings.selection.max_frames) else 0.0
            marks.append(Mark(time.perf_counter(), spent))
    return Pace.between(marks[WARM_UP - 1], marks[-1], len(marks) - WARM_UP)


def _spent(processes: Callable[[], Mapping[str, int]]) -> float:
    """Processor seconds of this process and the others."""
    return time.process_time() + sum(processor_seconds(number) or 0.0 for number in processes().values())

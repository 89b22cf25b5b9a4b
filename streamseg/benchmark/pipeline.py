"""What the rest of the pipeline costs beside the model.

Frames a second of a whole run (decode, segment, associate, fuse, write) over frames a second of the segmenter alone:
the same model on the same frames, already decoded, with the same batch and the same threads, measured in turns with the
run so that machines compare and drift cancels. A ratio of 1 would mean that everything but the model is free.
"""

import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ..config.run import RunSettings, read_settings
from ..errors import ConfigError
from ..frames import Frame
from ..pipeline.build import build_segmenter
from ..pipeline.plan import RunPlan, plan_run
from ..runtime.run import prepare_run
from ..segmenter import Segmenter
from ..sources.base import everything
from .machine import peak_memory_bytes, reset_peak_memory
from .pipeline_stages import stage_milliseconds
from .turns import Mark, Pace, take_turns

__all__ = ["PipelineTiming", "benchmark_pipeline", "pipeline_settings"]

WARM_UP = 10  # results of a run that do not count: queues fill, memory is claimed
CHUNK = 20  # decoded frames that are held at a time: 55 MB at 720p


@dataclass(frozen=True, slots=True)
class PipelineTiming:
    """One choice of sinks.

    Attributes:
        ratio: median over the turns of pipeline / segmenter frames a second.
        ratio_low, ratio_high: smallest and largest of these ratios.
        pipeline_fps, segmenter_fps: medians.
        pipeline_cpu_ms, segmenter_cpu_ms: CPU time a frame, medians.
        stages: milliseconds a frame that each part takes by itself, one after another in one thread.
        peak_bytes: most resident memory while a run was on, the model included.
    """

    model: str
    save: str
    source: str
    size_hw: tuple[int, int]
    frames: int
    runs: int
    ratio: float
    ratio_low: float
    ratio_high: float
    pipeline_fps: float
    segmenter_fps: float
    pipeline_cpu_ms: float
    segmenter_cpu_ms: float
    stages: dict[str, float]
    peak_bytes: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def pipeline_settings(
    model: str, source: Path | str, save: str, frames: int, *, weights: Path | str | None = None
) -> RunSettings:
    """A run as a user would start it, with the default of everything else.

    Args:
        model, source: their names.
        save: kinds of sinks, such as "jsonl,png".
        frames: how many.
        weights: a checkpoint; None takes what is shipped or published.
    """
    if frames <= 2 * WARM_UP:
        raise ConfigError(f"frames is {frames}, expected more than {2 * WARM_UP}: the first {WARM_UP} do not count")
    given = {
        "sources": [str(source)],
        "model": {"name": model, "weights": None if weights is None else str(weights)},
        "sinks": [kind.strip() for kind in save.split(",") if kind.strip()],
        "selection": {"max_frames": frames},
    }
    return read_settings(given=given)


def benchmark_pipeline(settings: RunSettings, *, runs: int = 5) -> PipelineTiming:
    """Measure one run's settings in this process, with the threads that torch has now.

    Args:
        settings: of `pipeline_settings`.
        runs: counted turns of segmenter and pipeline.
    """
    plan = plan_run(settings)
    segmenter = build_segmenter(settings, progress=False)
    reset_peak_memory()
    _whole(plan, segmenter)
    peak = peak_memory_bytes()
    turns = take_turns(lambda: _whole(plan, segmenter), lambda: _alone(plan, segmenter), runs)
    stream = plan.streams[0]
    return PipelineTiming(
        model=plan.spec.name,
        save=",".join(sink.kind for sink in settings.sinks),
        source=stream.describe(),
        size_hw=stream.info.size_hw or (0, 0),
        frames=settings.selection.max_frames or 0,
        runs=runs,
        ratio=turns.ratio,
        ratio_low=min(turns.ratios),
        ratio_high=max(turns.ratios),
        pipeline_fps=turns.measured.fps,
        segmenter_fps=turns.baseline.fps,
        pipeline_cpu_ms=turns.measured.cpu_ms,
        segmenter_cpu_ms=turns.baseline.cpu_ms,
        stages=stage_milliseconds(plan, segmenter),
        peak_bytes=peak,
    )


def _whole(plan: RunPlan, segmenter: Segmenter) -> Pace:
    """One run, from the moment that it has got going to its last result."""
    with tempfile.TemporaryDirectory() as folder:
        job = prepare_run(
            replace(plan, settings=replace(plan.settings, output=folder)), segmenter=segmenter, overwrite=True
        )
        marks = [Mark(time.perf_counter(), time.process_time()) for _ in job.results()]
    return Pace.between(marks[WARM_UP - 1], marks[-1], len(marks) - WARM_UP)


def _alone(plan: RunPlan, segmenter: Segmenter) -> Pace:
    """The same frames through the segmenter; they are decoded in advance, which is not counted."""
    batch = plan.settings.batch.max_batch or 1
    vocabulary = plan.streams[0].vocabulary
    seconds = cpu = 0.0
    count = 0
    for chunk in _chunks(plan):
        started = time.perf_counter(), time.process_time()
        for start in range(0, len(chunk), batch):
            segmenter.segment(chunk[start : start + batch], vocabulary)
        seconds += time.perf_counter() - started[0]
        cpu += time.process_time() - started[1]
        count += len(chunk)
    return Pace.between(Mark(0.0, 0.0), Mark(seconds, cpu), count)


def _chunks(plan: RunPlan) -> Iterator[list[Frame]]:
    """The frames of the run that count, decoded a few at a time."""
    source = plan.open(plan.streams[0])
    found = source.frames(threading.Event(), wanted=everything)
    frames = (frame for frame in found if isinstance(frame, Frame))
    wanted = islice(frames, WARM_UP, plan.settings.selection.max_frames)
    while chunk := list(islice(wanted, CHUNK)):
        yield chunk

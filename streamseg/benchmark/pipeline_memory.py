"""Whether a run's memory grows with the length of its stream. This may be measured while others use the machine."""

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..config.run import RunSettings
from ..config.sources import SourceSettings
from ..errors import ConfigError
from ..pipeline.build import build_segmenter
from ..pipeline.plan import RunPlan, plan_run
from ..runtime.run import prepare_run
from ..segmenter import Segmenter
from .machine import allocated_bytes, resident_bytes
from .pipeline_clip import looped

__all__ = ["Growth", "LongRun", "benchmark_memory", "measure_growth", "slope"]

SAMPLE_FRAMES = 20
SETTLING = 0.25  # share of the samples that do not count: caches and the allocator's pools fill


@dataclass(frozen=True, slots=True)
class Growth:
    """Memory over a long run.

    Attributes:
        frames: of the run.
        quarter_bytes: after each quarter of the run. Where these come closer, caches and pools fill; where they keep
            their distance, something is never given back.
        first_bytes, last_bytes: where the counted part begins and ends, by the fitted line.
        bytes_per_1000_frames: slope of that line.
    """

    frames: int
    quarter_bytes: tuple[int, ...]
    first_bytes: int
    last_bytes: int
    bytes_per_1000_frames: float


@dataclass(frozen=True, slots=True)
class LongRun:
    """What was run, and how its memory grew.

    Attributes:
        resident: what the process took from the system.
        allocated: what it had in use of that, see `allocated_bytes`; None where that is not known.
    """

    model: str
    save: str
    size_hw: tuple[int, int]
    resident: Growth
    allocated: Growth | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def benchmark_memory(settings: RunSettings, frames: int) -> LongRun:
    """One long run in this process.

    Args:
        settings: of `pipeline_settings`; its clip is shown again and again.
        frames: how many in all.
    """
    plan = plan_run(settings)
    resident, allocated = measure_growth(plan, build_segmenter(settings, progress=False), frames)
    save = ",".join(sink.kind for sink in settings.sinks)
    return LongRun(plan.spec.name, save, plan.streams[0].info.size_hw or (0, 0), resident, allocated)


def measure_growth(plan: RunPlan, segmenter: Segmenter, frames: int) -> tuple[Growth, Growth | None]:
    """Run over a recording again and again, until so many frames are done: resident and allocated memory.

    Args:
        plan: whose first stream is a file.
        segmenter: the model.
        frames: how many.
    """
    recording = plan.streams[0].recording
    if recording is None:
        raise ConfigError(f"source is {plan.streams[0].shown!r}, expected a file: nothing else can be shown in a loop")
    if frames < 10 * SAMPLE_FRAMES:
        raise ConfigError(f"long is {frames}, expected at least {10 * SAMPLE_FRAMES} frames")
    each = plan.settings.selection.max_frames or 1
    with tempfile.TemporaryDirectory() as folder:
        playlist = looped(recording, -(-frames // each), Path(folder))
        settings = replace(
            plan.settings,
            sources=(SourceSettings(str(playlist)),),
            selection=replace(plan.settings.selection, max_frames=frames),
            output=str(Path(folder) / "out"),
        )
        results = prepare_run(plan_run(settings), segmenter=segmenter).results()
        samples = [
            (number, resident_bytes(), allocated_bytes())
            for number, _ in enumerate(results, start=1)
            if not number % SAMPLE_FRAMES
        ]
    resident = slope([(number, size) for number, size, _ in samples])
    allocated = [(number, size) for number, _, size in samples if size is not None]
    return resident, slope(allocated) if allocated else None


def slope(samples: list[tuple[int, int]]) -> Growth:
    """(frame, bytes) samples to a line through those that count."""
    counted = np.array(samples[int(SETTLING * len(samples)) :], np.float64)
    each, start = np.polyfit(counted[:, 0], counted[:, 1], 1)
    first, last = (int(start + each * counted[i, 0]) for i in (0, -1))
    quarters = tuple(samples[len(samples) * quarter // 4 - 1][1] for quarter in (1, 2, 3, 4))
    return Growth(int(counted[-1, 0]), quarters, first, last, float(1000 * each))

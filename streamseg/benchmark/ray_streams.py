"""Many streams on one worker: does each get its share, and do they fill batches?"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from ..config.run import read_settings
from ..pipeline.plan import plan_run
from ..runtime.run import prepare_run
from ..testing.scripted import ScriptedSegmenter
from ..testing.timed import TimedSegmenter, halves, read_calls
from .pipeline_clip import world_clip
from .ray_window import Mark, Window, common_window

__all__ = ["Batching", "Fairness", "benchmark_batching", "benchmark_fairness"]

WARM_UP = 5  # results of each stream that do not count
CLASSES = {"classes": "left; right", "background": "none"}
SMALL_HW = (144, 256)
LARGE_HW = (720, 1280)


@dataclass(frozen=True, slots=True)
class Fairness:
    """Several recordings side by side.

    Attributes:
        what: which they are.
        streams: how many.
        fairness: frames a second, slowest / fastest stream.
        fps: of all together.
        seconds: that were counted.
    """

    what: str
    streams: int
    fairness: float
    fps: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Batching:
    """A model that takes the same time for a batch as for a frame.

    Attributes:
        streams, max_batch: how many at most.
        call_seconds: of the model.
        share: of the frames a second that full batches, one right after the other, would give.
        fps: of all together.
        batch: frames of a call, on average.
        seconds: that were counted.
    """

    streams: int
    max_batch: int
    call_seconds: float
    share: float
    fps: float
    batch: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def benchmark_fairness(*, streams: int = 8, frames: int = 60, mixed: bool = False) -> Fairness:
    """The demo model on recordings, all small, or one of two large.

    Args:
        streams: how many.
        frames: of each.
        mixed: whether every second one is 720p.
    """
    sizes = [LARGE_HW if mixed and number % 2 else SMALL_HW for number in range(streams)]
    window = _run([world_clip(frames, size) for size in sizes], frames, model={"name": "demo", "device": "cpu"})
    height, width = SMALL_HW
    what = f"{height}x{width}" + (" and 720x1280 in turn" if mixed else "")
    return Fairness(what, streams, window.fairness, window.fps, window.seconds)


def benchmark_batching(
    *, streams: int = 16, max_batch: int = 16, call_seconds: float = 0.2, frames: int = 150
) -> Batching:
    """A model of `call_seconds` a call on as many recordings; one thread computes, so full batches are the limit."""
    with TemporaryDirectory() as folder:
        trace = Path(folder) / "calls.jsonl"
        segmenter = TimedSegmenter(ScriptedSegmenter(halves), call_seconds=call_seconds, trace=trace)
        clips = [world_clip(frames, SMALL_HW)] * streams
        batch = {"max_batch": max_batch}
        window = _run(clips, frames, segmenter, vocabulary=CLASSES, batch=batch, torch_threads=1)
        sizes = [len(call.frames) for call in read_calls(trace)]
    return Batching(
        streams=streams,
        max_batch=max_batch,
        call_seconds=call_seconds,
        share=window.fps * call_seconds / max_batch,
        fps=window.fps,
        batch=mean(sizes[WARM_UP:-WARM_UP]),
        seconds=window.seconds,
    )


def _run(clips: Sequence[Path], frames: int, segmenter: Any = None, **given: Any) -> Window:
    names = [f"stream-{number}" for number in range(1, len(clips) + 1)]
    with TemporaryDirectory() as output:
        values = {
            "sources": [{"url": str(clip), "name": name} for name, clip in zip(names, clips, strict=True)],
            "selection": {"max_frames": frames},
            "model": {"name": "demo"},
            "decode": {"threads": 1},
            "output": output,
            "runtime": "ray",
            **given,
        }
        job = prepare_run(plan_run(read_settings(given=values)), segmenter=segmenter, overwrite=True, progress=False)
        marks: list[Mark] = [(result.stream_id, time.perf_counter()) for result in job.results()]
    return common_window(marks, names, warm_up=WARM_UP)

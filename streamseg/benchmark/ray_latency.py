"""How old a camera's picture is when its record is written, and where the time goes.

The camera is a real RTSP server, which says when it took a picture; the model is made to take half of the time between
two pictures. What is in front of the cluster, the camera's encoder and the wait for the end of a picture among others,
is measured by a second reader of the same camera.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..config.run import read_settings
from ..frames import Frame, FrameResult
from ..pipeline.plan import RunPlan, plan_run
from ..runtime.run import prepare_run
from ..sources.base import everything
from ..testing.rtsp_server import RtspServer, require_programs
from ..testing.scripted import ScriptedSegmenter
from ..testing.timed import TimedCall, TimedSegmenter, halves, read_calls

__all__ = ["Latency", "Part", "benchmark_latency"]

WARM_UP = 20
FPS = 10
LOAD = 0.5


@dataclass(frozen=True, slots=True)
class Part:
    """Of the way, in seconds.

    Attributes:
        p50, p95: percentiles over the frames.
    """

    p50: float
    p95: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Part":
        p50, p95 = np.percentile(seconds, (50, 95))
        return cls(float(p50), float(p95))


@dataclass(frozen=True, slots=True)
class Latency:
    """One camera.

    Attributes:
        fps: of the camera.
        load: share of the time in which the model was at work.
        size: of the pictures.
        frames: that were counted.
        dropped: by reason.
        total: from capture to record.
        parts: of the total, in order; and "picture decoded", of another reader, which is the first part's share that
            has nothing to do with the cluster; and "at the caller", behind the record.
    """

    fps: int
    load: float
    size: str
    frames: int
    dropped: Mapping[str, int]
    total: Part
    parts: Mapping[str, Part]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def benchmark_latency(*, frames: int = 300, size: str = "640x480") -> Latency:
    """Measure one camera for so many frames.

    Raises:
        ConfigError: there is no RTSP server on this machine.
    """
    require_programs()
    with TemporaryDirectory() as folder, RtspServer("--fps", str(FPS), "--size", size) as server:
        trace = Path(folder) / "calls.jsonl"
        plan = _plan(server.url(), Path(folder) / "out", frames + WARM_UP)
        decoded = _decoded(plan, frames // 4)
        segmenter: Any = TimedSegmenter(ScriptedSegmenter(halves), call_seconds=LOAD / FPS, trace=trace)
        job = prepare_run(plan, segmenter=segmenter, progress=False)
        arrived = [(result, time.time()) for result in job.results()][WARM_UP:]
        calls = {place: call for call in read_calls(trace) for place in call.frames}
        dropped = job.totals()[plan.names[0]].dropped
    rows = [_row(result, at, calls) for result, at in arrived]
    parts = {name: Part.of([row[name] for row in rows]) for name in rows[0]}
    busy = [call.ended - call.began for call in calls.values()]
    return Latency(
        fps=FPS,
        load=float(np.mean(busy)) * FPS,
        size=size,
        frames=len(rows),
        dropped=dict(dropped),
        total=parts.pop("total"),
        parts={"picture decoded": Part.of(decoded), **parts},
    )


def _plan(url: str, output: Path, frames: int) -> RunPlan:
    given = {
        "sources": [{"url": url, "name": "camera"}],
        "vocabulary": {"classes": "left; right", "background": "none"},
        "selection": {"max_frames": frames},
        "model": {"name": "demo"},
        "torch_threads": 1,
        "output": str(output),
        "runtime": "ray",
    }
    return plan_run(read_settings(given=given))


def _decoded(plan: RunPlan, count: int) -> list[float]:
    """How old pictures are when a reader of its own has them."""
    stop = threading.Event()
    items = plan.open(plan.streams[0]).frames(stop, wanted=everything)
    frames = (item for item in items if isinstance(item, Frame) and item.captured_at is not None)
    ages = [time.time() - _taken(frame.captured_at) for frame in islice(frames, WARM_UP, WARM_UP + count)]
    stop.set()
    return ages


def _taken(captured_at: datetime | None) -> float:
    """Wall-clock seconds."""
    assert captured_at is not None, "a camera's picture has a time"
    return captured_at.timestamp()


def _row(result: FrameResult, at: float, calls: Mapping[tuple[str, int, int], TimedCall]) -> dict[str, float]:
    """The parts of one frame's way."""
    call = calls[result.stream_id, result.epoch, result.index]
    taken = _taken(result.captured_at)
    total = result.latency_seconds or 0.0
    return {
        "in front of the model": call.began - taken,
        "model": call.ended - call.began,
        "from model to record": taken + total - call.ended,
        "at the caller": at - taken - total,
        "total": total,
    }

"""What each part of the pipeline takes by itself: one after another in one thread, so that nothing overlaps."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ..frames import Frame, FrameResult
from ..pipeline import tracker as tracker_module
from ..pipeline.build import build_sinks
from ..pipeline.plan import RunPlan
from ..pipeline.tracker import Tracker
from ..runs.commits import Commit, write_commit
from ..segmenter import Segmenter
from ..sinks.base import Emission
from ..sinks.guard import GuardedSink
from ..sources.base import Position
from ..sources.selection import Selection

__all__ = ["Stopwatch", "stage_milliseconds"]

STAGES = ("decode", "segment", "associate", "fuse", "record")
WARM_UP = 5  # first calls that do not count
COMMIT_FRAMES = 20


class Stopwatch:
    """Adds up the time of calls by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with a clock around each call."""

        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds.setdefault(name, []).append(time.perf_counter() - start)

        return call

    @contextmanager
    def watching(self, name: str, owner: Any, attribute: str) -> Iterator[None]:
        """Every call of `owner.attribute` counts meanwhile."""
        before = vars(owner)[attribute]  # as it stands there: a class method has to come back as one
        setattr(owner, attribute, self.timed(name, getattr(owner, attribute)))
        try:
            yield
        finally:
            setattr(owner, attribute, before)

    def milliseconds(self, skip: int) -> dict[str, float]:
        """Mean of each, without its first calls."""
        counted = {name: values[skip:] or values for name, values in self.seconds.items()}
        return {name: 1000 * sum(values) / len(values) for name, values in counted.items()}


def stage_milliseconds(plan: RunPlan, segmenter: Segmenter) -> dict[str, float]:
    """Mean of each part over the frames of a plan's first stream.

    Decoding may go on in threads of its own meanwhile, so what it takes is what one waits for it.

    Returns:
        Milliseconds a frame: decode, segment, associate, fuse, record (areas and boxes), a part for each sink; and
        those of one commit.
    """
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stack.enter_context(watch.watching("fuse", tracker_module, "panoptic_from_association"))
        stack.enter_context(watch.watching("record", FrameResult, "from_map"))
        _one_by_one(plan, segmenter, Path(folder), watch)
    stages = watch.milliseconds(WARM_UP)
    step = stages.pop("step")
    stages["associate"] = step - stages["fuse"] - stages["record"]
    sinks = [name for name in stages if name.startswith("sink ")]
    return {name: stages[name] for name in (*STAGES, *sinks, "commit")}


def _one_by_one(plan: RunPlan, segmenter: Segmenter, folder: Path, watch: Stopwatch) -> None:
    stream = plan.streams[0]
    tracker = Tracker(segmenter, plan.settings.tracking, panoptic=plan.settings.panoptic)
    stop = threading.Event()
    sinks = build_sinks(plan, stream, folder, stop)
    for sink in sinks:
        sink.open(None)
    segment, step = watch.timed("segment", segmenter.segment), watch.timed("step", tracker.step)
    items = plan.open(stream).frames(stop, wanted=Selection(plan.settings.selection))
    decode = watch.timed("decode", lambda: next(items, None))
    while (frame := decode()) is not None:
        if not isinstance(frame, Frame):
            continue
        (queries,) = segment([frame], stream.vocabulary)
        done = step(queries, frame)
        for sink in sinks:
            watch.timed(f"sink {sink.name}", sink.write)(
                Emission(done.result, frame.rgb, stream.vocabulary, done.ended)
            )
        if not frame.index % COMMIT_FRAMES:
            watch.timed("commit", _commit)(folder, frame, tracker, sinks)
    for sink in sinks:
        sink.close(tracker.finish())


def _commit(folder: Path, frame: Frame, tracker: Tracker, sinks: Sequence[GuardedSink]) -> None:
    states = {sink.name: sink.state() for sink in sinks}
    place = Position(frame.index, frame.pts_ticks, frame.epoch)
    write_commit(folder, Commit(place, frame.index + 1, {}, tracker=tracker.state_dict(), sinks=states))

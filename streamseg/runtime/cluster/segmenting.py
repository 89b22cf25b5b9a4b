"""The process that computes: one model, the streams that are placed here, batches over all of them."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from ...pipeline.plan import RunPlan
from ...pipeline.tracker import NamesQueries, Tracker
from ...vocabulary import Vocabulary
from ..intake import BufferPolicy, Intake
from ..passes import batch_limit, share_passes
from ..torch_threads import use_threads
from ..worker import Lane, SegmentsFrames, Worker
from .courier import Courier
from .emitting import Beginning
from .puller import Puller
from .telling import Telling, Told
from .wire import Fault

__all__ = ["Assignment", "BuildsSegmenter", "SegmentingWorker", "WorkerReport"]

logger = logging.getLogger(__name__)

JOIN_SECONDS = 5.0


class Segments(SegmentsFrames, NamesQueries, Protocol):
    """What a worker asks of a segmenter."""

    @property
    def device(self) -> torch.device: ...

    def identity(self) -> dict[str, Any]: ...


BuildsSegmenter = Callable[[], Segments]


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """A stream, placed on a worker.

    Attributes:
        stream_id: its name.
        lease: under which it is followed here.
        live: whether its input cannot be read again.
        decoder, emitter: the actors.
        beginning: where it goes on.
        vocabulary: its words from now on.
    """

    stream_id: str
    lease: int
    live: bool
    decoder: Any
    emitter: Any
    beginning: Beginning
    vocabulary: Vocabulary

    @property
    def key(self) -> str:
        """Of the lane."""
        return f"{self.stream_id}#{self.lease}"


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """How a worker is.

    Attributes:
        incarnation: another one after a restart.
        leases: of the streams that it follows.
        fault: why it cannot go on, if so.
        told: log lines since the last report.
    """

    incarnation: str
    leases: dict[str, int]
    fault: Fault | None
    told: tuple[Told, ...]


@dataclass(slots=True, eq=False)
class _Here:
    """A stream that is followed here."""

    assignment: Assignment
    lane: Lane
    courier: Courier
    puller: Puller
    stopped: threading.Event = field(default_factory=threading.Event)


class SegmentingWorker:
    """Follows the streams that it is given.

    Args:
        plan: of the run.
        build: makes the segmenter.
        torch_threads: CPU threads of the model.
    """

    def __init__(self, plan: RunPlan, build: BuildsSegmenter, torch_threads: int) -> None:
        self._plan = plan
        self._build = build
        self._threads = torch_threads
        self._telling = Telling()
        self._lock = threading.RLock()
        self._here: dict[str, _Here] = {}
        self._intake = Intake({}, plan.settings.batch.queue, endless=True)
        self._segmenter: Segments | None = None
        self._worker: Worker | None = None
        self._fault: Fault | None = None
        self._on_cpu = True

    def prepare(self) -> dict[str, Any]:
        """Load the model, once; what identifies it. Errors come as they are, in words (`Fault`)."""
        with self._lock:
            if self._segmenter is None:
                use_threads(self._threads)
                try:
                    self._segmenter = self._build()
                except Exception as error:
                    return {"fault": Fault.of(error)}
                self._start(self._segmenter)
            return {"identity": self._segmenter.identity(), "device": str(self._segmenter.device)}

    def serve(self, assignment: Assignment) -> bool:
        """Follow a stream, under a lease that is newer than any before.

        Returns:
            Whether it does; not without a model: after a restart that the coordinator has not seen yet.
        """
        with self._lock:
            if self._segmenter is None or self._worker is None:
                return False
            self._drop(assignment.stream_id)
            here = self._make(assignment, self._segmenter)
            self._here[assignment.stream_id] = here
            here.courier.start()
            self._worker.add(assignment.key, here.lane)
            self._intake.add(assignment.key, BufferPolicy.WAIT)
            here.puller.start()
            return True

    def release(self, stream_id: str, *, for_good: bool) -> None:
        """Stop following a stream, noting where it stands; if not for good, so that somebody else can go on."""
        with self._lock:
            here = self._here.pop(stream_id, None)
        if here is None:
            return
        here.courier.hand_over = not for_good
        here.puller.stop()
        self._intake.give_up(here.assignment.key)
        here.courier.join()

    def use_vocabulary(self, stream_id: str, vocabulary: Vocabulary) -> bool:
        """Other words for a stream, from its next frame on; whether it is followed here."""
        with self._lock:
            here = self._here.get(stream_id)
            if here is not None:
                here.lane.vocabulary = vocabulary
            return here is not None

    def report(self) -> WorkerReport:
        """For whoever watches."""
        with self._lock:
            self._here = {name: here for name, here in self._here.items() if here.courier.is_alive()}
            leases = {name: here.assignment.lease for name, here in self._here.items()}
        return WorkerReport(self._telling.incarnation, leases, self._fault, self._telling.take())

    def stop(self) -> None:
        """End everything; what has been segmented is brought to its emitters first."""
        with self._lock:
            everything = list(self._here.values())
        for here in everything:
            here.puller.stop()
        self._intake.stop()
        if self._worker is not None:
            self._worker.join()
        for here in everything:
            here.courier.join()

    def _start(self, segmenter: Segments) -> None:
        settings = self._plan.settings
        self._on_cpu = segmenter.device.type == "cpu"
        passes, threads = share_passes(self._plan, self._threads, on_cpu=self._on_cpu)
        self._worker = Worker(
            segmenter,
            {},
            self._intake,
            passes=passes,
            max_batch=batch_limit(settings, on_cpu=self._on_cpu),
            max_wait_seconds=settings.batch.max_wait_seconds,
            commit_seconds=settings.commit_seconds,
            max_failures=settings.max_failures,
            prepare=lambda: use_threads(threads),
            fail=self._fail,
            stream_failed=self._stream_failed,
        )
        self._worker.start()

    def _make(self, assignment: Assignment, segmenter: Segments) -> _Here:
        settings, beginning, name = self._plan.settings, assignment.beginning, assignment.stream_id
        courier = Courier(
            name,
            assignment.lease,
            assignment.emitter,
            queue=settings.batch.queue,
            pictures=any(sink.kind == "video" for sink in settings.sinks),
            lost=lambda: self._lost(assignment.key, name),
        )
        puller = Puller(
            name,
            assignment.key,
            assignment.lease,
            assignment.decoder,
            beginning.place,
            self._intake,
            live=assignment.live,
            max_restarts=settings.ray.max_restarts,
        )
        courier.totals = lambda: puller.totals
        lane = Lane(
            self._tracker(assignment, segmenter),
            courier,
            assignment.vocabulary,
            replay_until=beginning.replay_until,
            commits=True,
            live=assignment.live,
            survives=True,
        )
        return _Here(assignment, lane, courier, puller)

    def _tracker(self, assignment: Assignment, segmenter: Segments) -> Tracker:
        settings, beginning = self._plan.settings, assignment.beginning
        tracker = Tracker(segmenter, settings.tracking, panoptic=settings.panoptic)
        words = Tracker.words_of(beginning.tracker)
        if words is not None:
            tracker.load_state_dict(beginning.tracker, words)
        # What is computed again exactly gets the ids that it had; all else must not get an id that something else had.
        exact = not assignment.live and self._on_cpu and batch_limit(settings, on_cpu=self._on_cpu) == 1
        if beginning.mark is not None and not exact:
            tracker.skip_ids(*beginning.mark)
        return tracker

    def _drop(self, stream_id: str) -> None:
        """A stream that is followed here under an older lease: nobody waits for its results."""
        here = self._here.pop(stream_id, None)
        if here is not None:
            here.puller.stop()
            here.courier.cancel()
            self._intake.give_up(here.assignment.key)

    def _lost(self, key: str, stream_id: str) -> None:
        """An emitter takes no more: called from its courier's thread."""
        with self._lock:
            here = self._here.get(stream_id)
            if here is not None and here.assignment.key == key:
                self._drop(stream_id)

    def _stream_failed(self, key: str, error: Exception) -> None:
        for here in list(self._here.values()):
            if here.assignment.key == key:
                here.courier.fault = here.courier.fault or Fault.of(error)
                here.puller.stop()

    def _fail(self, error: Exception) -> None:
        self._fault = self._fault or Fault.of(error)
        logger.debug("the worker failed", exc_info=error)

"""A run in this process: decode, segment, follow and emit overlap in threads, joined by bounded queues.

    read <stream>  ->  intake  ->  segment  ->  follow <stream>  ->  emit <stream>  ->  results, in the caller's thread
    one per stream                 for all       one per stream      one per stream

This is the reference behaviour. An error in any stage ends the run with that error; a stream that cannot go on ends
alone, and the run reports it at the end. Nothing waits on a queue that nobody empties: stopping wakes everybody.

One more thread starts the others and sees to their end, see `Job`.
"""

import logging
import threading
import time

import torch

from ..metrics import StreamCounters, StreamTotals
from ..pipeline.build import build_sinks
from ..pipeline.plan import RunPlan, StreamPlan
from ..pipeline.tracker import Tracker
from ..runs.commits import Commit
from ..runs.folder import RunFolder
from ..segmenter import Segmenter
from ..sources.base import Position
from ..sources.selection import Selection
from .emitter import Emitter
from .intake import BufferPolicy, Intake
from .job import Job
from .passes import batch_limit, share_passes
from .reader import StreamReader
from .resume import Resumption
from .torch_threads import use_threads
from .worker import Lane, Worker

__all__ = ["LocalRun"]

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
JOIN_SECONDS = 30.0  # what a hanging read may take at the end; its thread is a daemon


class LocalRun(Job):
    """One run. `results()` does it.

    Args:
        plan: what to run.
        segmenter: the model.
        folder: where sinks write and places are noted; None for a run whose results only the caller takes.
        resumption: where the streams go on; None for a new run.
    """

    def __init__(
        self,
        plan: RunPlan,
        segmenter: Segmenter,
        folder: RunFolder | None = None,
        resumption: Resumption | None = None,
    ) -> None:
        super().__init__(plan, folder)
        self.segmenter = segmenter
        self._resumption = resumption or Resumption({})
        self._torch_threads = torch.get_num_threads()
        self._counters = {stream.name: StreamCounters() for stream in plan.streams}
        for stream in plan.streams:
            if (commit := self._resumption.commit(stream.name)) is not None:
                self._counters[stream.name].go_on_from(commit.totals)
        active = [stream for stream in plan.streams if not self._resumption.is_done(stream.name)]
        self._intake = Intake({stream.name: _policy(stream) for stream in active}, plan.settings.batch.queue)
        self._emitters = {stream.name: self._emitter(stream) for stream in active}
        self._readers = {stream.name: self._reader(stream) for stream in active}
        self._worker = self._new_worker(active)
        self._watchdog = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def stop(self) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            self._stopping.set()
        self._let_go()
        self._results.cancel()

    def totals(self) -> dict[str, StreamTotals]:
        return {name: counters.totals() for name, counters in self._counters.items()}

    def losses(self) -> dict[str, dict[str, dict[str, int]]]:
        found = {name: emitter.losses() for name, emitter in self._emitters.items()}
        return {name: losses for name, losses in found.items() if losses}

    def _all_finished(self) -> bool:
        return not self.stream_errors and all(emitter.finished for emitter in self._emitters.values())

    def statuses(self) -> dict[str, str]:
        statuses = {stream.name: "done" for stream in self.plan.streams}
        for name, reader in self._readers.items():
            if name in self.stream_errors:
                statuses[name] = "failed"
            elif not self._emitters[name].finished:
                statuses[name] = reader.source.status
        return statuses

    # Building.

    def _emitter(self, stream: StreamPlan) -> Emitter:
        folder = None if self.folder is None else self.folder.stream(stream.name)
        return Emitter(
            stream.name,
            folder,
            build_sinks(self.plan, stream, folder, self._stopping),
            self._counters[stream.name],
            live=stream.live,
            results=self._results,
            fail=self._fail,
            queue=self.plan.settings.batch.queue,
            committed=self._resumption.commit(stream.name),
        )

    def _reader(self, stream: StreamPlan) -> StreamReader:
        commit = self._resumption.commit(stream.name)
        after = None if commit is None else _place(commit, live=stream.live)
        return StreamReader(
            self.plan.open(stream),
            lambda: self.plan.open(stream),
            self._selection(stream, commit),
            self._intake,
            self._counters[stream.name],
            after=after,
            number=0 if commit is None else commit.kept,
        )

    def _selection(self, stream: StreamPlan, commit: Commit | None) -> Selection:
        settings, clock = self.plan.settings.selection, time.monotonic if stream.live else None
        if commit is None:
            return Selection(settings, clock=clock)
        if stream.live:  # its clock has begun anew
            return Selection(settings, kept_before=commit.kept, clock=clock)
        return Selection(
            settings,
            origin_seconds=commit.origin_seconds,
            kept_before=commit.kept,
            last_kept_seconds=commit.last_kept_seconds,
        )

    def _new_worker(self, active: list[StreamPlan]) -> Worker:
        settings = self.plan.settings
        on_cpu = self.segmenter.device.type == "cpu"
        passes, threads = share_passes(self.plan, settings.torch_threads or self._torch_threads, on_cpu=on_cpu)
        return Worker(
            self.segmenter,
            {stream.name: self._lane(stream) for stream in active},
            self._intake,
            passes=passes,
            max_batch=batch_limit(settings, on_cpu=on_cpu),
            max_wait_seconds=settings.batch.max_wait_seconds,
            commit_seconds=settings.commit_seconds,
            max_failures=settings.max_failures,
            prepare=lambda: use_threads(threads),
            fail=self._fail,
            stream_failed=self._stream_failed,
        )

    def _lane(self, stream: StreamPlan) -> Lane:
        tracker = Tracker(self.segmenter, self.plan.settings.tracking, panoptic=self.plan.settings.panoptic)
        commit = self._resumption.commit(stream.name)
        if commit is not None and not stream.live:
            tracker.load_state_dict(commit.tracker, stream.vocabulary)
        return Lane(
            tracker,
            self._emitters[stream.name],
            stream.vocabulary,
            replay_until=self._resumption.replay_until(stream.name),
            commits=self.folder is not None,
            live=stream.live,
        )

    # Running.

    def _run(self) -> None:
        self._start()
        self._worker.join()
        for emitter in self._emitters.values():
            emitter.join()
        self._stopping.set()
        self._let_go()
        self._join_readers()
        self._watchdog.join()
        if self._failure is not None:
            self._count_lost()

    def _start(self) -> None:
        for emitter in self._emitters.values():
            emitter.start()
        self._worker.start()
        use_threads(self._torch_threads)  # for threads to come
        for reader in self._readers.values():
            reader.start()
        self._watchdog.start()

    def _let_go(self) -> None:
        """Readers end, and frames that nobody will take any more are counted."""
        for reader in self._readers.values():
            reader.stop()
        for item in self._intake.stop():
            self._counters[item.frame.stream_id].dropped("stopped")

    def _count_lost(self) -> None:
        """What was on its way through a stage that failed."""
        for counters in self._counters.values():
            if lost := counters.totals().in_flight:
                counters.dropped("stopped", lost)

    def _join_readers(self) -> None:
        for name, reader in self._readers.items():
            if not reader.join(JOIN_SECONDS):
                logger.warning("%s: the reader hangs, and is left behind", name)

    def _watch(self) -> None:
        """Gives up readers that hang, and the run if the thread that took its results has died."""
        live = [
            self._readers[stream.name] for stream in self.plan.streams if stream.live and stream.name in self._readers
        ]
        while not self._stopping.wait(WATCH_SECONDS):
            for reader in live:
                reader.watch(self.plan.settings.live.watchdog_seconds)
            self._stop_if_deserted()

    def _stream_failed(self, name: str, error: Exception) -> None:
        """An error that ends one stream, while the others go on."""
        self.stream_errors.setdefault(name, error)
        self._readers[name].stop()
        if len(self.plan.streams) > 1:
            logger.error("%s", error)


def _policy(stream: StreamPlan) -> BufferPolicy:
    return BufferPolicy.NEWEST if stream.live else BufferPolicy.WAIT


def _place(commit: Commit, *, live: bool) -> Position:
    """Where a stream goes on. A camera has moved on meanwhile: that is a new epoch, with a time of its own."""
    if not live:
        return commit.position
    return Position(commit.position.index, None, commit.position.epoch + 1)

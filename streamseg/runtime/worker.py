"""The threads that compute: batches over all lanes, whose queries then go to each lane's follower.

A lane is a stream, for as long as it is followed here. In one process that is from its beginning to its end; where
streams move between processes, a stream that comes back has another lane, so that what is still on its way from before
cannot be taken for it.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ..frames import Frame
from ..queries import Queries
from ..segmenter import Segmenter
from ..vocabulary import Vocabulary
from .device_pass import IN_FLIGHT, DevicePass
from .follower import Follower, Lane, Segmented
from .heap import KeptHeap
from .intake import Ended, Intake
from .reasons import reason_of
from .turns import Turns

__all__ = ["Lane", "SegmentsFrames", "Worker"]

logger = logging.getLogger(__name__)


class SegmentsFrames(Protocol):
    """What the worker asks of a segmenter."""

    def segment(self, frames: Sequence[Frame], vocabulary: Sequence[Vocabulary]) -> list[Queries]: ...


class Worker:
    """Takes batches from the intake until every lane has ended, or the intake has stopped.

    Args:
        segmenter: shared by all streams.
        lanes: by name; `add` adds more.
        intake: where frames come from; it knows the same lanes.
        passes: batches that are computed side by side, each in a thread of its own; a GPU has two in flight at least.
        max_batch, max_wait_seconds: see `BatchSettings`.
        commit_seconds, max_failures: see `RunSettings`.
        prepare: called in each of these threads before its first batch.
        fail: ends the run with an error.
        stream_failed: told of a lane that ended with an error, while the others go on.
    """

    def __init__(
        self,
        segmenter: SegmentsFrames,
        lanes: Mapping[str, Lane],
        intake: Intake,
        *,
        passes: int,
        max_batch: int,
        max_wait_seconds: float,
        commit_seconds: float,
        max_failures: int,
        prepare: Callable[[], None],
        fail: Callable[[Exception], None],
        stream_failed: Callable[[str, Exception], None],
    ) -> None:
        self.segmenter = segmenter
        self._pass: DevicePass | None = None
        if isinstance(segmenter, Segmenter):
            passes = passes if segmenter.device.type == "cpu" else max(passes, IN_FLIGHT)
            self._pass = DevicePass(segmenter, in_flight=passes)
        self.lanes: dict[str, Lane] = {}
        self.intake = intake
        intake.expect_done(passes * max_batch)
        self.max_batch = max_batch
        self.max_wait_seconds = max_wait_seconds
        self._prepare = prepare
        self._fail = fail
        self._stream_failed = stream_failed
        self._commit_seconds = commit_seconds
        self._max_failures = max_failures
        self._followers: dict[str, Follower] = {}
        self._ending: list[Follower] = []
        for name, lane in lanes.items():
            self._take_up(name, lane)
        self._taking = threading.Lock()
        self._turns = Turns()
        self._prepared = threading.Semaphore(0)
        self._at_work = passes
        self._threads = [threading.Thread(target=self._run, name=f"segment {number}") for number in range(passes)]

    def add(self, name: str, lane: Lane) -> None:
        """One more lane, while it works; the intake gets it next."""
        self._take_up(name, lane).start()

    def start(self) -> None:
        """Returns when all threads have made their settings, which torch gives to every thread that begins after."""
        self._heap = KeptHeap()
        for follower in self._followers.values():
            follower.start()
        for thread in self._threads:
            thread.start()
            self._prepared.acquire()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        if self._pass is not None:
            self._pass.close()
        for follower in [*self._followers.values(), *self._ending]:
            follower.join()

    def _take_up(self, name: str, lane: Lane) -> Follower:
        self.lanes[name] = lane
        self._followers[name] = Follower(
            name,
            lane,
            commit_seconds=self._commit_seconds,
            max_failures=self._max_failures,
            fail=self._fail,
            give_up=self._give_up,
            done=self.intake.done,
        )
        return self._followers[name]

    def _run(self) -> None:
        try:
            try:
                self._prepare()
            finally:
                self._prepared.release()
            self._work()
        except Exception as error:
            self._fail(error)
        finally:
            self._leave()

    def _work(self) -> None:
        while True:
            with self._taking:
                self._heap.tend()
                batch, ended = self.intake.take(self.max_batch, self.max_wait_seconds)
                if not batch and not ended:
                    return
                number = self._turns.begin()
            words = [self.lanes[item.lane].vocabulary for item in batch]
            outcomes = self._segment([item.frame for item in batch], words)
            with self._turns.hand_on(number):
                for arrived, outcome, vocabulary in zip(batch, outcomes, words, strict=True):
                    self._followers[arrived.lane].put(Segmented(arrived, outcome, vocabulary))
                for end in ended:
                    self._end(end)

    def _leave(self) -> None:
        """The last thread to end tells the followers of lanes that have not ended."""
        with self._taking:
            self._at_work -= 1
            last = self._at_work == 0
        if last:
            for _, follower in sorted(self._followers.items()):
                follower.end(ended=False)

    def _segment(self, frames: list[Frame], words: list[Vocabulary]) -> list[Queries | Exception]:
        """Queries for each frame. Where a batch fails, its frames are tried one by one: one bad frame is alone."""
        if not frames:
            return []
        try:
            return list((self._pass or self.segmenter).segment(frames, words))
        except Exception as error:
            if len(frames) == 1:
                logger.warning("%r failed: %s", frames[0], reason_of(error))
                return [error]
        return [outcome for one in zip(frames, words, strict=True) for outcome in self._segment([one[0]], [one[1]])]

    def _end(self, end: Ended) -> None:
        if end.error is not None:
            self._stream_failed(end.lane, end.error)
        follower = self._followers.pop(end.lane)  # all earlier frames have been handed on to it
        follower.end(ended=end.error is None and end.finished)
        self._ending = [*(other for other in self._ending if other.is_alive()), follower]
        del self.lanes[end.lane]

    def _give_up(self, name: str, error: Exception) -> None:
        self._stream_failed(name, error)
        self.intake.end(name)  # its reader stops without a word

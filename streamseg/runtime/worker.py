"""The thread that computes: batches over all streams, whose queries then go to each stream's follower."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ..frames import Frame
from ..queries import Queries
from ..vocabulary import Vocabulary
from .follower import Follower, Lane, Segmented, reason_of
from .intake import Ended, Intake

__all__ = ["Lane", "SegmentsFrames", "Worker"]

logger = logging.getLogger(__name__)


class SegmentsFrames(Protocol):
    """What the worker asks of a segmenter."""

    def segment(self, frames: Sequence[Frame], vocabulary: Sequence[Vocabulary]) -> list[Queries]: ...


class Worker:
    """Takes batches from the intake until every stream has ended, or the intake has stopped.

    Args:
        segmenter: shared by all streams.
        lanes: by stream.
        intake: where frames come from.
        max_batch, max_wait_seconds: see `BatchSettings`.
        commit_seconds, max_failures: see `RunSettings`.
        fail: ends the run with an error.
        stream_failed: told of a stream that ended with an error, while the others go on.
    """

    def __init__(
        self,
        segmenter: SegmentsFrames,
        lanes: Mapping[str, Lane],
        intake: Intake,
        *,
        max_batch: int,
        max_wait_seconds: float,
        commit_seconds: float,
        max_failures: int,
        prepare: Callable[[], None],
        fail: Callable[[Exception], None],
        stream_failed: Callable[[str, Exception], None],
    ) -> None:
        self.segmenter = segmenter
        self.lanes = dict(lanes)
        self.intake = intake
        self.max_batch = max_batch
        self.max_wait_seconds = max_wait_seconds
        self._prepare = prepare
        self._fail = fail
        self._stream_failed = stream_failed
        self._followers = {
            name: Follower(
                lane, commit_seconds=commit_seconds, max_failures=max_failures, fail=fail, give_up=self._give_up
            )
            for name, lane in lanes.items()
        }
        self._open = set(lanes)
        self._thread = threading.Thread(target=self._run, name="segment")

    def start(self) -> None:
        for follower in self._followers.values():
            follower.start()
        self._thread.start()

    def join(self) -> None:
        self._thread.join()
        for follower in self._followers.values():
            follower.join()

    def _run(self) -> None:
        try:
            self._prepare()
            self._work()
        except Exception as error:
            self._fail(error)
        finally:
            for name in sorted(self._open):
                self._followers[name].end(ended=False)

    def _work(self) -> None:
        while True:
            batch, ended = self.intake.take(self.max_batch, self.max_wait_seconds)
            if not batch and not ended:
                return
            words = [self.lanes[item.frame.stream_id].vocabulary for item in batch]
            outcomes = self._segment([item.frame for item in batch], words)
            for arrived, outcome, vocabulary in zip(batch, outcomes, words, strict=True):
                self._followers[arrived.frame.stream_id].put(Segmented(arrived, outcome, vocabulary))
            for end in ended:
                self._end(end)

    def _segment(self, frames: list[Frame], words: list[Vocabulary]) -> list[Queries | Exception]:
        """Queries for each frame. Where a batch fails, its frames are tried one by one: one bad frame is alone."""
        if not frames:
            return []
        try:
            return list(self.segmenter.segment(frames, words))
        except Exception as error:
            if len(frames) == 1:
                logger.warning("%r failed: %s", frames[0], reason_of(error))
                return [error]
        return [outcome for one in zip(frames, words, strict=True) for outcome in self._segment([one[0]], [one[1]])]

    def _end(self, end: Ended) -> None:
        if end.error is not None:
            self._stream_failed(end.stream_id, end.error)
        self._open.discard(end.stream_id)
        self._followers[end.stream_id].end(ended=end.error is None)

    def _give_up(self, name: str, error: Exception) -> None:
        self._stream_failed(name, error)
        self.intake.end(name)  # its reader stops without a word

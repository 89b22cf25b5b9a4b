"""The thread that computes: batches over all streams, then each stream's own association and fusion."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import StreamsegError
from ..frames import Frame, FrameResult
from ..pipeline.tracker import Tracker
from ..queries import Queries
from ..sinks.base import Emission
from ..tracks import TrackRow
from ..vocabulary import Vocabulary
from .emitter import Closing, Emitter, Outgoing
from .intake import Arrived, Ended, Intake

__all__ = ["Lane", "SegmentsFrames", "Worker"]

logger = logging.getLogger(__name__)


class SegmentsFrames(Protocol):
    """What the worker asks of a segmenter."""

    def segment(self, frames: Sequence[Frame], vocabulary: Sequence[Vocabulary]) -> list[Queries]: ...


@dataclass(slots=True, eq=False)
class Lane:
    """One stream's part of the worker.

    Attributes:
        tracker: of the stream.
        emitter: of the stream.
        vocabulary: its words; may be replaced at any time.
        replay_until: (epoch, frame) that had been given away when the run was interrupted; None in a new run.
        commits: whether the stream's place is noted as it goes.
        live: whether its input cannot be read again: then its tracks end with the run, and a run that goes on begins
            another epoch.
    """

    tracker: Tracker
    emitter: Emitter
    vocabulary: Vocabulary
    replay_until: tuple[int, int] | None = None
    commits: bool = False
    live: bool = False
    failures: int = 0
    committed_at: float = 0.0
    given_up: bool = False


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
        self.commit_seconds = commit_seconds
        self.max_failures = max_failures
        self._prepare = prepare
        self._fail = fail
        self._stream_failed = stream_failed
        self._closed: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="segment")

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        whole = True  # whether the trackers stand exactly after the last frame that was handed on
        try:
            self._prepare()
            self._work()
        except Exception as error:
            whole = False
            self._fail(error)
        finally:
            for name, lane in self.lanes.items():
                if name not in self._closed:
                    lane.emitter.put(_stopped(lane) if whole else Closing(False))

    def _work(self) -> None:
        while True:
            batch, ended = self.intake.take(self.max_batch, self.max_wait_seconds)
            if not batch and not ended:
                return
            for arrived, outcome in zip(batch, self._segment(batch), strict=True):
                self._hand_on(self.lanes[arrived.frame.stream_id], arrived, outcome)
            for end in ended:
                self._end(end)

    def _segment(self, batch: list[Arrived]) -> list[Queries | Exception]:
        """Queries for each frame. Where a batch fails, its frames are tried one by one: one bad frame is alone."""
        if not batch:
            return []
        frames = [item.frame for item in batch]
        words = [self.lanes[frame.stream_id].vocabulary for frame in frames]
        try:
            return list(self.segmenter.segment(frames, words))
        except Exception as error:
            if len(batch) == 1:
                logger.warning("%r failed: %s", frames[0], _reason(error))
                return [error]
        return [outcome for item in batch for outcome in self._segment([item])]

    def _hand_on(self, lane: Lane, arrived: Arrived, outcome: Queries | Exception) -> None:
        if lane.given_up:
            lane.emitter.counters.dropped("stream_failed")
            return
        frame = arrived.frame
        if isinstance(outcome, Exception):
            lane.failures += 1
            result = FrameResult.failed(frame, _reason(outcome), model=lane.tracker.model, vocabulary=lane.vocabulary)
            ended: tuple[TrackRow, ...] = ()
        else:
            lane.failures = 0
            step = lane.tracker.step(outcome, frame)
            result, ended = step.result, step.ended
        replayed = lane.replay_until is not None and (frame.epoch, frame.index) <= lane.replay_until
        emission = Emission(result, frame.rgb, lane.vocabulary, ended, replayed)
        state = _state_of(lane) if self._is_commit_due(lane) else None
        lane.emitter.put(Outgoing(emission, arrived, lane.tracker.identities, state))
        if lane.failures >= self.max_failures:
            self._give_up(lane, outcome)

    def _is_commit_due(self, lane: Lane) -> bool:
        now = time.monotonic()
        if not lane.commits or now - lane.committed_at < self.commit_seconds:
            return False
        lane.committed_at = now
        return True

    def _give_up(self, lane: Lane, outcome: Queries | Exception) -> None:
        lane.given_up = True
        reason = _reason(outcome) if isinstance(outcome, Exception) else ""
        name = lane.emitter.stream_id
        self._stream_failed(name, StreamsegError(f"{name}: {lane.failures} frames in a row failed: {reason}"))
        self.intake.end(name)  # its reader stops without a word

    def _end(self, end: Ended) -> None:
        lane = self.lanes[end.stream_id]
        if end.error is not None:
            self._stream_failed(end.stream_id, end.error)
        self._closed.add(end.stream_id)
        if end.error is not None or lane.given_up:
            lane.emitter.put(_stopped(lane))
        else:
            lane.emitter.put(Closing(True, remaining=lane.tracker.finish()))


def _state_of(lane: Lane) -> Mapping[str, Any]:
    return {} if lane.live else lane.tracker.state_dict()


def _stopped(lane: Lane) -> Closing:
    """The last word of a stream whose end has not been reached."""
    return Closing(False, _state_of(lane) if lane.commits else None, lane.tracker.finish() if lane.live else ())


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, StreamsegError) else f"{type(error).__name__}: {text}" if text else repr(error)

"""One thread for each stream that follows it: association and fusion, while the model is busy with the next frames."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import StreamsegError
from ..frames import FrameResult
from ..metrics import StreamCounters
from ..pipeline.tracker import Tracker
from ..queries import Queries
from ..sinks.base import Emission
from ..tracks import TrackRow
from ..vocabulary import Vocabulary
from .channel import Channel
from .emitter import Closing, Outgoing
from .intake import Arrived
from .reasons import reason_of
from .torch_threads import use_threads

__all__ = ["Follower", "Lane", "Segmented", "TakesOutgoing"]

logger = logging.getLogger(__name__)


class TakesOutgoing(Protocol):
    """What a follower asks of an emitter, here or in another process."""

    @property
    def stream_id(self) -> str: ...
    @property
    def counters(self) -> StreamCounters: ...

    def put(self, item: Outgoing | Closing) -> bool:
        """The next result, waiting for room; False where nobody will take it any more."""
        ...


@dataclass(slots=True, eq=False)
class Lane:
    """What a stream is followed with.

    Attributes:
        tracker: of the stream.
        emitter: of the stream.
        vocabulary: its words; may be replaced at any time.
        replay_until: (epoch, frame) that had been given away when the run was interrupted; None in a new run.
        commits: whether the stream's place is noted as it goes.
        live: whether its input cannot be read again: then its tracks end with the run, and a run that goes on begins
            another epoch.
        survives: whether its tracks go on elsewhere if this process dies, of live input, too.
    """

    tracker: Tracker
    emitter: TakesOutgoing
    vocabulary: Vocabulary
    replay_until: tuple[int, int] | None = None
    commits: bool = False
    live: bool = False
    survives: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Segmented:
    """A frame behind the model: its queries, or why there are none, and the words that it was segmented with."""

    arrived: Arrived
    outcome: Queries | Exception
    vocabulary: Vocabulary


@dataclass(frozen=True, slots=True)
class _Last:
    """Nothing more comes; `ended` is False where the stream's own end has not been reached."""

    ended: bool


class Follower:
    """Follows one stream, in order.

    Args:
        name: of the lane.
        lane: what it is followed with.
        commit_seconds, max_failures: see `RunSettings`.
        fail: ends the run with an error.
        give_up: ends the stream with an error, while the others go on.
        done: called after each frame. Whoever brings them bounds their number by that: each holds its masks, which at
            full size are tens of megabytes.
    """

    def __init__(
        self,
        name: str,
        lane: Lane,
        *,
        commit_seconds: float,
        max_failures: int,
        fail: Callable[[Exception], None],
        give_up: Callable[[str, Exception], None],
        done: Callable[[str], object],
    ) -> None:
        self.name = name
        self.lane = lane
        self.commit_seconds = commit_seconds
        self.max_failures = max_failures
        self._fail = fail
        self._tell = give_up
        self._done = done
        self._channel: Channel[Segmented | _Last] = Channel(None)
        self._failures = 0  # in a row
        self._given_up = False
        self._committed_at = 0.0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follow {lane.emitter.stream_id}")

    def start(self) -> None:
        """Returns when the thread has made its settings, which torch gives to every thread that begins after them."""
        self._thread.start()
        self._ready.wait()

    def put(self, item: Segmented) -> bool:
        """The next frame; False where the follower has failed."""
        return self._channel.put(item)

    def end(self, *, ended: bool) -> None:
        """No more frames; `ended` is False where the stream's own end has not been reached."""
        self._channel.put(_Last(ended))

    def join(self) -> None:
        self._thread.join()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        use_threads(1)  # its operations are small, and helpers would take cores away from the model
        self._ready.set()
        try:
            for item in self._channel:
                if isinstance(item, _Last):
                    self.lane.emitter.put(self._closing(item))
                    return
                self._follow(item)
                self._done(self.name)
        except Exception as error:
            self._channel.cancel()
            self._fail(error)
            self.lane.emitter.put(Closing(False))  # where the tracker stands, nobody knows

    def _follow(self, item: Segmented) -> None:
        lane, frame = self.lane, item.arrived.frame
        if self._given_up:
            lane.emitter.counters.dropped("stream_failed")
            return
        result, ended = self._result(item)
        replayed = lane.replay_until is not None and (frame.epoch, frame.index) <= lane.replay_until
        emission = Emission(result, frame.rgb, item.vocabulary, ended, replayed)
        state = self._state() if self._is_commit_due() else None
        lane.emitter.put(Outgoing(emission, item.arrived, lane.tracker.identities, state))
        if isinstance(item.outcome, Exception) and self._failures >= self.max_failures:
            self._give_up(item.outcome)

    def _result(self, item: Segmented) -> tuple[FrameResult, tuple[TrackRow, ...]]:
        tracker, frame = self.lane.tracker, item.arrived.frame
        if isinstance(item.outcome, Exception):
            self._failures += 1
            reason = reason_of(item.outcome)
            return FrameResult.failed(frame, reason, model=tracker.model, vocabulary=item.vocabulary), ()
        self._failures = 0
        step = tracker.step(item.outcome, frame)
        return step.result, step.ended

    def _is_commit_due(self) -> bool:
        now = time.monotonic()
        if not self.lane.commits or now - self._committed_at < self.commit_seconds:
            return False
        self._committed_at = now
        return True

    def _give_up(self, error: Exception) -> None:
        self._given_up = True
        text = f"{self.lane.emitter.stream_id}: {self._failures} frames in a row failed: {reason_of(error)}"
        self._tell(self.name, StreamsegError(text))

    def _closing(self, last: _Last) -> Closing:
        lane = self.lane
        if last.ended and not self._given_up:
            return Closing(True, remaining=lane.tracker.finish())
        state = self._state() if lane.commits else None
        return Closing(False, state, lane.tracker.finish() if lane.live else ())

    def _state(self) -> Mapping[str, Any]:
        return {} if self.lane.live and not self.lane.survives else self.lane.tracker.state_dict()

"""The process that owns what some streams have come to: their files, their commits, their counts."""

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...frames import FrameResult
from ...metrics import StreamTotals
from ...pipeline.plan import RunPlan, StreamPlan
from ...vocabulary import Vocabulary
from ..emitter import Closing, TrackerState
from .desk import Beginning, Desk
from .outbox import Outbox
from .telling import Telling, Told
from .wire import Fault, PackedResult, Parcel, pack_result

__all__ = ["Beginning", "EmitterHost", "EmitterReport", "StreamReport"]

MOST_FAILED = 100  # failed frames that are remembered for whoever asks next


@dataclass(frozen=True, slots=True)
class StreamReport:
    """How a stream stands.

    Attributes:
        lease: the latest.
        totals: of its frames.
        losses: of its sinks, see `Emitter.losses`.
        ended: nothing more will be written.
        finished: it has come to its end; else it can be gone on with.
        fault: why it has ended, where it failed.
    """

    lease: int
    totals: StreamTotals
    losses: Mapping[str, Mapping[str, int]]
    ended: bool
    finished: bool
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class EmitterReport:
    """How an emitter is.

    Attributes:
        incarnation: another one after a restart.
        streams: by name.
        fault: why the run cannot go on, if so.
        failed: results of frames that failed since the last report, where results are not asked for otherwise.
        told: log lines since the last report.
    """

    incarnation: str
    streams: Mapping[str, StreamReport]
    fault: Fault | None
    failed: tuple[PackedResult, ...]
    told: tuple[Told, ...]


class EmitterHost:
    """A desk for each of some streams.

    Args:
        plan: of the run.
        folder: of the run, where it has one; seen under this path from here.
        deliver: whether somebody takes all results (`results`); else failed ones alone are told of.
    """

    def __init__(self, plan: RunPlan, folder: Path | None, *, deliver: bool) -> None:
        self._plan = plan
        self._folder = folder
        self._deliver = deliver
        self._telling = Telling()
        self._lock = threading.Lock()
        self._desks: dict[str, Desk] = {}
        self._fault: Fault | None = None
        self._stopping = threading.Event()
        self._failed: deque[PackedResult] = deque(maxlen=MOST_FAILED)
        self._outbox = Outbox(plan.settings.batch.queue)

    def open(self, stream: StreamPlan, vocabulary: Vocabulary | None = None) -> None:
        """Take a stream on, going on from its last commit if there is one; nothing happens where it is here already."""
        with self._lock:
            if stream.name not in self._desks:
                desk = Desk(
                    self._plan,
                    stream,
                    None if self._folder is None else self._folder / stream.name,
                    results=self._outbox if self._deliver else _FailedAlone(self._failed),
                    settle=self._outbox.settle if self._deliver else None,
                    fail=self._fail,
                    stop=self._stopping,
                )
                desk.vocabulary = vocabulary or stream.vocabulary
                self._desks[stream.name] = desk
                desk.start()

    def streams(self) -> list[tuple[StreamPlan, Vocabulary, int, bool]]:
        """What is here, for a coordinator that has forgotten: words, lease, and whether it is paused, of each."""
        return [(desk.stream, desk.vocabulary, desk.lease, desk.paused) for desk in list(self._desks.values())]

    def note(self, stream_id: str, vocabulary: Vocabulary, paused: bool) -> None:
        """What is wanted of a stream, for `streams`."""
        desk = self._desks[stream_id]
        desk.vocabulary, desk.paused = vocabulary, paused

    def begin(self, stream: StreamPlan, lease: int, vocabulary: Vocabulary) -> Beginning | None:
        """A new lease: results under older ones are refused from now on; returns where the new one goes on, or None
        where the stream has been closed."""
        self.open(stream, vocabulary)  # after a restart that the coordinator has not seen yet, nothing is open
        desk = self._desks[stream.name]
        desk.vocabulary = vocabulary
        return desk.begin(lease)

    def take(self, stream_id: str, lease: int, parcels: Sequence[Parcel]) -> bool:
        """Results in order, waiting for room; False where the lease is over."""
        desk = self._desks.get(stream_id)
        return desk is not None and all(desk.take(lease, parcel) for parcel in parcels)

    def hand_over(self, stream_id: str, lease: int, state: TrackerState | None) -> None:
        """Note where a stream stands, for somebody else to go on."""
        self._desks[stream_id].hand_over(lease, state)

    def close(
        self,
        stream_id: str,
        lease: int | None,
        closing: Closing,
        totals: Mapping[str, Any] | None = None,
        fault: Fault | None = None,
    ) -> None:
        """A stream's last word; without a lease it is the last one that is known."""
        desk = self._desks.get(stream_id)
        if desk is not None:
            desk.close(lease, closing, totals, fault)

    def remove(self, stream_id: str) -> StreamReport | None:
        """Forget a stream that has been closed; how it stands."""
        desk = self._desks.get(stream_id)
        if desk is None:
            return None
        desk.join()
        with self._lock:
            del self._desks[stream_id]
        return self._report_of(desk)

    def results(self) -> Iterator[PackedResult | None]:
        """Every result, as they come, until `finish`; None at the end of a call where another one gives the next."""
        yield from self._outbox.give()

    def stop_waiting(self) -> None:
        """Sinks that wait for others give up soon; results that nobody takes hold nobody up."""
        self._stopping.set()
        self._outbox.cancel()

    def finish(self) -> None:
        """All streams have ended: `results` ends, too."""
        for desk in list(self._desks.values()):
            desk.join()
        self._outbox.close()

    def report(self) -> EmitterReport:
        """For whoever watches."""
        failed = tuple(self._failed.popleft() for _ in range(len(self._failed)))
        streams = {name: self._report_of(desk) for name, desk in list(self._desks.items())}
        return EmitterReport(self._telling.incarnation, streams, self._fault, failed, self._telling.take())

    @staticmethod
    def _report_of(desk: Desk) -> StreamReport:
        ended = not desk.is_alive()
        emitter = desk.emitter
        return StreamReport(desk.lease, desk.totals(), emitter.losses(), ended, emitter.finished, desk.fault)

    def _fail(self, error: Exception) -> None:
        self._fault = self._fault or Fault.of(error)


class _FailedAlone:
    """In the place of a caller who takes no results."""

    def __init__(self, failed: deque[PackedResult]) -> None:
        self._failed = failed

    def put(self, item: FrameResult) -> bool:
        if item.status == "failed":
            self._failed.append(pack_result(item))
        return True

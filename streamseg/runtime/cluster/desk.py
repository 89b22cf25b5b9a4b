"""One stream's place in an emitter: which results are taken, each once, and what a new lease goes on from."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray

from ...metrics import StreamCounters, StreamTotals
from ...pipeline.build import build_sinks
from ...pipeline.plan import RunPlan, StreamPlan
from ...runs.commits import Commit
from ...sinks.base import Emission
from ...sources.base import Position
from ..emitter import Closing, Emitter, Handover, Outgoing, TakesResults, TrackerState
from ..intake import Arrived
from ..resume import resume_stream
from .wire import NO_PICTURE, Fault, Parcel, Place, frame_of, from_wall, unpack_result

__all__ = ["Beginning", "Desk"]

IN_DRIVER = ("stdout",)  # sinks of the process that started the run


@dataclass(frozen=True, slots=True, eq=False)
class Beginning:
    """What a new lease goes on from.

    Attributes:
        place: for the decoder.
        tracker: what `Tracker.state_dict` returned there.
        replay_until: (epoch, frame) that was given away before this emitter began; None where nothing was.
        mark: (epoch of results, the largest id in it) that were emitted; None where nothing was.
    """

    place: Place
    tracker: TrackerState = field(default_factory=dict)
    replay_until: tuple[int, int] | None = None
    mark: tuple[int, int] | None = None


class Desk:
    """Takes one stream's results under the latest lease.

    Frames are numbered in the order in which the decoder hands them over. A number that was there already is a replay,
    and is passed over; one that is missing was lost with a worker: that can only be live input.

    Args:
        plan, stream: what is written.
        folder: of the stream; None keeps everything in memory.
        results, settle, fail: see `Emitter`.
        stop: ends what sinks wait for.
    """

    def __init__(
        self,
        plan: RunPlan,
        stream: StreamPlan,
        folder: Path | None,
        *,
        results: TakesResults,
        settle: Callable[[], object] | None,
        fail: Callable[[Exception], None],
        stop: threading.Event,
    ) -> None:
        self.stream = stream
        self.vocabulary = stream.vocabulary
        self.paused = False
        self.lease = 0
        self.fault: Fault | None = None
        commit, self._replay_until = (None, None) if folder is None else resume_stream(folder)
        self._counters = StreamCounters()
        if commit is not None:
            self._counters.go_on_from(commit.totals)
        self._decoded: Mapping[str, Any] = {"decoded": 0, "dropped": {}} if commit is None else commit.totals
        self._next = 0 if commit is None else commit.kept
        self._last: Arrived | None = None
        self._mark: tuple[int, int] | None = None
        self._words = stream.vocabulary
        self._closed = False
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        local = [sink for sink in plan.settings.sinks if sink.kind not in IN_DRIVER]
        self.emitter = Emitter(
            stream.name,
            folder,
            build_sinks(replace(plan, settings=replace(plan.settings, sinks=tuple(local))), stream, folder, stop),
            self._counters,
            live=stream.live,
            results=results,
            fail=fail,
            queue=plan.settings.batch.queue,
            committed=commit,
            settle=settle,
        )

    def start(self) -> None:
        self.emitter.start()

    def join(self) -> None:
        self.emitter.join()

    def is_alive(self) -> bool:
        return self.emitter.is_alive()

    def totals(self) -> StreamTotals:
        return self._counters.totals()

    def begin(self, lease: int) -> Beginning | None:
        """A new lease; older ones are over. None where the stream has been closed."""
        with self._lock:
            if self._closed:
                return None
            self.lease = max(self.lease, lease)
            self._words = self.stream.vocabulary
            commit = self.emitter.committed
            if commit is None:
                return Beginning(Place(), replay_until=self._replay_until, mark=self._mark)
            place = self._live_place(commit) if self.stream.live else _place(commit)
            return Beginning(place, commit.tracker, self._replay_until, self._mark)

    def take(self, lease: int, parcel: Parcel) -> bool:
        """One result, waiting for room; False where the lease is over."""
        with self._turn:
            with self._lock:
                if lease != self.lease or self._closed:
                    return False
                self._words = parcel.vocabulary or self._words
                number = parcel.arrived.number
                if number < self._next:
                    return True
                self._count(parcel.arrived, lost=number - self._next)
                self._next = number + 1
                self._last = parcel.arrived
                self._note_ids(parcel)
            return self.emitter.put(self._outgoing(parcel))

    def hand_over(self, lease: int, state: TrackerState | None) -> None:
        """Somebody else goes on from here."""
        with self._turn:
            if lease == self.lease and state is not None:
                self.emitter.put(Handover(state))

    def close(self, lease: int | None, closing: Closing, totals: Mapping[str, Any] | None, fault: Fault | None) -> None:
        """The stream's last word; the first one counts."""
        with self._turn:
            with self._lock:
                if self._closed or (lease is not None and lease != self.lease):
                    return
                self._closed = True
                self.fault = fault
                if totals is not None:
                    self._follow(totals)
            self.emitter.put(replace(closing, left="stopped"))

    def _outgoing(self, parcel: Parcel) -> Outgoing:
        picture = NO_PICTURE if parcel.origin is None else frame_of(ray.get(parcel.origin[0]), parcel.origin[1]).rgb
        emission = Emission(unpack_result(parcel.result), picture, self._words, parcel.ended, parcel.replayed)
        arrived = replace(parcel.arrived, arrived_at=from_wall(parcel.arrived))
        return Outgoing(emission, arrived, parcel.identities, parcel.state)

    def _count(self, arrived: Arrived, *, lost: int) -> None:
        self._follow(arrived.totals)
        if lost:
            self._counters.dropped("worker_lost", lost)

    def _follow(self, totals: Mapping[str, Any]) -> None:
        """The decoder's counts, as of some frame: what has been added since the last one."""
        before, self._decoded = self._decoded, totals
        dropped = {
            reason: count - before["dropped"].get(reason, 0)
            for reason, count in totals["dropped"].items()
            if count > before["dropped"].get(reason, 0)
        }
        self._counters.add_decoded(totals["decoded"] - before["decoded"], dropped)

    def _note_ids(self, parcel: Parcel) -> None:
        result = parcel.result.rest
        epoch, largest = self._mark or (result.epoch, 0)
        if result.epoch > epoch:
            epoch, largest = result.epoch, 0
        self._mark = epoch, max([largest, *(segment.id for segment in result.segments)])

    def _live_place(self, commit: Commit) -> Place:
        """For a decoder that has to begin anew: behind all that is here already."""
        if self._last is not None:
            return replace(Place.after(self._last), number=self._next)
        return replace(_place(commit), number=self._next)


def _place(commit: Commit) -> Place:
    return Place(
        Position(commit.position.index, commit.position.pts_ticks, commit.position.epoch),
        commit.kept,
        {"decoded": commit.totals["decoded"], "dropped": commit.totals["dropped"]},
        commit.origin_seconds,
        commit.last_kept_seconds,
    )

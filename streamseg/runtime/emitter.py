"""One thread for each stream that gives its results away: sinks, counters, commits, and the caller's own loop."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from ..frames import FrameResult
from ..metrics import StreamCounters
from ..runs.commits import Commit, write_commit
from ..sinks.base import Emission
from ..sinks.guard import GuardedSink
from ..sources.base import Position
from ..tracks import TrackRow
from .channel import Channel
from .intake import Arrived

__all__ = ["Closing", "Emitter", "Handover", "Outgoing", "TakesResults"]

logger = logging.getLogger(__name__)

OUTLET_LIMIT = 64  # results that wait for a sink that gives things away
OUTLET_SECONDS = 30.0  # what such a sink gets at the end to empty its queue

TrackerState = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """A frame's results, leaving the model.

    Attributes:
        emission: for the sinks.
        arrived: the frame.
        identities: given out so far.
        state: of the tracker after this frame, where it is time for a commit.
    """

    emission: Emission
    arrived: Arrived
    identities: int
    state: TrackerState | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Closing:
    """The stream's last word.

    Attributes:
        finished: it has ended by itself; else the run was stopped, and can go on from here.
        state: of the tracker after the last frame; None where it is not known to be whole.
        remaining: tracks that were alive, where the stream has ended.
        left: why decoded frames have no result, where there may be such, and nobody else counts them.
    """

    finished: bool
    state: TrackerState | None = None
    remaining: tuple[TrackRow, ...] = ()
    left: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Handover:
    """Whoever followed the stream so far stops here, and somebody else will go on.

    Attributes:
        state: of the tracker after the last frame.
    """

    state: TrackerState


class TakesResults(Protocol):
    """Where results go after the sinks."""

    def put(self, item: FrameResult) -> bool:
        """One result, waiting for room; False where nobody takes them any more."""
        ...


@dataclass(slots=True)
class _Outlet:
    """A sink that others may hold up, behind a queue and in a thread of its own."""

    sink: GuardedSink
    channel: Channel[Emission] = field(default_factory=lambda: Channel(OUTLET_LIMIT))
    thread: threading.Thread | None = None
    lost: int = 0


class Emitter:
    """Takes the results of one stream, in order.

    Args:
        stream_id: its name.
        folder: of the stream, for commits; None keeps no commits.
        sinks: opened here, in the stream's thread, before its first result.
        counters: of the stream.
        live: whether records tell of wall clock and drops.
        results: where the caller takes them.
        fail: ends the run with an error.
        queue: results that may wait.
        committed: what the stream goes on from; None for a new run.
        settle: called before a place is noted; returns when the caller has the results so far.
    """

    def __init__(
        self,
        stream_id: str,
        folder: Path | None,
        sinks: Sequence[GuardedSink],
        counters: StreamCounters,
        *,
        live: bool,
        results: TakesResults,
        fail: Callable[[Exception], None],
        queue: int,
        committed: Commit | None = None,
        settle: Callable[[], object] | None = None,
    ) -> None:
        self.stream_id = stream_id
        self.folder = folder
        self.counters = counters
        self.live = live
        self.finished = False
        self._inner = [sink for sink in sinks if not sink.external]
        self._outlets = [_Outlet(sink) for sink in sinks if sink.external]
        self._results = results
        self._fail = fail
        self._settle = settle
        self._channel: Channel[Outgoing | Handover | Closing] = Channel(queue)
        self._last: Outgoing | None = None
        self._committed = committed
        self._thread = threading.Thread(target=self._run, name=f"emit {stream_id}")

    def start(self) -> None:
        self._thread.start()

    def losses(self) -> dict[str, dict[str, int]]:
        """What sinks could not take, frames by reason, for each sink that lost any; from any thread."""
        found = {sink.name: dict(sink.lost) for sink in [*self._inner, *(outlet.sink for outlet in self._outlets)]}
        for outlet in self._outlets:
            if outlet.lost:
                found[outlet.sink.name]["too slow"] = outlet.lost
        return {name: lost for name, lost in found.items() if lost}

    @property
    def committed(self) -> Commit | None:
        """The last place that was noted; from any thread."""
        return self._committed

    def put(self, item: Outgoing | Handover | Closing) -> bool:
        """The next result, waiting for room; False where the emitter has failed."""
        return self._channel.put(item)

    def join(self) -> None:
        self._thread.join()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._open()
            for item in self._channel:
                if isinstance(item, Closing):
                    self._close(item)
                    return
                if isinstance(item, Handover):
                    self._hand_on(item)
                else:
                    self._emit(item)
        except Exception as error:
            self._channel.cancel()
            self._fail(error)
            self._abandon()

    def _open(self) -> None:
        for sink in [*self._inner, *(outlet.sink for outlet in self._outlets)]:
            sink.open(None if self._committed is None else self._committed.sinks.get(sink.name))
        for outlet in self._outlets:
            outlet.thread = threading.Thread(
                target=self._serve, args=(outlet,), name=f"{outlet.sink.name} {self.stream_id}"
            )
            outlet.thread.start()

    def _emit(self, item: Outgoing) -> None:
        result = self._finished(item)
        emission = replace(item.emission, result=result)
        for sink in self._inner:
            sink.write(emission)
        for outlet in self._outlets:
            self._hand_over(outlet, emission)
        self.counters.emitted(
            failed=result.status == "failed",
            latency_seconds=self._latency(item),
            tracks=item.identities,
        )
        self._last = item
        self._results.put(result)
        if item.state is not None:
            self._commit(item, item.state)

    def _finished(self, item: Outgoing) -> FrameResult:
        """The record, with what only live ones tell."""
        result = item.emission.result
        if not self.live:
            return result
        return replace(result, latency_seconds=self._latency(item), dropped=self.counters.take_dropped())

    def _latency(self, item: Outgoing) -> float:
        captured = item.arrived.frame.captured_at
        if captured is None:
            return time.monotonic() - item.arrived.arrived_at
        return max(0.0, (datetime.now(UTC) - captured).total_seconds())

    def _hand_over(self, outlet: _Outlet, emission: Emission) -> None:
        """Recorded input waits for whoever takes its results, live input cannot."""
        taken = outlet.channel.offer(emission) if self.live else outlet.channel.put(emission)
        if not taken and not outlet.channel.cancelled:  # else the sink has failed, and the run ends with its error
            outlet.lost += 1

    def _serve(self, outlet: _Outlet) -> None:
        try:
            for emission in outlet.channel:
                outlet.sink.write(emission)
        except Exception as error:
            outlet.channel.cancel()
            self._fail(error)

    def _commit(self, item: Outgoing, state: TrackerState) -> None:
        if self._settle is not None:
            self._settle()
        commit = self._commit_after(item, state)
        if self.folder is not None:
            write_commit(self.folder, commit)
        self._committed = commit

    def _hand_on(self, handover: Handover) -> None:
        if self._last is not None:
            self._commit(self._last, handover.state)

    def _commit_after(self, item: Outgoing, state: TrackerState) -> Commit:
        frame = item.arrived.frame
        return Commit(
            position=Position(frame.index, frame.pts_ticks, frame.epoch),
            kept=item.arrived.number + 1,
            totals=self._totals_after(item),
            origin_seconds=item.arrived.origin_seconds,
            last_kept_seconds=item.arrived.last_kept_seconds,
            tracker=state,
            sinks={sink.name: sink.state() for sink in self._inner},
        )

    def _totals_after(self, item: Outgoing) -> dict[str, Any]:
        """Counts up to a frame. What is on its way behind it comes again, or, of live input, is gone."""
        now = self.counters.totals()
        counts = {"emitted": item.arrived.number + 1, "failed": now.failed, "tracks": item.identities}
        if not self.live:
            return {**item.arrived.totals, **counts}
        dropped = dict(sorted(now.dropped.items()))
        decoded = now.emitted + sum(dropped.values())
        return {"decoded": decoded, "dropped": dropped, **counts, "emitted": now.emitted}

    def _close(self, closing: Closing) -> None:
        if closing.left is not None and (left := self.counters.totals().in_flight):
            self.counters.dropped(closing.left, left)
        if not self.live:  # a run that goes on cuts off what closing adds
            self._commit_stop(closing)
        for sink in self._inner:
            sink.close(closing.remaining)
        if self.live:
            self._commit_stop(closing)
        self._close_outlets()
        if closing.finished and self.folder is not None:
            self._mark_done()
        self.finished = closing.finished

    def _commit_stop(self, closing: Closing) -> None:
        if not closing.finished and closing.state is not None and self._last is not None:
            self._commit(self._last, closing.state)

    def _close_outlets(self) -> None:
        for outlet in self._outlets:
            outlet.channel.close()
            if outlet.thread is not None:
                outlet.thread.join(OUTLET_SECONDS)
                if outlet.thread.is_alive():
                    logger.warning("%s: %s does not take its results", self.stream_id, outlet.sink.name)
                    outlet.channel.cancel()
            outlet.sink.close()  # which also ends a write that waits
            if outlet.thread is not None:
                outlet.thread.join(OUTLET_SECONDS)

    def _mark_done(self) -> None:
        """So that going on with a finished run has nothing to do, and still knows all counts: after the last frame that
        was wanted there may have been others."""
        last = self._committed if self._last is None else self._commit_after(self._last, {})
        if last is not None and self.folder is not None:
            write_commit(self.folder, replace(last, totals=self.counters.totals().to_dict(), done=True))

    def _abandon(self) -> None:
        """After an error: release what is held; nothing more is written, and the first error is the one that counts."""
        for outlet in self._outlets:
            outlet.channel.cancel()
        for sink in [*self._inner, *(outlet.sink for outlet in self._outlets)]:
            try:
                sink.close()
            except Exception:
                logger.debug("%s: %s could not be closed", self.stream_id, sink.name, exc_info=True)

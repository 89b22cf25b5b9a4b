"""The process that decodes one stream. Whoever follows the stream pulls; nothing here cannot be made elsewhere."""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ...config.sources import SelectionSettings
from ...metrics import StreamCounters
from ...pipeline.plan import RunPlan, StreamPlan
from ...sources.base import Position
from ...sources.selection import Selection
from ..intake import Arrived, BufferPolicy, Ended, Intake
from ..reader import StreamReader
from .telling import Telling, Told
from .wire import Fault, Pack, Place, to_wall

__all__ = ["Decoder", "DecoderReport"]

logger = logging.getLogger(__name__)

PACKS_OF_A_CALL = 500  # Ray keeps half a kilobyte for each until the call ends, and a camera never ends
PACK_BYTES = 1 << 24  # a pack is in memory several times over: made, waiting, and in use


@dataclass(frozen=True, slots=True)
class DecoderReport:
    """How a decoder is.

    Attributes:
        incarnation: another one after a restart.
        status: see `Source`.
        silent_seconds: since the source's last sign of life; 0 where it waits for its consumer.
        told: log lines since the last report.
    """

    incarnation: str
    status: str
    silent_seconds: float
    told: tuple[Told, ...]


class Decoder:
    """Reads one stream in a thread of its own, as far ahead as its consumer lets it, and gives out packs.

    A recording is read again from wherever a new consumer wants to go on. A camera is held: a new consumer gets what
    comes next, and meanwhile the newest frames are kept and the others counted.

    Args:
        plan: of the run, without its other streams.
        stream: which one.
    """

    def __init__(self, plan: RunPlan, stream: StreamPlan) -> None:
        self._plan = plan
        self._stream = stream
        self._telling = Telling()
        self._session: _Session | None = None
        self._lease = 0
        self._lock = threading.Lock()

    def frames(self, place: Place, lease: int) -> Iterator[Pack]:
        """The stream's frames from a place on. The iteration of an earlier lease ends; an older one gets nothing.

        An empty pack that is not the end means that this call is over, and that another one gives what comes next.
        """
        with self._lock:
            if lease < self._lease:
                return
            session = self._session
            if session is None or lease != self._lease or session.broke_off_at != place.number:
                session = self._session = self._session_from(place)
            self._lease = lease
            intake = session.take_up()
        yield from session.packs(intake)

    def _session_from(self, place: Place) -> "_Session":
        """For a consumer that has not been there before, or has lost some."""
        session = self._session
        if session is not None and self._stream.live and session.is_alive():
            session.attach()
            return session
        if session is not None:
            session.stop()
        return _Session(self._plan, self._stream, place)

    def pause(self, paused: bool) -> None:
        """Whether nobody follows the stream on purpose: frames of a camera that are lost meanwhile are counted so."""
        if self._session is not None:
            self._session.reader.overtaken = "paused" if paused else "late"

    def report(self) -> DecoderReport:
        """For whoever watches."""
        session = self._session
        live = session is not None and self._stream.live
        return DecoderReport(
            self._telling.incarnation,
            "ready" if session is None else session.reader.source.status,
            time.monotonic() - session.reader.source.heartbeat if session is not None and live else 0.0,
            self._telling.take(),
        )


class _Session:
    """One reading of the stream."""

    def __init__(self, plan: RunPlan, stream: StreamPlan, place: Place) -> None:
        self.counters = StreamCounters()
        self.counters.go_on_from({**place.totals, "emitted": 0, "failed": 0, "tracks": 0})
        self._stream = stream
        self._settings = plan.settings
        self._lock = threading.Lock()
        self._handed_over = place.number
        self.broke_off_at: int | None = None  # frames handed over, where a call has come to its own end
        self._intake = self._new_intake()
        self._end: Ended | None = None
        selection = _selection(plan.settings.selection, place, live=stream.live)
        self.reader = StreamReader(
            plan.open(stream),
            lambda: plan.open(stream),
            selection,
            self._intake,
            self.counters,
            after=_after(place, live=stream.live),
            number=place.number,
        )
        self._pack_frames = 1 if stream.live else pack_frames(stream, plan.settings.ray.frames_per_object)
        self.reader.start()

    def attach(self) -> None:
        """A new intake for a new consumer, with what waited for the one before."""
        with self._lock:
            before, self._intake = self._intake, self._new_intake()
            for item in before.stop():
                self._intake.put(item)
            self.reader.leave_in(self._intake)
            if self._end is not None:
                self._intake.end(self._end.lane, self._end.error)

    def take_up(self) -> Intake:
        """What a call is to give out."""
        self.broke_off_at = None
        return self._intake

    def packs(self, intake: Intake) -> Iterator[Pack]:
        """What one call gives to its consumer."""
        for _ in range(PACKS_OF_A_CALL):
            batch, ended = intake.take(self._pack_frames, 0.0)
            if not batch and not ended:
                return
            yield self._pack(batch, ended)
            if ended:
                return
        self.broke_off_at = self._handed_over
        yield Pack(())

    def stop(self) -> None:
        self.reader.stop()
        self._intake.stop()

    def is_alive(self) -> bool:
        return self._end is None

    def _new_intake(self) -> Intake:
        policy = BufferPolicy.NEWEST if self._stream.live else BufferPolicy.WAIT
        return Intake({self._stream.name: policy}, self._settings.batch.queue)

    def _pack(self, batch: list[Arrived], ended: list[Ended]) -> Pack:
        frames = tuple(to_wall(self._handed(item)) for item in batch)
        if not ended:
            return Pack(frames)
        self._end = ended[0]
        error = ended[0].error
        return Pack(frames, True, None if error is None else Fault.of(error), self.counters.decoded_so_far())

    def _handed(self, item: Arrived) -> Arrived:
        """Of live input, those count that are handed over: whoever misses one knows that it was lost on the way."""
        if not self._stream.live:
            self._handed_over = item.number + 1
            return item
        number, self._handed_over = self._handed_over, self._handed_over + 1
        return replace(item, number=number, totals=self.counters.decoded_so_far())


def pack_frames(stream: StreamPlan, most: int) -> int:
    """How many frames of a recording travel together: several, since each object costs, but not many megabytes."""
    if stream.info.size_hw is None:
        return 1
    height, width = stream.info.size_hw
    return max(1, min(most, PACK_BYTES // (3 * height * width)))


def _after(place: Place, *, live: bool) -> Position | None:
    """A camera has moved on meanwhile: that is a new epoch, with a time of its own."""
    if place.position is None or not live:
        return place.position
    return Position(place.position.index, None, place.position.epoch + 1)


def _selection(settings: SelectionSettings, place: Place, *, live: bool) -> Selection:
    if live:
        return Selection(settings, kept_before=place.number, clock=time.monotonic)
    before: dict[str, Any] = {}
    if place.position is not None:
        before = {"origin_seconds": place.origin_seconds, "last_kept_seconds": place.last_kept_seconds}
    return Selection(settings, kept_before=place.number, **before)

"""One worker and its streams, event by event: what the closed formulas leave out.

Cameras send at their own rates, out of step and with jitter; decoders share cores; frames wait in bounded queues, whose
oldest ones leave for new ones when they are full; two batches are in flight. Everything else is a constant of the
costs. Time is simulated, so a minute of a thousand frames a second takes about a second.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from .costs import PassTime

__all__ = ["SimulatedWorker", "Simulation", "simulate"]

IN_FLIGHT = 2  # batches
WARM_UP = 0.2  # of the time, not counted


@dataclass(frozen=True, slots=True)
class SimulatedWorker:
    """What is simulated.

    Attributes:
        streams, fps: of the cameras.
        jitter: of a frame's arrival, as a share of its period.
        decode_seconds, cores: of one frame, and how many decoders run at once.
        prepare_seconds: of a batch before the device takes it, for each frame.
        device: of a batch.
        follow_seconds: behind it, for each frame; one frame at a time (they share an interpreter).
        emit_seconds: behind that, for each frame; side by side.
        max_batch, max_wait_seconds, queue: as in `BatchSettings`.
    """

    streams: int
    fps: float
    device: PassTime
    jitter: float = 0.5
    decode_seconds: float = 0.0
    cores: int = 8
    prepare_seconds: float = 0.0
    follow_seconds: float = 0.0
    emit_seconds: float = 0.0
    max_batch: int = 8
    max_wait_seconds: float = 0.01
    queue: int = 4


@dataclass(frozen=True, slots=True)
class Simulation:
    """What came of it.

    Attributes:
        arrived, dropped, done: frames.
        p50_seconds, p95_seconds: from capture to record, of those that were done.
        device_busy, decoders_busy: shares of the time.
        mean_batch: frames.
    """

    arrived: int
    dropped: int
    done: int
    p50_seconds: float
    p95_seconds: float
    device_busy: float
    decoders_busy: float
    mean_batch: float

    @property
    def drop_share(self) -> float:
        return self.dropped / max(1, self.arrived)


def simulate(worker: SimulatedWorker, *, seconds: float = 60.0, seed: int = 0) -> Simulation:
    """Play so many seconds; equal seeds give equal results."""
    return _Run(worker, seconds, random.Random(seed)).play()


@dataclass(slots=True)
class _Run:
    worker: SimulatedWorker
    seconds: float
    random: random.Random
    now: float = 0.0
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: int = 0
    _waiting: list[deque[float]] = field(default_factory=list)
    _turn: int = 0
    _flying: int = 0
    _gathering: bool = False
    _device_free: float = 0.0
    _follower_free: float = 0.0
    _decoders: list[float] = field(default_factory=list)
    _arrived: int = 0
    _dropped: int = 0
    _busy: float = 0.0
    _decoding: float = 0.0
    _batches: list[int] = field(default_factory=list)
    _latencies: list[float] = field(default_factory=list)

    def play(self) -> Simulation:
        worker = self.worker
        self._waiting = [deque() for _ in range(worker.streams)]
        self._decoders = [0.0] * worker.cores
        for stream in range(worker.streams):
            self._send(stream, self.random.random() / worker.fps)
        while self._events and self._events[0][0] <= self.seconds:
            self.now, _, happens = heapq.heappop(self._events)
            happens()
        return self._summary()

    def _at(self, time: float, happens: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._events, (time, self._order, happens))

    def _send(self, stream: int, due: float) -> None:
        """The camera's next frame, around the time at which it is due."""
        period = 1 / self.worker.fps
        late = self.random.random() * self.worker.jitter * period
        self._at(due + late, lambda: self._decode(stream, due + late))
        self._at(due + period, lambda: self._send(stream, due + period))

    def _decode(self, stream: int, captured: float) -> None:
        took = self.worker.decode_seconds
        done = max(self.now, heapq.heappop(self._decoders)) + took
        heapq.heappush(self._decoders, done)
        self._decoding += took
        self._at(done, lambda: self._arrive(stream, captured))

    def _arrive(self, stream: int, captured: float) -> None:
        counts = self._counts
        waiting = self._waiting[stream]
        self._arrived += counts
        if len(waiting) >= self.worker.queue:
            waiting.popleft()
            self._dropped += counts
        waiting.append(captured)
        self._take_soon()

    def _take_soon(self) -> None:
        """Someone is free: gather for a moment, unless a batch is there already."""
        ready = sum(map(len, self._waiting))
        if self._flying >= IN_FLIGHT or not ready:
            return
        if ready >= self.worker.max_batch:
            self._take()
        elif not self._gathering:
            self._gathering = True
            self._at(self.now + self.worker.max_wait_seconds, self._gathered)

    def _gathered(self) -> None:
        self._gathering = False
        if self._flying < IN_FLIGHT and any(self._waiting):
            self._take()

    def _take(self) -> None:
        batch = self._pick()
        self._flying += 1
        prepared = self.now + len(batch) * self.worker.prepare_seconds
        took = self.worker.device.of(len(batch))
        self._at(prepared, lambda: self._compute(batch, took))

    def _pick(self) -> list[float]:
        """From the streams in turn."""
        batch: list[float] = []
        while len(batch) < self.worker.max_batch and any(self._waiting):
            waiting = self._waiting[self._turn % len(self._waiting)]
            self._turn += 1
            if waiting:
                batch.append(waiting.popleft())
        return batch

    def _compute(self, batch: list[float], took: float) -> None:
        start = max(self.now, self._device_free)
        self._device_free = start + took
        inside = min(self._device_free, self.seconds) - max(start, WARM_UP * self.seconds)
        self._busy += max(0.0, inside)
        self._at(self._device_free, lambda: self._finish(batch))

    def _finish(self, batch: list[float]) -> None:
        self._flying -= 1
        self._batches += [len(batch)] * self._counts
        for captured in batch:
            self._follower_free = max(self.now, self._follower_free) + self.worker.follow_seconds
            if self._counts:
                self._latencies.append(self._follower_free + self.worker.emit_seconds - captured)
        self._take_soon()

    @property
    def _counts(self) -> int:
        return int(self.now >= WARM_UP * self.seconds)

    def _summary(self) -> Simulation:
        latencies = sorted(self._latencies)
        last = max(0, len(latencies) - 1)
        measured = (1 - WARM_UP) * self.seconds
        return Simulation(
            arrived=self._arrived,
            dropped=self._dropped,
            done=len(latencies),
            p50_seconds=latencies[round(0.5 * last)] if latencies else 0.0,
            p95_seconds=latencies[round(0.95 * last)] if latencies else 0.0,
            device_busy=self._busy / measured,
            decoders_busy=self._decoding / (self.worker.cores * self.seconds),
            mean_batch=sum(self._batches) / len(self._batches) if self._batches else 0.0,
        )

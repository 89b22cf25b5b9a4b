"""Places streams on workers, watches everybody, and places again what has lost its worker or its emitter.

It computes nothing and holds nothing that could not be asked for again: while it is away, streams go on.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from ...config.run import RunSettings
from ...errors import ConfigError, StreamsegError
from ...metrics import StreamTotals
from ...pipeline.plan import StreamPlan
from ...vocabulary import Vocabulary
from ..emitter import Closing
from .cast import MakesActors
from .crew import Crew
from .emitting import StreamReport
from .placed import Placed
from .placement import choose_worker
from .segmenting import Assignment
from .watching import Watched, collect, kill_hanging
from .wire import Fault, PackedResult

__all__ = ["Coordinator"]

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0  # for calls that need no computing
PATIENCE_SECONDS = 60.0  # of workers and emitters, whose machines may be busy
STOP_SECONDS = 120.0  # for everything that has been segmented to be written


class Coordinator:
    """See above. Used from one thread, but for what is said to be for any.

    Args:
        cast: makes the actors.
        settings: of the run.
        workers: how many there are to be.
    """

    def __init__(self, cast: MakesActors, settings: RunSettings, workers: int) -> None:
        self.streams: dict[str, Placed] = {}
        self.emitters: list[Watched] = []
        self.failure: Exception | None = None
        self._cast = cast
        self._settings = settings
        self.workers = [Watched(f"worker {i}", cast.worker(i), PATIENCE_SECONDS) for i in range(workers)]
        self._failed: list[PackedResult] = []
        self._crew = Crew(self.workers)

    def prepare(self) -> dict[str, Any]:
        """Wait until all workers have their model; what identifies it.

        Raises:
            StreamsegError: of the model's, in words; or a worker died.
        """
        return self._crew.prepare()

    def add(self, stream: StreamPlan, vocabulary: Vocabulary | None = None) -> None:
        """One more stream; it is placed in the next round."""
        if stream.name in self.streams and not self.streams[stream.name].ended:
            raise ConfigError(f"there is a stream {stream.name!r} already: choose another name")
        words = vocabulary or stream.vocabulary
        self.streams[stream.name] = Placed(stream, words, self._emitter_with_room(), self._decoder(stream))

    def round(self, seconds: float) -> None:
        """Ask how everybody is, for so long at most, and do what follows from it."""
        for process in [*collect(self._everybody(), seconds), *kill_hanging(self._everybody())]:
            self._lost(process)
        self._note_reports()
        self._kill_silent_decoders()
        self._fail_hopeless()
        if self.failure is None:
            self._fail_if(self._crew.load_models())
            self._open_streams()
            self._place_streams()

    @property
    def all_ended(self) -> bool:
        return all(placed.ended for placed in self.streams.values())

    def totals(self) -> dict[str, StreamTotals]:
        """Counts by stream, as far as they are known; from any thread."""
        return {name: placed.totals for name, placed in list(self.streams.items())}

    def processes(self) -> dict[str, int]:
        """Process numbers, on their machines, of those that are up, by name; from any thread."""
        decoders = [placed.decoder for placed in list(self.streams.values()) if not placed.ended]
        numbers = {process.name: process.pid for process in [*self.workers, *self.emitters, *decoders]}
        return {name: number for name, number in numbers.items() if number is not None}

    def take_failed(self) -> list[PackedResult]:
        """Results of failed frames since this was last asked, where results are not delivered."""
        taken, self._failed = self._failed, []
        return taken

    def stop(self) -> None:
        """End all streams; what has been segmented is written first."""
        self._call_all([emitter.actor.stop_waiting.remote() for emitter in self.emitters])
        self._call_all([self.workers[number].actor.stop.remote() for number in self._crew.ready])
        self.close()

    def close(self) -> None:
        """Streams that have not ended are closed as they are; returns when everything is written and counted."""
        closing = Closing(False)
        for name, placed in self.streams.items():
            if not placed.ended and placed.opened:
                self._call_all([self.emitters[placed.emitter].actor.close.remote(name, None, closing)])
        self._call_all([emitter.actor.finish.remote() for emitter in self.emitters if emitter.is_up])
        for _ in collect(self.emitters, ANSWER_SECONDS):  # one may be on its way from before
            pass
        for _ in collect(self.emitters, ANSWER_SECONDS):
            pass
        self._note_reports()

    def discard(self) -> None:
        """End all processes."""
        for process in self._everybody():
            self._cast.discard(process.actor)

    def pause(self, name: str, paused: bool) -> None:
        """Whether nobody is to follow a stream for now; where it stands is noted."""
        placed = self._placed(name)
        placed.paused = paused
        self._call_all([placed.decoder.actor.pause.remote(paused), self._note_wishes(placed)])
        if paused:
            self._take_off(placed, for_good=False)

    def use_vocabulary(self, name: str, vocabulary: Vocabulary) -> None:
        """Other words for a stream, from its next frame on; its tracks keep their identities."""
        placed = self._placed(name)
        placed.vocabulary = vocabulary
        calls = [self._note_wishes(placed)]
        if placed.worker is not None:
            calls.append(self.workers[placed.worker].actor.use_vocabulary.remote(name, vocabulary))
        self._call_all(calls)

    def remove(self, name: str) -> Placed:
        """End a stream, written as far as it is, and forget it; how it stood at the end."""
        placed = self._placed(name)
        self._take_off(placed, for_good=True)
        emitter = self.emitters[placed.emitter].actor
        self._call_all([emitter.close.remote(name, None, Closing(False))])
        report = self._answer(emitter.remove.remote(name))
        placed.report = placed.report if report is _NONE or report is None else report
        self._cast.discard(placed.decoder.actor)
        del self.streams[name]
        return placed

    def adopt(self, running: Iterable[int]) -> None:
        """Find the streams of emitters that were there before this coordinator was, and who follows them.

        Args:
            running: the numbers of these emitters.
        """
        for number in sorted(running):
            while len(self.emitters) <= number:
                self._add_emitter()
            for stream, vocabulary, lease, paused in ray.get(self.emitters[number].actor.streams.remote()):
                decoder = self._decoder(stream)
                self.streams[stream.name] = Placed(
                    stream, vocabulary, number, decoder, lease, opened=True, paused=paused
                )
        reports = ray.get([worker.actor.report.remote() for worker in self.workers])
        for number, report in enumerate(reports):
            for name, lease in report.leases.items():
                if name in self.streams and self.streams[name].lease == lease:
                    self.streams[name].worker, self.streams[name].placed_at = number, time.monotonic()

    def _placed(self, name: str) -> Placed:
        if name not in self.streams:
            known = ", ".join(self.streams) or "none"
            raise ConfigError(f"there is no stream {name!r}, expected one of those that run: {known}")
        return self.streams[name]

    def _note_wishes(self, placed: Placed) -> Any:
        """What a coordinator that has forgotten everything has to know."""
        emitter = self.emitters[placed.emitter].actor
        return emitter.note.remote(placed.plan.name, placed.vocabulary, placed.paused)

    def _take_off(self, placed: Placed, *, for_good: bool) -> None:
        """Nobody follows the stream any more; where it stands is noted."""
        if placed.worker is not None:
            worker = self.workers[placed.worker].actor
            self._call_all([worker.release.remote(placed.plan.name, for_good=for_good)])
            placed.worker = None

    # Watching.

    def _everybody(self) -> Iterator[Watched]:
        yield from self.workers
        yield from self.emitters
        yield from (placed.decoder for placed in self.streams.values() if not placed.ended)

    def _lost(self, process: Watched) -> None:
        """A process has died; decoders come back to those who pull from them."""
        if process in self.workers:
            number = self.workers.index(process)
            self._crew.lose(number)
            self._unplace(lambda placed: placed.worker == number)
        elif process in self.emitters:
            number = self.emitters.index(process)
            for placed in self.streams.values():
                if placed.emitter == number:
                    placed.opened = False
            self._unplace(lambda placed: placed.emitter == number)

    def _unplace(self, chosen: Any) -> None:
        for placed in self.streams.values():
            if not placed.ended and chosen(placed):
                placed.worker = None

    def _note_reports(self) -> None:
        for emitter in self.emitters:
            if emitter.report is None:
                continue
            for name, report in emitter.report.streams.items():
                if name in self.streams:
                    self._note(self.streams[name], report)
            self._failed.extend(emitter.report.failed)
            emitter.report = None if emitter.report.fault is None else emitter.report
        for placed in self.streams.values():
            worker = None if placed.worker is None else self.workers[placed.worker]
            if worker is None or worker.report is None or worker.told_of < placed.placed_at:
                continue
            if worker.report.leases.get(placed.plan.name, -1) < placed.lease:  # its emitter does not answer it
                placed.worker = None

    def _note(self, placed: Placed, report: StreamReport) -> None:
        before, placed.report = placed.report, report
        if before is None or report.totals.emitted > before.totals.emitted:
            placed.decoder.restarts = self.emitters[placed.emitter].restarts = 0
            if placed.worker is not None:
                self.workers[placed.worker].restarts = 0

    def _kill_silent_decoders(self) -> None:
        limit = self._settings.live.watchdog_seconds
        for placed in self.streams.values():
            report = placed.decoder.report
            if not placed.ended and report is not None and report.silent_seconds > limit:
                placed.decoder.kill(f"hung for {report.silent_seconds:.0f} s")

    def _fail_hopeless(self) -> None:
        for process in (*self.workers, *self.emitters):
            fault = getattr(process.report, "fault", None)
            if fault is not None:
                self._fail_if(fault.error())
            if process.dead is not None:
                self._fail_if(StreamsegError(f"{process.name} cannot be made again: {process.dead}"))
            if process.restarts > self._settings.ray.max_restarts:
                text = f"{process.name} died {process.restarts} times without a result in between"
                self._fail_if(StreamsegError(f"{text}: its machine may lack memory, or a frame crashes it"))

    def _fail_if(self, error: Exception | None) -> None:
        self.failure = self.failure or error

    # Placing.

    def _emitter_with_room(self) -> int:
        most = self._settings.ray.streams_per_emitter
        for number in range(len(self.emitters)):
            if sum(placed.emitter == number for placed in self.streams.values() if not placed.ended) < most:
                return number
        return self._add_emitter()

    def _add_emitter(self) -> int:
        number = len(self.emitters)
        self.emitters.append(Watched(f"emitter {number}", self._cast.emitter(number), PATIENCE_SECONDS))
        return number

    def _decoder(self, stream: StreamPlan) -> Watched:
        patience = self._settings.live.watchdog_seconds
        return Watched(f"decoder of {stream.name}", self._cast.decoder(stream), patience)

    def _open_streams(self) -> None:
        for placed in self.streams.values():
            emitter = self.emitters[placed.emitter]
            if not placed.opened and not placed.ended and emitter.is_up:
                placed.opened = self._answer(emitter.actor.open.remote(placed.plan, placed.vocabulary)) is not _NONE

    def _place_streams(self) -> None:
        for name, placed in self.streams.items():
            if placed.worker is not None or placed.paused or placed.ended or not placed.opened:
                continue
            worker = choose_worker(self._crew.ready, {name: other.worker for name, other in self.streams.items()})
            if worker is not None:
                self._place(name, placed, worker)

    def _place(self, name: str, placed: Placed, worker: int) -> None:
        lease = placed.lease + 1
        emitter = self.emitters[placed.emitter].actor
        beginning = self._answer(emitter.begin.remote(placed.plan, lease, placed.vocabulary))
        if beginning is _NONE or beginning is None:
            return
        assignment = Assignment(
            stream_id=name,
            lease=lease,
            live=placed.plan.live,
            decoder=placed.decoder.actor,
            emitter=emitter,
            beginning=beginning,
            vocabulary=placed.vocabulary,
        )
        follows = self._answer(self.workers[worker].actor.serve.remote(assignment))
        if follows is False:
            return  # nobody has this lease: the next attempt may use it
        placed.lease = lease  # also without an answer, where somebody may follow the stream under it
        if follows is True:
            placed.worker, placed.placed_at = worker, time.monotonic()

    def _answer(self, call: Any) -> Any:
        """What a call returns; `_NONE` where nobody answers, which is tried again later. An error in it is final."""
        try:
            return ray.get(call, timeout=ANSWER_SECONDS)
        except RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            self._fail_if(Fault.of(cause).error())
            return _NONE
        except (RayError, GetTimeoutError) as error:
            logger.debug("no answer: %s", error)
            return _NONE

    @staticmethod
    def _call_all(calls: list[Any]) -> None:
        """Wait for calls whose failure means that the process is gone anyway."""
        if calls:
            ray.wait(calls, num_returns=len(calls), timeout=STOP_SECONDS)


_NONE = object()

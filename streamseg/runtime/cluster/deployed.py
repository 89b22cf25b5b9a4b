"""The coordinator as an actor that outlives whoever started it: what `--detach` leaves running.

When it dies, streams go on; Ray makes it anew, and it finds the others by their names.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import ray

from ...config.run import RunSettings
from ...errors import ConfigError, StreamsegError
from ...metrics import StreamTotals
from ...pipeline.identity import source_identity, stream_facts
from ...pipeline.plan import StreamPlan
from ...runs.folder import RunFolder
from ...vocabulary import Vocabulary
from ..job import note_streams
from .cast import Cast
from .coordinator import Coordinator
from .placed import Placed
from .telling import Telling
from .wire import Fault

__all__ = ["COORDINATOR", "DeployedCoordinator", "StreamStatus"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

COORDINATOR = "coordinator"
ROUND_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """How a stream of a deployment is.

    Attributes:
        name: of the stream.
        source: for people, without passwords.
        status: what it is doing, for people.
        vocabulary: its words now.
        totals: of its frames.
        worker: number of the worker that follows it; None while nobody does.
        lease: how often it has been placed.
        error: why it has ended, where it failed.
    """

    name: str
    source: str
    status: str
    vocabulary: Vocabulary
    totals: StreamTotals
    worker: int | None
    lease: int
    error: str | None


class DeployedCoordinator:
    """Answers with what was asked for, or with a `Fault`: exceptions would come wrapped.

    Args:
        cast: makes the actors; detached.
        workers: how many.
        output: the run's folder.
    """

    def __init__(self, cast: Cast, workers: int, output: Path | None) -> None:
        self._telling = Telling()
        self._cast = cast
        self._output = output
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._coordinator = Coordinator(cast, cast.plan.settings, workers)
        self._noted = "running"
        namespace = cast.plan.settings.ray.name
        names = [
            actor["name"]
            for actor in ray.util.list_named_actors(all_namespaces=True)
            if actor["namespace"] == namespace
        ]
        running = [int(name.split()[1]) for name in names if name.startswith("emitter ")]
        if running:
            self._coordinator.adopt(running)
            self._start()

    def prepare(self) -> dict[str, Any] | Fault:
        """As of `Coordinator`."""
        return self._answer(self._coordinator.prepare)

    def begin(self, streams: Sequence[StreamPlan]) -> Fault | None:
        """Place these; called once."""

        def place() -> None:
            for stream in streams:
                self._coordinator.add(stream)
            self._start()

        return self._answer(place)

    def settings(self) -> RunSettings:
        """Of the run, for those who plan more streams."""
        return self._cast.plan.settings

    def status(self) -> tuple[list[StreamStatus], Fault | None]:
        """How the streams are, and why the deployment cannot go on, if so."""
        failure = self._coordinator.failure
        placed = list(self._coordinator.streams.values())
        return [_status(one) for one in placed], None if failure is None else Fault.of(failure)

    def add(self, stream: StreamPlan) -> Fault | None:
        """One more stream; where one of this name ran before, it goes on."""

        def add() -> None:
            if stream.name not in self._coordinator.streams:
                self._enter(stream)
            self._coordinator.add(stream)

        return self._answer(add)

    def remove(self, name: str) -> Fault | None:
        """End a stream; what has been segmented is written."""

        def remove() -> None:
            placed = self._coordinator.remove(name)
            self._note({name: placed}, self._noted)

        return self._answer(remove)

    def pause(self, name: str, paused: bool) -> Fault | None:
        """Hold a stream, or let it go on."""
        return self._answer(lambda: self._coordinator.pause(name, paused))

    def use_vocabulary(self, name: str, vocabulary: Vocabulary) -> Fault | None:
        """Other words for a stream."""
        return self._answer(lambda: self._coordinator.use_vocabulary(name, vocabulary))

    def stop(self) -> Fault | None:
        """End everything but this actor; what has been segmented is written."""

        def stop() -> None:
            self._stopped.set()
            self._coordinator.stop()
            finished = all(placed.status == "done" for placed in self._coordinator.streams.values())
            state = "failed" if self._coordinator.failure is not None else "finished" if finished else "stopped"
            self._note(self._coordinator.streams, state)
            self._coordinator.discard()

        return self._answer(stop)

    def incarnation(self) -> str:
        """Another one after a restart."""
        return self._telling.incarnation

    def _start(self) -> None:
        threading.Thread(target=self._rounds, name="rounds", daemon=True).start()

    def _rounds(self) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            with self._lock:
                if self._stopped.is_set():
                    return
                try:
                    self._coordinator.round(ROUND_SECONDS / 2)
                except Exception:  # the next round may be better; streams go on meanwhile
                    logger.exception("a round of the coordinator failed")
            self._stopped.wait(max(0.05, began + ROUND_SECONDS - time.monotonic()))

    def _answer(self, action: Callable[[], T]) -> T | Fault:
        try:
            with self._lock:
                return action()
        except StreamsegError as error:
            return Fault.of(error)

    def _enter(self, stream: StreamPlan) -> None:
        """Into the run's folder; ConfigError where something is in the way."""
        if self._output is None:
            return
        folder = RunFolder.open(self._output)
        known = folder.manifest["streams"]
        if stream.name not in known and (self._output / stream.name).exists():
            raise ConfigError(f"{str(self._output / stream.name)!r} is in the way: choose another --name")
        known[stream.name] = stream_facts(stream)
        folder.manifest["identity"]["streams"][stream.name] = source_identity(stream)
        folder.save()

    def _note(self, streams: Mapping[str, Placed], state: str) -> None:
        if self._output is None:
            return
        reports = {name: placed.report for name, placed in streams.items() if placed.report is not None}
        errors = {name: report.fault.error() for name, report in reports.items() if report.fault is not None}
        totals = {name: report.totals for name, report in reports.items()}
        losses = {name: report.losses for name, report in reports.items() if report.losses}
        note_streams(RunFolder.open(self._output), state, totals, losses, errors)


def _status(placed: Placed) -> StreamStatus:
    report = placed.report
    return StreamStatus(
        name=placed.plan.name,
        source=placed.shown,
        status=placed.status,
        vocabulary=placed.vocabulary,
        totals=placed.totals,
        worker=placed.worker,
        lease=placed.lease,
        error=None if report is None or report.fault is None else report.fault.text,
    )

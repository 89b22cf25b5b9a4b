"""Taking results from an emitter, each once, whatever happens to it meanwhile."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError

from ...frames import FrameResult
from ...pipeline.build import build_sinks
from ...pipeline.plan import RunPlan
from ...sinks.base import Emission
from ..resume import Resumption
from .desk import IN_DRIVER
from .wire import NO_PICTURE, unpack_result

__all__ = ["OwnSinks", "Receiver"]

OBJECTS_AHEAD = 2
WAKE_SECONDS = 0.5
RETRY_SECONDS = 0.2


class Receiver:
    """A thread that takes the results of one emitter.

    An emitter that begins anew goes on from its last commit, and notes no place before its results have arrived here:
    so nothing is missing, and what has been here already is left out.

    Args:
        emitter: the actor.
        give: called with each result, in order for each stream.
        stop: ends it.
    """

    def __init__(self, emitter: Any, give: Callable[[FrameResult], None], stop: threading.Event) -> None:
        self._emitter = emitter
        self._give = give
        self._stop = stop
        self._last: dict[str, tuple[int, int]] = {}
        self._thread = threading.Thread(target=self._run, name="receive", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            options = {"num_returns": "streaming", "_generator_backpressure_num_objects": OBJECTS_AHEAD}
            generator = self._emitter.results.options(**options).remote()
            try:
                if self._drain(generator):
                    return
            except RayError:
                self._stop.wait(RETRY_SECONDS)
            finally:
                ray.cancel(generator)

    def _drain(self, generator: Any) -> bool:
        """Until the end of a call; whether the emitter has no more."""
        while not self._stop.is_set():
            ready, _ = ray.wait([generator], timeout=WAKE_SECONDS)
            if not ready:
                continue
            try:
                packed = ray.get(next(generator))
            except StopIteration:
                return True
            if packed is None:
                return False
            result: FrameResult = unpack_result(packed)
            place = result.epoch, result.index
            if place > self._last.get(result.stream_id, (-1, -1)):
                self._last[result.stream_id] = place
                self._give(result)
        return True


class OwnSinks:
    """Sinks that only the process can have that started the run: its standard output.

    Args:
        plan, resumption: of the run.
        stop: ends what they wait for.
    """

    def __init__(self, plan: RunPlan, resumption: Resumption, stop: threading.Event) -> None:
        chosen = tuple(sink for sink in plan.settings.sinks if sink.kind in IN_DRIVER)
        own = replace(plan, settings=replace(plan.settings, sinks=chosen))
        self._words = {stream.name: stream.vocabulary for stream in plan.streams}
        self._before = {name: resumption.replay_until(name) for name in plan.names}
        self._sinks = {stream.name: build_sinks(own, stream, None, stop) for stream in plan.streams}
        for sinks in self._sinks.values():
            for sink in sinks:
                sink.open(None)

    def write(self, result: FrameResult) -> None:
        """One result to the sinks of its stream; errors as their policies say."""
        name, before = result.stream_id, self._before[result.stream_id]
        replayed = before is not None and (result.epoch, result.index) <= before
        for sink in self._sinks[name]:
            sink.write(Emission(result, NO_PICTURE, self._words[name], replayed=replayed))

    def close(self) -> None:
        for sinks in self._sinks.values():
            for sink in sinks:
                sink.close()

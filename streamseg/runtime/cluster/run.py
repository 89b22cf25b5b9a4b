"""A run on Ray that ends with the process that started it: the same doors as `LocalRun`.

    coordinator's rounds, in a thread          one thread for each emitter         the caller's thread
    place, watch, place again              ->  takes its results, each once    ->  results

Everything that takes part is made here, so nothing outlives this process, however it ends.
"""

import logging
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...frames import FrameResult
from ...metrics import StreamTotals
from ...pipeline.build import build_segmenter
from ...pipeline.plan import RunPlan
from ...runs.folder import RunFolder
from ..job import Job
from ..resume import Resumption
from .cast import Cast, gpus_for_each, workers_of
from .coordinator import Coordinator
from .joining import Membership, join
from .receiving import OwnSinks, Receiver
from .segmenting import BuildsSegmenter
from .travelling import travelling
from .wire import unpack_result

__all__ = ["RayRun"]

logger = logging.getLogger(__name__)

ROUND_SECONDS = 0.25


class RayRun(Job):
    """One run. `prepare` gets everything ready, `results()` does it.

    Args:
        plan: what to run.
        build: makes the segmenter, in each worker.
        deliver: whether the caller wants every result; else those of failed frames alone.
    """

    def __init__(self, plan: RunPlan, build: BuildsSegmenter | None = None, *, deliver: bool = True) -> None:
        super().__init__(plan)
        self._away = travelling(plan)
        self._build = build or partial(build_segmenter, self._away.settings, progress=False)
        self._deliver = deliver or any(sink.kind == "stdout" for sink in plan.settings.sinks)
        self._resumption = Resumption({})
        self._membership: Membership | None = None
        self._coordinator: Coordinator | None = None
        self._receivers: list[Receiver] = []

    def prepare(self) -> dict[str, Any]:
        """Join or start the cluster, and load the model in every worker; what identifies it.

        Raises:
            ConfigError: the cluster lacks what is asked for, or ray is not installed.
            StreamsegError: no cluster; or the model's errors.
        """
        settings = self.plan.settings
        self._membership = member = join(settings.ray.address)
        try:
            gpus = gpus_for_each(settings.ray.gpus_per_worker, member.gpus)
            workers = workers_of(settings.ray.num_workers, gpus, member.gpus)
            self._cast = Cast(
                plan=self._away,
                folder=None if settings.output is None else Path(settings.output).absolute(),
                build=self._build,
                torch_threads=settings.torch_threads or torch.get_num_threads(),
                deliver=self._deliver,
                gpus=gpus,
                home=member.node,
            )
            self._coordinator = Coordinator(self._cast, self._away.settings, workers)
            return self._coordinator.prepare()
        except BaseException:
            self.leave()
            raise

    def begin(self, folder: RunFolder | None, resumption: Resumption) -> None:
        """Where to write, and where the streams go on."""
        self.folder, self._resumption = folder, resumption

    def stop(self) -> None:
        self._stopping.set()
        self._results.cancel()

    def totals(self) -> dict[str, StreamTotals]:
        """See `Job.totals`; they are as old as the last round."""
        known = {} if self._coordinator is None else self._coordinator.totals()
        return {name: known.get(name) or self._before(name) for name in self.plan.names}

    def losses(self) -> dict[str, dict[str, dict[str, int]]]:
        placed = {} if self._coordinator is None else self._coordinator.streams
        found = {
            name: {sink: dict(lost) for sink, lost in stream.report.losses.items()}
            for name, stream in list(placed.items())
            if stream.report is not None
        }
        return {name: losses for name, losses in found.items() if losses}

    def processes(self) -> dict[str, int]:
        """Process numbers, on their machines, of those that are up, by name such as "worker 0", "decoder of yard"."""
        return {} if self._coordinator is None else self._coordinator.processes()

    @property
    def stored_bytes(self) -> int:
        """What the cluster's object stores hold now; 0 outside of a run."""
        return 0 if self._membership is None else self._membership.stored_bytes

    def _all_finished(self) -> bool:
        return all(status == "done" for status in self.statuses().values())

    def statuses(self) -> dict[str, str]:
        placed = {} if self._coordinator is None else self._coordinator.streams
        return {
            name: placed[name].status if name in placed else "done" if self._resumption.is_done(name) else "starting"
            for name in self.plan.names
        }

    def _before(self, name: str) -> StreamTotals:
        """Counts of the part of a run that was done before."""
        from ...metrics import StreamCounters

        counters = StreamCounters()
        if (commit := self._resumption.commit(name)) is not None:
            counters.go_on_from(commit.totals)
        return counters.totals()

    # Running.

    def _run(self) -> None:
        coordinator = self._coordinator
        assert coordinator is not None, "results() before prepare()"
        for stream in self._away.streams:
            if not self._resumption.is_done(stream.name):
                coordinator.add(stream)
        own = OwnSinks(self.plan, self._resumption, self._stopping) if self._deliver else None
        for emitter in coordinator.emitters if self._deliver else ():
            self._receivers.append(Receiver(emitter.actor, partial(self._give, own), self._stopping))
        for receiver in self._receivers:
            receiver.start()
        self._rounds(coordinator)
        for receiver in self._receivers:
            receiver.join()
        if own is not None:
            own.close()

    def _rounds(self, coordinator: Coordinator) -> None:
        while not coordinator.all_ended and coordinator.failure is None and not self._stopping.is_set():
            began = time.monotonic()
            coordinator.round(ROUND_SECONDS)
            self._note(coordinator)
            self._stop_if_deserted()
            if not coordinator.all_ended:
                self._stopping.wait(max(0.0, began + ROUND_SECONDS - time.monotonic()))
        self._failure = self._failure or coordinator.failure
        if coordinator.all_ended:
            coordinator.close()
        else:
            self._stopping.set()
            coordinator.stop()
        self._note(coordinator)

    def _note(self, coordinator: Coordinator) -> None:
        """What the last round has brought."""
        for packed in coordinator.take_failed():
            if not self._deliver:
                self._results.offer(unpack_result(packed))
        for name, placed in coordinator.streams.items():
            fault = None if placed.report is None else placed.report.fault
            if fault is not None and name not in self.stream_errors:
                self.stream_errors[name] = fault.error()
                if len(self.plan.streams) > 1:
                    logger.error("%s", fault.text)

    def _give(self, own: "OwnSinks | None", result: FrameResult) -> None:
        """A result that has arrived."""
        try:
            if own is not None:
                own.write(result)
        except Exception as error:
            self._fail(error)
            return
        self._results.put(result)

    def leave(self) -> None:
        """End all processes that belong to the run."""
        if self._coordinator is not None:
            self._coordinator.discard()
        if self._membership is not None:
            self._membership.close()
            self._membership = None

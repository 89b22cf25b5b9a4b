"""The actors of a run: which there are, where they run, and how they are made.

In a run that ends with its driver, the driver makes all of them, since an actor takes those with it that it has made.
In a detached one they have names in a namespace of their own, belong to nobody, and are found by their names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ...errors import ConfigError
from ...pipeline.plan import RunPlan, StreamPlan
from .decoder import Decoder
from .emitting import EmitterHost
from .segmenting import BuildsSegmenter, SegmentingWorker

__all__ = ["Cast", "MakesActors", "gpus_for_each", "workers_of"]

CALLS = 8  # side by side, for actors that answer at once


class MakesActors(Protocol):
    """What a coordinator asks for."""

    def decoder(self, stream: StreamPlan) -> Any: ...
    def worker(self, number: int) -> Any: ...
    def emitter(self, number: int) -> Any: ...
    def discard(self, actor: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Cast:
    """Makes the actors.

    Attributes:
        plan: as it travels: what it names is found from every machine.
        folder: of the run.
        build: makes the segmenter.
        torch_threads: of each worker.
        deliver: whether somebody takes all results.
        gpus: of each worker.
        home: id of the node where results are written, since the run's folder is there.
        detached: whether they outlive the process that makes them.
    """

    plan: RunPlan
    folder: Path | None
    build: BuildsSegmenter
    torch_threads: int
    deliver: bool
    gpus: float
    home: str
    detached: bool = False

    def decoder(self, stream: StreamPlan) -> Any:
        """One stream's; killed and made again at any time."""
        alone = RunPlan(self.plan.settings, self.plan.spec, (stream,))
        return self._make(Decoder, f"decoder {stream.name}", num_cpus=0, max_concurrency=CALLS).remote(alone, stream)

    def worker(self, number: int) -> Any:
        """One with the model."""
        make = self._make(SegmentingWorker, f"worker {number}", num_cpus=0, num_gpus=self.gpus, max_concurrency=CALLS)
        return make.remote(self.plan, self.build, self.torch_threads)

    def emitter(self, number: int) -> Any:
        """One that writes: every stream may have one call that waits, and one of its lease before."""
        calls = CALLS + 2 * self.plan.settings.ray.streams_per_emitter
        home = NodeAffinitySchedulingStrategy(self.home, soft=False)
        make = self._make(EmitterHost, f"emitter {number}", num_cpus=0, max_concurrency=calls, scheduling_strategy=home)
        return make.remote(self.plan, self.folder, deliver=self.deliver)

    def discard(self, actor: Any) -> None:
        """End an actor for good."""
        ray.kill(actor, no_restart=True)

    def _make(self, actor_class: Callable[..., Any], name: str, **options: Any) -> Any:
        """What makes the actor; a detached one that is there already is taken instead."""
        if self.detached:
            options |= {
                "name": name,
                "namespace": self.plan.settings.ray.name,
                "lifetime": "detached",
                "get_if_exists": True,
            }
        # Calls are never repeated by Ray: it would repeat them in any order, and readings of a camera, too.
        return ray.remote(actor_class).options(max_restarts=-1, max_task_retries=0, **options)


def gpus_for_each(asked: float | None, there: float) -> float:
    """GPUs of each worker, in a cluster that has so many."""
    return asked if asked is not None else min(1.0, there)


def workers_of(asked: int | None, gpus_each: float, there: float) -> int:
    """How many workers there will be.

    Raises:
        ConfigError: the cluster has fewer GPUs than they need, so that some would never begin.
    """
    if not gpus_each:
        return asked or 1
    room = int(there / gpus_each + 1e-6)
    if room < (asked or 1):
        raise ConfigError(
            f"{asked or 1} workers with {gpus_each:g} GPUs each are asked for, and the cluster has {there:g}: lower "
            "ray.num_workers or ray.gpus_per_worker (0 computes on CPUs)"
        )
    return asked or room

"""Evaluation of a data set by Ray workers: each scores blocks of pictures, and the tallies are added up here.

The numbers are those of one process (`evaluation.datasets.run`): blocks and the order in which they are added do not
depend on who scores them. Only forward passes may round differently, where workers compute with another number of
threads or on another device. A worker that dies is replaced, and its block is scored again.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import ConfigError, EvaluationError, StreamsegError
from ..evaluation.datasets.command import main as command
from ..evaluation.datasets.run import DatasetReport, Evaluation, Plan, Progress, Tallies
from .torch_threads import use_threads

__all__ = ["dataset_command", "evaluate_on_ray"]

MAX_LOST_WORKERS = 3
WINDOW = 16  # blocks for each worker that may wait for an earlier one
AHEAD = 2  # blocks that a worker has been given: while one's tallies travel, it scores the next


def dataset_command(arguments: Sequence[str], program: str) -> int:
    """`evaluate dataset`, with `--workers`."""
    return command(arguments, program, distribute=evaluate_on_ray)


def evaluate_on_ray(
    plan: Plan, workers: int, address: str | None, progress: Progress, *, threads: int | None = None
) -> DatasetReport:
    """Evaluate with so many workers, which share the cluster's GPUs unless the plan's device is "cpu".

    Args:
        plan: what to evaluate; every machine has to see its files under the same paths.
        workers: how many.
        address: a running cluster to join ("auto" for the one of this machine); None starts one for this run.
        progress: called as progress(pictures done, of all).
        threads: of torch in each worker; None shares this machine's cores.

    Raises:
        ConfigError: ray is not installed, or there are no workers.
        EvaluationError: workers were lost more often than can be by chance.
        StreamsegError: as of `evaluate_dataset`; or Ray does not start.
    """
    if workers < 1:
        raise ConfigError(f"workers is {workers}, expected at least 1")
    plan = _with_absolute_paths(plan)
    evaluation = Evaluation(plan)  # here already: what is wrong with the data set needs no cluster to be found
    from .cluster.joining import join

    membership = join(address)
    try:
        gpus = 0.0 if plan.device == "cpu" else min(1.0, membership.gpus / workers)
        crew = _Crew(plan, workers, gpus, threads or max(1, (os.cpu_count() or 1) // workers))
        return evaluation.report(_collect(evaluation, crew, progress))
    finally:
        membership.close()


class _Scorer:
    """One worker. Errors that are ours come back as values: Ray would wrap them in its own."""

    def __init__(self, plan: Plan, threads: int) -> None:
        self._plan, self._threads = plan, threads
        self._evaluation: Evaluation | None = None

    def score(self, number: int) -> Tallies | StreamsegError:
        use_threads(self._threads)
        try:
            self._evaluation = self._evaluation or Evaluation(self._plan)
            return self._evaluation.score(number)
        except StreamsegError as error:
            return error


class _Crew:
    """The workers, and what each was given.

    Attributes:
        workers: how many.
        idle: those with room for a block; one with room for two stands there twice.
    """

    def __init__(self, plan: Plan, workers: int, gpus: float, threads: int) -> None:
        import ray

        self._ray, self.workers = ray, workers
        actor: Any = ray.remote(_Scorer)
        self._actor = actor.options(num_cpus=0, num_gpus=gpus, max_restarts=0)
        self._arguments = plan, threads
        self._given: dict[Any, tuple[int, Any]] = {}  # block and worker of each call
        self._lost = 0
        self.idle: list[Any] = [self._make() for _ in range(workers)] * AHEAD

    def _make(self) -> Any:
        return self._actor.remote(*self._arguments)

    def give(self, number: int) -> None:
        """A block to a worker that has room."""
        worker = self.idle.pop(0)
        self._given[worker.score.remote(number)] = number, worker

    def take(self) -> list[tuple[int, Tallies]]:
        """The next tallies, with their block's number; none where a worker was lost and its blocks were given again.

        Raises:
            StreamsegError: what a worker raised, or too many were lost.
        """
        (call,), _ = self._ray.wait(list(self._given), num_returns=1)
        try:
            outcome = self._ray.get(call)
        except self._ray.exceptions.RayActorError as error:
            self._replace(self._given[call][1], error)
            return []
        number, worker = self._given.pop(call)
        if isinstance(outcome, StreamsegError):
            raise outcome
        self.idle.append(worker)
        return [(number, outcome)]

    def _replace(self, lost: Any, error: Exception) -> None:
        self._lost += 1
        if self._lost > MAX_LOST_WORKERS:
            reason = " ".join(str(error).split())[:200]
            raise EvaluationError(
                f"workers were lost {self._lost} times ({reason}), expected at most {MAX_LOST_WORKERS}: look at Ray's "
                "logs for the reason, such as too little memory"
            ) from None
        again = [number for number, worker in self._given.values() if worker is lost]
        self._given = {call: entry for call, entry in self._given.items() if entry[1] is not lost}
        worker = self._make()
        self.idle = [other for other in self.idle if other is not lost]
        self.idle += [worker] * (AHEAD - len(again))
        self._given |= {worker.score.remote(number): (number, worker) for number in again}


def _collect(evaluation: Evaluation, crew: _Crew, progress: Progress) -> Tallies:
    """Add up all blocks in their order; those that come too early wait."""
    total = evaluation.tallies()
    early: dict[int, Tallies] = {}
    given = added = 0
    while added < len(evaluation.blocks):
        while crew.idle and given < min(len(evaluation.blocks), added + WINDOW * crew.workers):
            crew.give(given)
            given += 1
        early.update(crew.take())
        while added in early:
            total.absorb(early.pop(added))  # type: ignore[arg-type]  # both are of the plan's kind
            added += 1
        progress(total.pictures, evaluation.size)
    return total


def _with_absolute_paths(plan: Plan) -> Plan:
    """Workers run in folders of their own, so relative paths would lead elsewhere."""
    weights, clip = (None if path is None else str(Path(path).absolute()) for path in (plan.weights, plan.clip))
    return replace(plan, root=str(Path(plan.root).absolute()), weights=weights, clip=clip)

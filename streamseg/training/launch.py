"""A run on one machine: in this process, or in several that it starts and looks after."""

import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp

from ..errors import ConfigError, StreamsegError, TrainingError
from .interrupt import Interrupt
from .loop import OnValidate, train
from .settings import TrainSettings
from .start import choose_device
from .workers import start_group

__all__ = ["launch", "train_worker"]

POLL_SECONDS = 0.5
GRACE_SECONDS = 5.0  # for the others to say what went wrong, when one has failed


def launch(
    settings: TrainSettings, *, workers: int = 1, resume: bool = False, on_validate: OnValidate | None = None
) -> bool:
    """Train with so many processes on this machine.

    Args:
        settings, resume: as of `loop.train`, like the result and the errors.
        workers: how many; they share each batch. One dies, and the others go with it.
        on_validate: as of `loop.train`; with several workers it must be importable by its name.
    """
    if workers < 1 or settings.batch_size % workers:
        raise ConfigError(
            f"workers is {workers}, expected at least 1, and batch_size ({settings.batch_size}) a multiple of it"
        )
    if workers == 1:
        return train(settings, resume=resume, on_validate=on_validate)
    with tempfile.TemporaryDirectory() as folder:
        options = {"resume": resume, "on_validate": on_validate}
        return _supervise(_start(workers, settings, str(Path(folder) / "rendezvous"), options))


def train_worker(
    settings: TrainSettings,
    rank: int,
    world_size: int,
    rendezvous: str,
    *,
    resume: bool = False,
    on_validate: OnValidate | None = None,
) -> bool:
    """One of `world_size` processes on this machine, until the run ends. It obeys SIGTERM, but not Ctrl-C.

    Args:
        settings, resume, on_validate: as of `loop.train`.
        rank: its number, and that of its GPU.
        world_size: how many there are.
        rendezvous: a path that does not exist yet, the same for all.
    """
    device = choose_device(settings.device, rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    elif settings.threads is None:  # as many as the machine has cores would be too many for each
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // world_size))
    # Ctrl-C reaches every process of a terminal. The parent alone decides, and passes it on.
    obeys = Interrupt((signal.SIGTERM,))
    with start_group(rank, world_size, rendezvous, device=device) as group:
        return train(settings, group, resume=resume, on_validate=on_validate, interrupt=obeys)


@dataclass(frozen=True)
class _Outcome:
    """How a worker ended: whether all steps are done, or why it failed."""

    finished: bool = False
    error: StreamsegError | None = None


@dataclass(frozen=True)
class _Child:
    process: SpawnProcess
    report: connection.Connection

    def outcome(self) -> _Outcome:
        """What an ended child said last."""
        try:
            said = self.report.recv() if self.report.poll() else None
        except (EOFError, OSError):
            said = None
        if isinstance(said, _Outcome):
            return said
        code = self.process.exitcode
        return _Outcome(error=TrainingError(f"{self.process.name} ended with exit code {code}: see its messages above"))


def _start(count: int, settings: TrainSettings, rendezvous: str, options: dict[str, Any]) -> list[_Child]:
    context = mp.get_context("spawn")
    children = []
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # children inherit that
    try:
        for rank in range(count):
            report, send = context.Pipe(duplex=False)
            arguments = (send, settings, rank, count, rendezvous, options)
            process = context.Process(target=_work, args=arguments, name=f"worker {rank}", daemon=True)
            process.start()
            send.close()
            children.append(_Child(process, report))
    finally:
        signal.signal(signal.SIGINT, before)
    return children


def _work(
    send: connection.Connection,
    settings: TrainSettings,
    rank: int,
    world_size: int,
    rendezvous: str,
    options: dict[str, Any],
) -> None:
    """What a child does; top level, so that it can be sent there."""
    try:
        send.send(_Outcome(finished=train_worker(settings, rank, world_size, rendezvous, **options)))
    except StreamsegError as error:
        send.send(_Outcome(error=error))
        sys.exit(1)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _supervise(children: Sequence[_Child]) -> bool:
    """Wait for all to end well, or one not to; nobody is left behind."""
    try:
        with Interrupt() as asked:
            passed_on = False
            while _running(children) and not _failed(children):
                connection.wait([child.process.sentinel for child in _running(children)], timeout=POLL_SECONDS)
                if asked.requested and not passed_on:
                    passed_on = True
                    for child in children:
                        child.process.terminate()
        _wait_for_all(children, GRACE_SECONDS)
    finally:
        for child in children:
            child.process.kill()
            child.process.join()
    outcomes = [child.outcome() for child in children]
    if _failed(children):
        errors = [outcome.error for outcome in outcomes if outcome.error is not None]
        # A worker that lost the others says so in its own words; the one that failed first has a reason.
        raise next((error for error in errors if "exit code" not in str(error)), errors[0])
    return all(outcome.finished for outcome in outcomes)


def _running(children: Sequence[_Child]) -> list[_Child]:
    return [child for child in children if child.process.exitcode is None]


def _failed(children: Sequence[_Child]) -> list[_Child]:
    return [child for child in children if child.process.exitcode not in (None, 0)]


def _wait_for_all(children: Sequence[_Child], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for child in children:
        child.process.join(max(0.0, deadline - time.monotonic()))

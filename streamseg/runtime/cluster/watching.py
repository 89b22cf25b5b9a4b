"""Asking processes how they are, and noticing those that have died or hang."""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import ActorDiedError, ActorUnschedulableError, RayError

from .telling import repeat

__all__ = ["Watched", "collect", "kill_hanging"]

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Watched:
    """A process that is asked again and again.

    Attributes:
        name: for people.
        actor: its handle.
        patience_seconds: without an answer for so long it is killed; it comes back by itself.
        incarnation: the one that answered last; None while it begins.
        report: what it answered last; None while it begins.
        told_of: when it was asked for that; `time.monotonic()`.
        restarts: in a row, without a result in between.
        dead: why it will not come back, if so.
    """

    name: str
    actor: Any
    patience_seconds: float
    incarnation: str | None = None
    report: Any = None
    told_of: float = 0.0
    restarts: int = 0
    dead: str | None = None
    _answer: Any = field(default=None, repr=False)
    _asked_at: float = 0.0

    @property
    def is_up(self) -> bool:
        return self.incarnation is not None

    @property
    def pid(self) -> int | None:
        """Of its process, on its machine; None while it begins."""
        return None if self.incarnation is None else int(self.incarnation.split("-")[-2])

    def ask(self) -> Any:
        """What will be its answer; one question is on its way at a time."""
        if self._answer is None:
            self._asked_at = time.monotonic()
            self._answer = self.actor.report.remote()
        return self._answer

    def hear(self) -> bool:
        """Take the answer that has come; whether it is another process than before, or none."""
        answer, self._answer = self._answer, None
        try:
            report = ray.get(answer)
        except RayError as error:
            return self._lose(error)
        repeat(report.told)
        before, self.incarnation, self.report = self.incarnation, report.incarnation, report
        self.told_of = self._asked_at
        if before is None or before == report.incarnation:
            return False
        self.restarts += 1
        return True

    def hangs(self) -> bool:
        """Whether it should have answered by now. One that begins may take its time: models are large."""
        return self.is_up and self._answer is not None and time.monotonic() - self._asked_at > self.patience_seconds

    def kill(self, reason: str) -> None:
        """End the process; Ray makes it anew."""
        logger.warning("%s %s, and is replaced", self.name, reason)
        ray.kill(self.actor, no_restart=False)
        self._answer = None
        self._forget()

    def _lose(self, error: RayError) -> bool:
        if isinstance(error, ActorDiedError | ActorUnschedulableError):
            self.dead = " ".join(str(error).split())[:300]
        if not self.is_up:
            return False
        logger.warning("%s died (%s), and is replaced", self.name, type(error).__name__)
        self._forget()
        return True

    def _forget(self) -> None:
        self.incarnation = self.report = None
        self.restarts += 1


def collect(everybody: Iterable[Watched], seconds: float) -> Iterator[Watched]:
    """Ask all, wait for answers so long at most; those that are another process than before, or none any more."""
    asked = {process.ask(): process for process in everybody if process.dead is None}
    if not asked:
        return
    ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=seconds)
    for answer in ready:
        if asked[answer].hear():
            yield asked[answer]


def kill_hanging(everybody: Iterable[Watched]) -> Iterator[Watched]:
    """Kill those that do not answer, and give them."""
    for process in everybody:
        if process.hangs():
            process.kill(f"has not answered for {process.patience_seconds:.0f} s")
            yield process

"""Which workers have their model, and can be given streams."""

from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from ...errors import StreamsegError
from .watching import Watched

__all__ = ["Crew"]


class Crew:
    """The workers of a run.

    Args:
        workers: in order; their numbers name them.
    """

    def __init__(self, workers: Sequence[Watched]) -> None:
        self._workers = workers
        self._preparing: dict[int, Any] = {}
        self._ready: set[int] = set()

    @property
    def ready(self) -> list[int]:
        """Numbers of those that have their model."""
        return sorted(self._ready)

    def prepare(self) -> dict[str, Any]:
        """Wait until all have their model; what identifies it.

        Raises:
            StreamsegError: of the model's, in words; or a worker died.
        """
        try:
            answers = ray.get([worker.actor.prepare.remote() for worker in self._workers])
        except RayError as error:
            raise StreamsegError(f"a worker could not begin: {' '.join(str(error).split())[:300]}") from None
        for answer in answers:
            if "fault" in answer:
                raise answer["fault"].error()
        identity: dict[str, Any] = answers[0]["identity"]
        return identity

    def lose(self, number: int) -> None:
        """One has died; what comes back has no model yet."""
        self._ready.discard(number)
        self._preparing.pop(number, None)

    def load_models(self) -> Exception | None:
        """Have those load their model that have begun; quick where they have it. An error of the model's, if any."""
        for number, worker in enumerate(self._workers):
            if worker.is_up and number not in self._ready and number not in self._preparing:
                self._preparing[number] = worker.actor.prepare.remote()
        if not self._preparing:
            return None
        done, _ = ray.wait(list(self._preparing.values()), num_returns=len(self._preparing), timeout=0)
        finished = [number for number, answer in self._preparing.items() if answer in done]
        errors = [self._note(number, self._preparing.pop(number)) for number in finished]
        return next((error for error in errors if error is not None), None)

    def _note(self, number: int, answer: Any) -> Exception | None:
        try:
            outcome = ray.get(answer)
        except RayError:
            return None  # it has died again, which is seen elsewhere
        if "fault" in outcome:
            fault: Exception = outcome["fault"].error()
            return fault
        self._ready.add(number)
        return None

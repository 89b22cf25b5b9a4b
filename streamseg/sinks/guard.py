"""What a run does when a sink fails: end, or go on without it and count what was lost."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ..config.sinks import Policy
from ..errors import SinkError
from ..tracks import TrackRow
from .base import Emission, Sink

__all__ = ["GuardedSink", "reason_of"]

logger = logging.getLogger("streamseg.sinks")

STEADY_FRAMES = 100
"""So many frames in a row have to be written before a sink counts as working again: on a disk at the brim every other
one may fit."""


class GuardedSink:
    """A sink under a policy.

    "stop" passes every error on. "drop-and-count" takes those of `write`: it counts the frame, says so once, and tries
    again with the next; it says once more when that works. A sink that cannot be opened is an error under both.

    Args:
        sink: the one that writes.
        policy: see `Policy`.

    Attributes:
        lost: frames that could not be written, by reason; may be read from other threads.
        unfinished: why the sink could not be closed; None where it could.
    """

    def __init__(self, sink: Sink, policy: Policy) -> None:
        self.name = sink.name
        self.external = sink.external
        self.lost: Mapping[str, int] = {}
        self.unfinished: str | None = None
        self._sink = sink
        self._policy = policy
        self._missing = 0  # frames lost since it last worked
        self._steady = 0

    def open(self, state: dict[str, Any] | None) -> None:
        self._sink.open(state)

    def write(self, emission: Emission) -> None:
        try:
            self._sink.write(emission)
        except SinkError as error:
            if self._policy == "stop":
                raise
            self._count(emission, error)
        else:
            if self._missing:
                self._recover(emission)

    def state(self) -> dict[str, Any]:
        return self._sink.state()

    def close(self, remaining: Sequence[TrackRow] = ()) -> None:
        try:
            self._sink.close(remaining)
        except SinkError as error:
            if self._policy == "stop":
                raise
            self.unfinished = str(error)
            logger.warning("%s could not be finished: %s", self.name, error)

    def _count(self, emission: Emission, error: SinkError) -> None:
        reason = reason_of(error)
        self.lost = {**self.lost, reason: self.lost.get(reason, 0) + 1}  # replaced, so that readers see a whole one
        if not self._missing:
            stream = emission.result.stream_id
            logger.warning("%s: %s loses frames from %d on: %s", stream, self.name, emission.result.index, error)
        self._missing += 1
        self._steady = 0

    def _recover(self, emission: Emission) -> None:
        self._steady += 1
        if self._steady >= STEADY_FRAMES:
            logger.warning("%s: %s works again, %d frames lost", emission.result.stream_id, self.name, self._missing)
            self._missing = self._steady = 0


def reason_of(error: SinkError) -> str:
    """A few words to count by, without paths and numbers: what the operating system said, if it is that."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return "failed" if cause is None else type(cause).__name__

"""A segmenter with the troubles of a real one: it takes its time, and stumbles over some frames."""

import os
import signal
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ..frames import Frame
from ..queries import Queries
from ..vocabulary import Vocabulary
from .wrapped import WrappedSegmenter

__all__ = ["TroubledSegmenter"]


class TroubledSegmenter(WrappedSegmenter):
    """Another segmenter, slowed down and poisoned; the same doors as `Segmenter`.

    Args:
        base: the one that sees.
        call_seconds: that every call takes longer, however many frames it has.
        poisoned: (stream, frame) that raise.
        crashing: (stream, frame) that end the whole process, as a fault in a library does...
        crashed: ...unless this file is there, which the first crash makes.
    """

    def __init__(
        self,
        base: Any,
        *,
        call_seconds: float = 0.0,
        poisoned: Collection[tuple[str, int]] = (),
        crashing: Collection[tuple[str, int]] = (),
        crashed: Path | None = None,
    ) -> None:
        super().__init__(base)
        self.call_seconds = call_seconds
        self.poisoned = frozenset(poisoned)
        self.crashing = frozenset(crashing)
        self.crashed = crashed

    def segment(self, frames: Sequence[Frame], vocabulary: Vocabulary | Sequence[Vocabulary]) -> list[Queries]:
        """One `Queries` per frame; RuntimeError where one is poisoned."""
        places = {(frame.stream_id, frame.index) for frame in frames}
        if places & self.crashing:
            self._crash()
        if places & self.poisoned:
            raise RuntimeError("a poisoned frame")
        time.sleep(self.call_seconds)
        return super().segment(frames, vocabulary)

    def _crash(self) -> None:
        if self.crashed is None or not self.crashed.exists():
            if self.crashed is not None:
                self.crashed.touch()
            os.kill(os.getpid(), signal.SIGKILL)

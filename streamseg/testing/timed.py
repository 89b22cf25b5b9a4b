"""A segmenter whose calls take a known time and leave a trace, so that what surrounds it can be measured."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..frames import Frame
from ..queries import Queries
from ..vocabulary import Vocabulary
from .scripted import ScriptedMask
from .wrapped import WrappedSegmenter

__all__ = ["TimedCall", "TimedSegmenter", "halves", "read_calls"]


@dataclass(frozen=True, slots=True)
class TimedCall:
    """One call.

    Attributes:
        began, ended: wall-clock time in seconds, which means the same in every process of a machine.
        frames: (stream, epoch, frame) of its batch.
    """

    began: float
    ended: float
    frames: tuple[tuple[str, int, int], ...]


class TimedSegmenter(WrappedSegmenter):
    """Another segmenter whose calls are made to take `call_seconds`, however many frames they have; the same doors.

    Args:
        base: the one that sees.
        call_seconds: of a call; one that takes longer by itself is not held up.
        trace: a file to which every call is appended; None for none.
    """

    def __init__(self, base: Any, *, call_seconds: float, trace: Path | None = None) -> None:
        super().__init__(base)
        self.call_seconds = call_seconds
        self.trace = trace

    def segment(self, frames: Sequence[Frame], vocabulary: Vocabulary | Sequence[Vocabulary]) -> list[Queries]:
        """One `Queries` per frame, when the time has come."""
        began = time.time()
        queries = super().segment(frames, vocabulary)
        time.sleep(max(0.0, began + self.call_seconds - time.time()))
        if self.trace is not None:
            places = tuple((frame.stream_id, frame.epoch, frame.index) for frame in frames)
            with self.trace.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(TimedCall(began, time.time(), places))) + "\n")
        return queries


def read_calls(trace: Path) -> Iterator[TimedCall]:
    """What a `TimedSegmenter` has left."""
    for line in trace.read_text(encoding="utf-8").splitlines():
        call = json.loads(line)
        yield TimedCall(
            call["began"], call["ended"], tuple((name, epoch, index) for name, epoch, index in call["frames"])
        )


def halves(picture: npt.NDArray[np.uint8], vocabulary: Vocabulary) -> list[ScriptedMask]:
    """A script for any picture: the first category on the left, the second one on the right."""
    left = np.zeros(picture.shape[:2], bool)
    left[:, : picture.shape[1] // 2] = True
    return [ScriptedMask(mask, i) for i, mask in enumerate((left, ~left)) if i < len(vocabulary.all_categories)]

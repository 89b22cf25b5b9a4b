"""The command with a model that is there at once; everything else is real.

In the test's own process by `use_quick_model`, in a child of its own by `run_child`, and on a terminal of one's own:

    python -m tests.cli.quick_run run street.mp4 --output results
"""

import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from torch import Tensor

from streamseg.cli import main
from streamseg.fcclip.classifier import ClassScores
from streamseg.frames import Frame
from streamseg.queries import Queries
from streamseg.runtime import run as run_module
from streamseg.testing import ScriptedMask, ScriptedSegmenter
from streamseg.vocabulary import Vocabulary

AT_WORK = "at_work"  # a file in the working folder: a slow model has its first frame


class QuickSegmenter(ScriptedSegmenter):
    """Sees the first category on the left and the second one on the right of every picture.

    Args:
        frame_seconds: how long it takes for a frame.
        begun: a file to make once it is at it.
    """

    def __init__(self, frame_seconds: float = 0.0, begun: Path | None = None) -> None:
        super().__init__(halves)
        self.frame_seconds = frame_seconds
        self.begun = begun

    def segment(
        self, frames: Sequence[Frame | npt.NDArray[np.uint8]], vocabulary: Vocabulary | Sequence[Vocabulary]
    ) -> list[Queries]:
        if self.begun is not None:
            self.begun.touch()
        if self.frame_seconds:
            time.sleep(self.frame_seconds * len(frames))
        return super().segment(frames, vocabulary)

    def class_scores(
        self, in_embedding: Tensor, out_embedding: Tensor, valid: Tensor, vocabulary: Vocabulary
    ) -> ClassScores:
        raise NotImplementedError("words do not change in these tests")


def halves(picture: npt.NDArray[np.uint8], vocabulary: Vocabulary) -> list[ScriptedMask]:
    left = np.zeros(picture.shape[:2], bool)
    left[:, : picture.shape[1] // 2] = True
    return [ScriptedMask(mask, i) for i, mask in enumerate((left, ~left)) if i < len(vocabulary.all_categories)]


@dataclass
class Builder:
    """In the place of `build_segmenter`; counts how often it was asked."""

    frame_seconds: float = 0.0
    load_seconds: float = 0.0
    calls: list[Any] = field(default_factory=list)

    def __call__(self, settings: Any, *, progress: bool = True) -> QuickSegmenter:
        self.calls.append((settings, progress))
        time.sleep(self.load_seconds)
        return QuickSegmenter(self.frame_seconds, Path(AT_WORK) if self.frame_seconds else None)


def use_quick_model(monkeypatch: pytest.MonkeyPatch) -> Builder:
    """For the rest of the test."""
    builder = Builder()
    monkeypatch.setattr(run_module, "build_segmenter", builder)
    return builder


@dataclass(frozen=True)
class Child:
    """A command line for a process of its own.

    Attributes:
        arguments: of `streamseg`.
        folder: where it runs, and where `out` and `err` are written.
        frame_seconds, load_seconds: of the model.
        out, err: files, named pipes or terminals for standard output and error.
        stdin: file for standard input.
        largest_file: bytes; the kernel lets no file grow further.
        ignored: a signal that it is started without an ear for.
    """

    arguments: tuple[str, ...]
    folder: Path
    frame_seconds: float = 0.0
    load_seconds: float = 0.0
    out: str = "out.txt"
    err: str = "err.txt"
    stdin: str = os.devnull
    largest_file: int | None = None
    ignored: signal.Signals | None = None


def run_child(child: Child) -> None:
    """What the process does."""
    os.chdir(child.folder)
    for number, path, flags in (
        (0, child.stdin, os.O_RDONLY),
        (1, child.out, os.O_WRONLY | os.O_CREAT),
        (2, child.err, os.O_WRONLY | os.O_CREAT),
    ):
        os.dup2(os.open(path, flags, 0o600), number)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    if child.largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (child.largest_file, resource.RLIM_INFINITY))
    if child.ignored is not None:
        signal.signal(child.ignored, signal.SIG_IGN)
    vars(run_module)["build_segmenter"] = Builder(child.frame_seconds, child.load_seconds)
    sys.exit(main(child.arguments))


if __name__ == "__main__":
    vars(run_module)["build_segmenter"] = Builder(float(os.environ.get("FRAME_SECONDS", "0")))
    sys.exit(main())

"""The command with a model that is there at once: everything else is real.

    python -m tests.cli.quick_run run street.mp4 --output results

STREAMSEG_TEST_FRAME_SECONDS and STREAMSEG_TEST_LOAD_SECONDS make it as slow as a test needs it.
"""

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from streamseg.fcclip.classifier import ClassScores
from streamseg.frames import Frame
from streamseg.queries import Queries
from streamseg.testing import ScriptedMask, ScriptedSegmenter
from streamseg.vocabulary import Vocabulary

FRAME_SECONDS = "STREAMSEG_TEST_FRAME_SECONDS"
LOAD_SECONDS = "STREAMSEG_TEST_LOAD_SECONDS"


class QuickSegmenter(ScriptedSegmenter):
    """Sees the first category on the left and the second one on the right of every picture."""

    def __init__(self, frame_seconds: float = 0.0) -> None:
        super().__init__(halves)
        self.frame_seconds = frame_seconds

    def segment(
        self, frames: Sequence[Frame | npt.NDArray[np.uint8]], vocabulary: Vocabulary | Sequence[Vocabulary]
    ) -> list[Queries]:
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


def build(_settings: Any, *, progress: bool = True) -> QuickSegmenter:
    """In the place of `build_segmenter`."""
    del progress
    time.sleep(float(os.environ.get(LOAD_SECONDS, "0")))
    return QuickSegmenter(float(os.environ.get(FRAME_SECONDS, "0")))


if __name__ == "__main__":
    from streamseg.cli import main
    from streamseg.runtime import run

    run.build_segmenter = build  # type: ignore[assignment]
    sys.exit(main())

"""The recording that the pipeline is measured on: the procedural world as 720p H.264, made once and kept."""

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..sinks.files import temporary_path
from ..sinks.video import VideoWriter
from ..world.video import World

__all__ = ["looped", "world_clip"]

FPS = Fraction(25)
SEED = 7


def world_clip(frames: int, size_hw: tuple[int, int] = (720, 1280), *, folder: Path | None = None) -> Path:
    """A file of so many frames; rendering takes a fraction of a second for each, once.

    Args:
        frames: how many.
        size_hw: height and width in pixels.
        folder: where it is kept; None for one among the temporary files.
    """
    folder = folder or Path(tempfile.gettempdir()) / "streamseg-benchmark"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"world-{SEED}-{size_hw[1]}x{size_hw[0]}-{frames}.mp4"
    if not path.exists():
        unfinished = temporary_path(path).with_suffix(".mp4")
        with VideoWriter(unfinished, FPS) as writer:
            for picture in _pictures(frames, size_hw):
                writer.write(picture)
        unfinished.replace(path)
    return path


def looped(clip: Path, times: int, folder: Path) -> Path:
    """A playlist in `folder` that shows a file so many times, with times that go on."""
    path = folder / "loop.ffconcat"
    (folder / clip.name).symlink_to(clip.resolve())
    path.write_text("ffconcat version 1.0\n" + f"file '{clip.name}'\n" * times, encoding="utf-8")
    return path


def _pictures(frames: int, size_hw: tuple[int, int]) -> Iterator[npt.NDArray[np.uint8]]:
    world = World(SEED, size_hw, FPS)
    return (world.frame(index).rgb for index in range(frames))

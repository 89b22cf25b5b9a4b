"""A run's results drawn over its video, after the fact: any stretch of it, any tracks, and no model."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..frames import FrameResult
from ..sinks.files import cannot_write
from ..sinks.render import ColorBy, draw_overlay
from ..sinks.timeline import Moment, Timeline
from ..sinks.video import VideoWriter, finish_video
from ..sources.base import Source
from .clock import StreamClock
from .folder import RunFolder
from .footage import with_pictures
from .reader import read_results

__all__ = ["VIEW", "View", "draw_view", "write_view"]

VIEW = "view.mp4"
FALLBACK_FPS = Fraction(25)
FINEST_TIME_BASE = Fraction(1, 90_000)  # finer clocks are rounded to this one
OPACITY_ON_BLACK = 1.0

Image = npt.NDArray[np.uint8]
Frames = Iterable[tuple[FrameResult, Image | None]]


@dataclass(frozen=True, slots=True)
class View:
    """What to show, and how.

    Attributes:
        start_seconds, end_seconds: a stretch of the stream's own time; None for its ends.
        things_only: leave stuff out.
        ids: only these tracks; empty for all.
        color_by, show_ids: as of `draw_overlay`.
    """

    start_seconds: float | None = None
    end_seconds: float | None = None
    things_only: bool = False
    ids: frozenset[int] = field(default_factory=frozenset)
    color_by: ColorBy = "id"
    show_ids: bool = False

    def __post_init__(self) -> None:
        start, end = self.start_seconds, self.end_seconds
        if start is not None and end is not None and end <= start:
            raise ConfigError(f"the view ends at {end:g} s, expected later than its start, {start:g} s")


def write_view(
    run: RunFolder,
    stream: str,
    path: Path,
    source: Source | None,
    view: View | None = None,
    *,
    sound: Path | None = None,
    track: Callable[[Frames], Frames] | None = None,
) -> tuple[int, int]:
    """Render a stream into a video file, which is there once it is whole.

    Args:
        run, stream: what to render.
        path: .mp4, .mkv or .mov; replaced if it exists.
        source: where the pictures are; None draws on black.
        view: what to show; None for everything.
        sound: the recording whose sound to add.
        track: wraps the frames, to show progress.

    Returns:
        How many frames it has, and how many of them have no picture.

    Raises:
        ConfigError: the run has no such frames, or the source is another video.
        SourceError: the source cannot be read.
        SinkError: the file cannot be written.
    """
    view = view or View()
    VideoWriter(path, FALLBACK_FPS)  # refuses a name that no video can have, before anything is done
    clock = StreamClock.of_stream(run.manifest["streams"][stream])
    results = read_results(run, stream, lambda record: _choice(clock.seconds(record), view))
    frames: Frames = with_pictures(results, source, clock.fps)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        counts, start = _write(temporary, frames if track is None else track(frames), view, clock.fps or FALLBACK_FPS)
        if not counts[0]:
            raise ConfigError(f"stream {stream!r} of {str(run.path)!r} has no frame in this stretch of time")
        finish_video(temporary, sound if start is not None else None, start or Fraction(0))
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return counts


def draw_view(result: FrameResult, rgb: Image | None, view: View) -> Image:
    """One frame, (H, W, 3) uint8: the picture, or black where there is none, with what the view shows of it."""
    segments = [
        segment
        for segment in result.segments
        if (segment.isthing or not view.things_only) and (not view.ids or segment.id in view.ids)
    ]
    style: dict[str, Any] = {"color_by": view.color_by, "show_ids": view.show_ids, "show_scores": not view.show_ids}
    if rgb is None:
        rgb, style["opacity"] = np.zeros((*result.size_hw, 3), np.uint8), OPACITY_ON_BLACK
    return draw_overlay(rgb, result.panoptic, segments, **style)


def _write(path: Path, frames: Frames, view: View, fps: Fraction) -> tuple[tuple[int, int], Fraction | None]:
    """The frames into a file; how many, how many without a picture, and the time of the first."""
    written = without = 0
    start: Fraction | None = None
    size_hw: tuple[int, int] | None = None
    writer: VideoWriter | None = None
    try:
        for result, rgb in frames:
            picture = draw_view(result, rgb, view)
            if writer is None:
                start, size_hw = result.pts_seconds, (picture.shape[0], picture.shape[1])
                writer, timeline = _open(path, result, fps)
            assert size_hw is not None
            writer.write(_fitted(picture, size_hw), timeline.tick(Moment.of(result)))
            written, without = written + 1, without + (rgb is None)
    finally:
        if writer is not None:
            writer.close()
    return (written, without), start


def _open(path: Path, first: FrameResult, fps: Fraction) -> tuple[VideoWriter, Timeline]:
    base = 1 / fps if first.time_base is None else max(first.time_base, FINEST_TIME_BASE)
    writer = VideoWriter(path, fps, time_base=base)
    return writer, Timeline(base, writer.step)


def _choice(seconds: float | None, view: View) -> Literal["keep", "skip", "end"]:
    """What to do with a record; one without a time is taken for early."""
    if view.start_seconds is not None and (seconds is None or seconds < view.start_seconds):
        return "skip"
    return "end" if view.end_seconds is not None and seconds is not None and seconds >= view.end_seconds else "keep"


def _fitted(picture: Image, size_hw: tuple[int, int]) -> Image:
    """A picture of another size than the first, in the middle of a black one of that size."""
    height, width = picture.shape[:2]
    if (height, width) == size_hw:
        return picture
    scale = min(size_hw[0] / height, size_hw[1] / width)
    inner = max(1, round(height * scale)), max(1, round(width * scale))
    out = np.zeros((*size_hw, 3), np.uint8)
    top, left = (size_hw[0] - inner[0]) // 2, (size_hw[1] - inner[1]) // 2
    resized = cv2.resize(picture, (inner[1], inner[0]), interpolation=cv2.INTER_AREA)
    out[top : top + inner[0], left : left + inner[1]] = resized
    return out

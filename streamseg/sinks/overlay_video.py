"""Overlay video: OUT/<stream>/epoch-<n>/overlay.mp4, with the frames' own times.

While it grows, a file consists of fragments, one for each frame, so that it plays at any moment; once finished it is an
ordinary MP4. A run that goes on after a kill begins another part, `overlay-part001.mp4`, with the frame after the last
one that the old part holds. So does a part that is full (see rotation), and a picture of another size.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..config.sinks import RotationSettings, VideoSettings
from ..errors import SinkError
from ..tracks import TrackRow
from .base import Emission, StreamFacts
from .files import atomic_write, cannot_write
from .render import Places, draw_overlay
from .rotation import active_rotation, should_rotate, stream_seconds, surplus
from .timeline import Moment, Timeline
from .video import VideoWriter, cut_video, finish_video

__all__ = ["OverlayVideoSink", "fitting_size", "overlay_parts", "overlay_path"]

FALLBACK_FPS = Fraction(25)
LIVE_TIME_BASE = Fraction(1, 90_000)  # that of cameras, whose first frame may come without a time
FINEST_TIME_BASE = Fraction(1, 2**31 - 1)  # an MP4 counts no shorter ticks

Image = npt.NDArray[np.uint8]


@dataclass(slots=True)
class _Part:
    """The file that grows, and its last picture, which the muxer holds back."""

    writer: VideoWriter
    timeline: Timeline
    begin: Moment | None
    begin_seconds: float | None
    picture: Image
    last: Moment | None
    frames: int = 0


class OverlayVideoSink:
    """Draws each frame's segments and writes the pictures; see `Sink` for the methods.

    Args:
        facts: of the stream.
        settings: how it looks, and how it is encoded.
        rotation: when a part is full, and how many finished ones stay.
    """

    name = "video"
    external = False

    def __init__(self, facts: StreamFacts, settings: VideoSettings, rotation: RotationSettings | None = None) -> None:
        self.facts = facts
        self.settings = settings
        self._rotation = active_rotation(rotation, live=facts.live)
        self._fps = facts.fps or FALLBACK_FPS
        self._part: _Part | None = None
        self._place = (0, 0)  # epoch and number of the current part, or of the next one
        self._kept: list[tuple[int, int, int]] = []  # epoch, number and bytes of finished parts, oldest first
        self._places: Places = {}
        self._skip = 0  # frames of this epoch that come again although they are there

    def open(self, state: dict[str, Any] | None) -> None:
        """See `Sink`: parts that were begun later go, the one that grew at the time is finished."""
        if state is None:
            return
        self._place = (state["epoch"], state["part"])
        self._kept = [(epoch, number, size) for epoch, number, size in state["kept"]]
        for epoch, number, path in overlay_parts(self.facts.folder):
            if (epoch, number) > self._place:
                path.unlink(missing_ok=True)
        if state["frames"]:
            self._take_over(state)
        else:
            self._path().unlink(missing_ok=True)

    def write(self, emission: Emission) -> None:
        """See `Sink`."""
        result = emission.result
        if self._skip and result.epoch == self._place[0]:
            self._skip -= 1
            return
        self._skip = 0
        picture, seconds = self._draw(emission), stream_seconds(result)
        if result.epoch != self._place[0]:
            self._end_part()
            self._place = (result.epoch, 0)
        elif self._part is not None and self._is_full(self._part, picture, seconds):
            self._end_part()
        self._append(picture, Moment.of(result), seconds)

    def state(self) -> dict[str, Any]:
        """See `Sink`. The picture that the muxer holds back is laid aside."""
        part = self._part
        state: dict[str, Any] = {
            "epoch": self._place[0],
            "part": self._place[1],
            "frames": 0,
            "kept": [list(kept) for kept in self._kept],
        }
        if part is None:
            return state
        atomic_write(self._pending, part.picture.tobytes())
        return state | {
            "frames": part.frames,
            "size": list(part.picture.shape[:2]),
            "begin": part.begin and part.begin.to_plain(),
            "last": part.last and part.last.to_plain(),
        }

    def close(self, remaining: Sequence[TrackRow] = ()) -> None:  # noqa: ARG002
        """See `Sink`."""
        self._end_part()

    # Parts.

    def _append(self, picture: Image, moment: Moment | None, seconds: float | None) -> None:
        if self._part is None:
            self._part = self._new_part(picture, moment, seconds)
        part = self._part
        try:
            part.writer.write(picture, part.timeline.tick(moment))
        except SinkError:
            self._abandon_part()
            raise
        part.frames += 1
        part.picture, part.last = picture, moment

    def _new_part(self, picture: Image, moment: Moment | None, seconds: float | None) -> _Part:
        path = self._path()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from None
        base = self._time_base(moment)
        settings = self.settings
        writer = VideoWriter(
            path, self._fps, quality=settings.quality, preset=settings.preset, time_base=base, every_frame=True
        )
        return _Part(writer, Timeline(base, writer.step), moment, seconds, picture, moment)

    def _time_base(self, moment: Moment | None) -> Fraction:
        if moment is None:
            return LIVE_TIME_BASE if self.facts.live else 1 / self._fps
        return moment.time_base if moment.time_base >= FINEST_TIME_BASE else LIVE_TIME_BASE

    def _is_full(self, part: _Part, picture: Image, seconds: float | None) -> bool:
        if picture.shape != part.picture.shape:
            return True
        if self._rotation is None:
            return False
        elapsed = 0.0 if seconds is None or part.begin_seconds is None else seconds - part.begin_seconds
        return should_rotate(self._rotation, size=part.writer.path.stat().st_size, seconds=elapsed)

    def _end_part(self) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        epoch, number = self._place
        self._place = (epoch, number + 1)
        part.writer.close()
        self._finish(part.writer.path, part.begin)
        self._pending.unlink(missing_ok=True)
        self._retain(epoch, number, part.writer.path.stat().st_size)

    def _abandon_part(self) -> None:
        """After a failed write: what is whole of the file stays, and the next frame begins another."""
        part, self._part = self._part, None
        if part is None:
            return
        with suppress(SinkError):
            part.writer.close()
        epoch, number = self._place
        if cut_video(part.writer.path)[0]:
            self._place = (epoch, number + 1)
            self._retain(epoch, number, part.writer.path.stat().st_size)
        else:
            part.writer.path.unlink(missing_ok=True)

    def _retain(self, epoch: int, number: int, size: int) -> None:
        """A finished part is there; the oldest go where there are too many."""
        rotation = self._rotation
        if rotation is None or (rotation.keep is None and rotation.keep_megabytes is None):
            return  # all of them stay, and nobody has to remember them
        self._kept.append((epoch, number, size))
        gone = surplus(rotation, [size for _, _, size in self._kept])
        for old_epoch, old_number, _ in self._kept[:gone]:
            overlay_path(self.facts.folder, old_epoch, old_number).unlink(missing_ok=True)
        del self._kept[:gone]

    def _take_over(self, state: dict[str, Any]) -> None:
        """Finish the part that grew at the commit; what it lacks follows in the next, what it has beyond is skipped."""
        path = self._path()
        found, finished = cut_video(path)
        self._skip = max(0, found - state["frames"])
        if found:
            if not finished:
                self._finish(path, Moment.from_plain(state["begin"]))
            epoch, number = self._place
            self._place = (epoch, number + 1)
            self._retain(epoch, number, path.stat().st_size)
        else:
            path.unlink(missing_ok=True)
        if found == state["frames"] - 1 and self._pending.exists():
            picture = np.frombuffer(self._pending.read_bytes(), np.uint8).reshape(*state["size"], 3)
            self._append(picture, Moment.from_plain(state["last"]), None)

    def _finish(self, path: Path, begin: Moment | None) -> None:
        sound = self.facts.recording if self.settings.audio and begin is not None else None
        finish_video(path, sound, begin.seconds if begin is not None else Fraction(0))

    def _path(self) -> Path:
        return overlay_path(self.facts.folder, *self._place)

    @property
    def _pending(self) -> Path:
        return self.facts.folder / ".overlay-pending.rgb"

    def _draw(self, emission: Emission) -> Image:
        settings, rgb = self.settings, emission.rgb
        height, width = fitting_size(rgb.shape[0], rgb.shape[1], settings.min_side, settings.max_side)
        if (height, width) != rgb.shape[:2]:
            rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        return draw_overlay(
            rgb,
            emission.result.panoptic,
            emission.result.segments,
            color_by=settings.color_by,
            show_labels=settings.show_labels,
            show_ids=settings.show_ids,
            show_scores=settings.show_scores,
            opacity=settings.opacity,
            places=self._places,
        )


def overlay_path(folder: Path, epoch: int, number: int) -> Path:
    """Where a part lies in the folder of its stream."""
    return folder / f"epoch-{epoch}" / (f"overlay-part{number:03d}.mp4" if number else "overlay.mp4")


def overlay_parts(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Epoch, number and path of every part in the folder of a stream, in order."""
    found = []
    for path in folder.glob("epoch-*/overlay*.mp4"):
        match = re.fullmatch(r"epoch-(\d+)/overlay(?:-part(\d+))?\.mp4", path.relative_to(folder).as_posix())
        if match:
            found.append((int(match[1]), int(match[2] or 0), path))
    yield from sorted(found)


def fitting_size(height: int, width: int, min_side: int | None, max_side: int | None) -> tuple[int, int]:
    """Height and width, enlarged by a whole number or scaled down so that the longer one lies between the two.

    The shape is kept. Where both limits cannot be met, `max_side` counts.
    """
    longest = max(height, width)
    scale = max(1, -(-(min_side or 0) // longest))
    if max_side is None or scale * longest <= max_side:
        return scale * height, scale * width
    if longest <= max_side:
        return height, width
    return max(1, round(height * max_side / longest)), max(1, round(width * max_side / longest))

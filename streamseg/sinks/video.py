"""H.264 video files that play whatever happened to the process that wrote them.

`VideoWriter` writes in fragments. `cut_video` takes a file that was left behind and keeps what is whole of it;
`finish_video` turns fragments into an ordinary MP4, with sound where there is some.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, SinkError

__all__ = ["Preset", "VideoWriter", "cut_video", "finish_video"]

CONTAINERS = (".mp4", ".mkv", ".mov")
KEYFRAME_SECONDS = 2  # what a killed writer may lose, together with what the encoder still holds
SOUND_IN_MP4 = ("aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus")  # the others are encoded anew, as AAC

Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"]
"""How much x264 tries. At 720p ultrafast is twice as quick as veryfast, and its files are twice as large."""

logger = logging.getLogger(__name__)


class VideoWriter:
    """Pictures to one H.264 file (a context manager).

    Files are written in fragments, each flushed, so that a file whose writer was killed plays up to the last one. A
    fragment is about two seconds long, or with `every_frame` a single frame: then all but the last frame written is in
    the file. Players want even sizes: an odd row or column at the edge is repeated. Matroska rounds times to
    milliseconds; its rate is exact all the same.

    Args:
        path: .mp4, .mkv or .mov; replaced if it exists.
        fps: pictures a second, exact; the nominal rate where pictures come with times of their own.
        quality: constant rate factor of x264: 0 is lossless, 51 the worst.
        preset: see `Preset`.
        time_base: seconds per tick of the times given to `write`; one picture at `fps` where it is left out.
        every_frame: a fragment for each frame, and no frame held back by the encoder; MP4 only.

    Raises:
        ConfigError: the ending is none of those.
        SinkError: the file cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        fps: Fraction,
        *,
        quality: int = 20,
        preset: Preset = "veryfast",
        time_base: Fraction | None = None,
        every_frame: bool = False,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in CONTAINERS:
            raise ConfigError(f"video file {str(path)!r}: expected a name that ends in {', '.join(CONTAINERS)}")
        if every_frame and self.path.suffix.lower() == ".mkv":
            raise ConfigError(f"video file {str(path)!r}: a fragment for every frame is for MP4; expected .mp4 or .mov")
        self.fps = fps
        self.quality = quality
        self.preset = preset
        self.time_base = time_base or 1 / fps
        self.every_frame = every_frame
        self._container: Any = None
        self._stream: Any = None
        self._size_hw: tuple[int, int] | None = None
        self._next_tick = 0

    @property
    def step(self) -> int:
        """Nominal duration of a frame, in ticks."""
        return max(1, round(1 / (self.fps * self.time_base)))

    def write(self, rgb: NDArray[np.uint8], tick: int | None = None) -> None:
        """The next picture.

        Args:
            rgb: (H, W, 3) uint8; all have one size.
            tick: its time in units of `time_base`, later than that of the last one; left out, it follows at `fps`.

        Raises:
            ConfigError: its size is not that of the first, or its time not later than the last.
            SinkError: it cannot be written, or the file is closed.
        """
        size_hw = (rgb.shape[0], rgb.shape[1])
        if self._size_hw is None:
            self._open(size_hw)
        self._check(size_hw)
        tick = self._tick(tick)
        even = np.pad(rgb, ((0, size_hw[0] % 2), (0, size_hw[1] % 2), (0, 0)), mode="edge") if _odd(size_hw) else rgb
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), "rgb24")
        frame.pts, frame.time_base = tick, self.time_base
        try:
            self._mux(frame)
        except (av.error.FFmpegError, OSError) as error:
            raise _cannot_write(self.path, error) from None

    def close(self) -> None:
        """Write what the encoder still holds. Without a picture there is no file."""
        if self._container is None:
            return
        container = self._container
        try:
            self._mux(None)
            self._container = None
            container.close()
        except (av.error.FFmpegError, OSError) as error:
            self._container = None
            with contextlib.suppress(av.error.FFmpegError, OSError):
                container.close()  # what it holds would stay open, and speak up when it is collected
            raise _cannot_write(self.path, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _mux(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            if not packet.duration:
                packet.duration = self.step  # of the last frame: that of any other is the distance to the next
            self._container.mux(packet)

    def _check(self, size_hw: tuple[int, int]) -> None:
        if self._container is None:
            raise SinkError(f"{self.path} is closed, expected no more pictures: start another file")
        assert self._size_hw is not None
        if size_hw != self._size_hw:
            raise ConfigError(
                f"a picture of {size_hw[1]}x{size_hw[0]} for {self.path}, whose first was "
                f"{self._size_hw[1]}x{self._size_hw[0]}: expected one size; start another file"
            )

    def _tick(self, tick: int | None) -> int:
        tick = self._next_tick if tick is None else tick
        if self._next_tick and tick <= self._next_tick - self.step:
            raise ConfigError(f"a picture at tick {tick} for {self.path}: expected one later than the last")
        self._next_tick = tick + self.step
        return tick

    def _open(self, size_hw: tuple[int, int]) -> None:
        try:
            container = av.open(str(self.path), "w", options=self._fragments() | {"flush_packets": "1"})
        except (av.error.FFmpegError, OSError) as error:
            raise _cannot_write(self.path, error) from None
        stream: Any = container.add_stream("libx264", rate=self.fps)
        stream.codec_context.time_base = self.time_base
        stream.height, stream.width = (side + side % 2 for side in size_hw)
        stream.pix_fmt = "yuv420p"
        stream.options = {
            "preset": self.preset,
            "crf": str(self.quality),
            "g": str(max(1, round(KEYFRAME_SECONDS * self.fps))),
            "bf": "0",  # with B-frames the first picture of an MP4 in fragments would not be at time 0
            "x264-params": "colormatrix=smpte170m",  # what the conversion from RGB uses, whatever the size
        } | ({"tune": "zerolatency"} if self.every_frame else {})
        self._container, self._stream, self._size_hw = container, stream, size_hw

    def _fragments(self) -> dict[str, str]:
        if self.path.suffix.lower() == ".mkv":
            return {"cluster_time_limit": str(1000 * KEYFRAME_SECONDS)}
        # Without a trailer nothing is remembered of each fragment, so memory stays constant.
        kind = "frag_every_frame+skip_trailer" if self.every_frame else "frag_keyframe"
        return {"movflags": f"{kind}+empty_moov+default_base_moof"}


def cut_video(path: Path) -> tuple[int, bool]:
    """Cut a half-written fragment off an MP4 of `VideoWriter(every_frame=True)`.

    Returns:
        How many frames it holds, 0 where nothing can be read; and whether it is finished, see `finish_video`.
    """
    try:
        with path.open("r+b") as file:
            frames, end = _whole_fragments(file)
            if frames:
                file.truncate(end)
                return frames, False
        with av.open(str(path)) as container:
            frames = int(container.streams.video[0].frames)
            return frames, frames > 0
    except (av.error.FFmpegError, OSError, IndexError):
        return 0, False


def finish_video(path: Path, sound: Path | None = None, start: Fraction = Fraction(0)) -> None:
    """Turn an MP4 in fragments into an ordinary one, which every player can seek in, and give it sound.

    The file is replaced at once when the new one is whole. Where that fails, the fragments stay, which play too.

    Args:
        path: the file.
        sound: the recording whose first sound track is taken; copied where MP4 knows the codec, else encoded as AAC.
        start: seconds in the recording at which the video begins.
    """
    whole = path.with_name(f".{path.stem}.whole{path.suffix}")
    try:
        if sound is not None:
            try:
                _remux(path, whole, sound, start)
            except (av.error.FFmpegError, OSError, ValueError) as error:
                logger.warning("%s stays silent: the sound of %s cannot be used (%s)", path, sound, _reason(error))
                _remux(path, whole, None, start)
        else:
            _remux(path, whole, None, start)
        whole.replace(path)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        logger.warning("%s stays in fragments, which play but do not seek well (%s)", path, _reason(error))
    finally:
        whole.unlink(missing_ok=True)


def _remux(path: Path, whole: Path, sound: Path | None, start: Fraction) -> None:
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(av.open(str(path)))
        recording = None if sound is None else stack.enter_context(av.open(str(sound)))
        target = stack.enter_context(av.open(str(whole), "w"))
        pictures = source.streams.video[0]
        stream: Any = target.add_stream_from_template(pictures)
        stream.time_base = pictures.time_base
        track = _Sound.of(recording, target, start) if recording is not None else None
        end = Fraction(0)
        packet: Any
        for packet in source.demux(pictures):
            if packet.dts is None:
                continue
            packet.stream = stream
            if track is not None:
                track.mux_until(packet.dts * packet.time_base)
            end = (packet.dts + packet.duration) * packet.time_base
            target.mux(packet)
        if track is not None:
            track.mux_until(end)
            track.close()


class _Sound:
    """The sound of a recording on its way into another file: packets of a span of time, moved to begin at 0."""

    def __init__(self, recording: Any, target: Any, start: Fraction, copied: bool) -> None:
        self._target, self._start, self._copied = target, start, copied
        track = recording.streams.audio[0]
        self._stream = (
            target.add_stream_from_template(track)
            if copied
            else target.add_stream("aac", rate=track.rate, layout=track.layout.name)
        )
        if start > 0:
            recording.seek(int(start / track.time_base), stream=track)
        self._pieces = self._packets(recording, track) if copied else self._frames(recording, track)
        self._ahead: Any = next(self._pieces, None)

    @classmethod
    def of(cls, recording: Any, target: Any, start: Fraction) -> "_Sound | None":
        """None where the recording has no sound."""
        if not recording.streams.audio:
            return None
        return cls(recording, target, start, recording.streams.audio[0].codec.canonical_name in SOUND_IN_MP4)

    def mux_until(self, end: Fraction) -> None:
        """Write what begins before this time, in seconds of the new file: so pictures and sound lie side by side."""
        while self._ahead is not None and self._ahead.pts * self._ahead.time_base < end:
            self._target.mux(self._ahead if self._copied else self._stream.encode(self._ahead))
            self._ahead = next(self._pieces, None)

    def close(self) -> None:
        if not self._copied:
            self._target.mux(self._stream.encode(None))

    def _packets(self, recording: Any, track: Any) -> Iterator[Any]:
        for packet in recording.demux(track):
            if packet.pts is not None and packet.pts * packet.time_base >= self._start:
                shift = round(self._start / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.pts - shift
                packet.stream = self._stream
                yield packet

    def _frames(self, recording: Any, track: Any) -> Iterator[Any]:
        for frame in recording.decode(track):
            if frame.pts is not None and frame.pts * frame.time_base >= self._start:
                frame.pts -= round(self._start / frame.time_base)
                yield frame


def _whole_fragments(file: BinaryIO) -> tuple[int, int]:
    """How many pairs of `moof` and `mdat` boxes are complete, and where the last of them ends, in bytes."""
    size = file.seek(0, os.SEEK_END)
    position = frames = end = 0
    previous = b""
    while position + 8 <= size:
        file.seek(position)
        header = file.read(8)
        length = int.from_bytes(header[:4], "big")
        position += length
        if length < 8 or position > size:
            break
        if previous == b"moof" and header[4:] == b"mdat":
            frames, end = frames + 1, position
        previous = header[4:]
    return frames, end


def _odd(size_hw: tuple[int, int]) -> bool:
    return any(side % 2 for side in size_hw)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


def _cannot_write(path: Path, error: Exception) -> SinkError:
    return SinkError(f"cannot write {path}: {_reason(error)}; check the place, and that there is space")

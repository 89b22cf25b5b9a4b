"""H.264 video files that play whatever happened to the process that wrote them."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, SinkError

__all__ = ["VideoWriter"]

CONTAINERS = (".mp4", ".mkv", ".mov")
KEYFRAME_SECONDS = 2  # what a killed writer may lose, together with what the encoder still holds


class VideoWriter:
    """Pictures to one H.264 file (a context manager).

    Files are written in fragments of about two seconds, each flushed, so that a file whose writer was killed plays up
    to the last one. Players want even sizes: an odd row or column at the edge is repeated. Matroska rounds times to
    milliseconds; its rate is exact all the same.

    Args:
        path: .mp4, .mkv or .mov; replaced if it exists.
        fps: pictures a second, exact.
        quality: constant rate factor of x264: 0 is lossless, 51 the worst.

    Raises:
        ConfigError: the ending is none of those.
        SinkError: the file cannot be written.
    """

    def __init__(self, path: Path | str, fps: Fraction, *, quality: int = 20) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in CONTAINERS:
            raise ConfigError(f"video file {str(path)!r}: expected a name that ends in {', '.join(CONTAINERS)}")
        self.fps = fps
        self.quality = quality
        self._container: Any = None
        self._stream: Any = None
        self._size_hw: tuple[int, int] | None = None

    def write(self, rgb: NDArray[np.uint8]) -> None:
        """The next picture, (H, W, 3) uint8; all have one size.

        Raises:
            ConfigError: its size is not that of the first.
            SinkError: it cannot be written, or the file is closed.
        """
        size_hw = (rgb.shape[0], rgb.shape[1])
        if self._size_hw is None:
            self._open(size_hw)
        elif self._container is None:
            raise SinkError(f"{self.path} is closed, expected no more pictures: start another file")
        elif size_hw != self._size_hw:
            raise ConfigError(
                f"a picture of {size_hw[1]}x{size_hw[0]} for {self.path}, whose first was "
                f"{self._size_hw[1]}x{self._size_hw[0]}: expected one size; start another file"
            )
        even = np.pad(rgb, ((0, size_hw[0] % 2), (0, size_hw[1] % 2), (0, 0)), mode="edge")
        try:
            self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(even), "rgb24")))
        except (av.error.FFmpegError, OSError) as error:
            raise self._cannot_write(error) from None

    def close(self) -> None:
        """Write what the encoder still holds. Without a picture there is no file."""
        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            container.mux(self._stream.encode())
            container.close()
        except (av.error.FFmpegError, OSError) as error:
            raise self._cannot_write(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, size_hw: tuple[int, int]) -> None:
        fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        if self.path.suffix.lower() == ".mkv":
            fragments = {"cluster_time_limit": str(1000 * KEYFRAME_SECONDS)}
        try:
            container = av.open(str(self.path), "w", options=fragments | {"flush_packets": "1"})
        except (av.error.FFmpegError, OSError) as error:
            raise self._cannot_write(error) from None
        stream: Any = container.add_stream("libx264", rate=self.fps)
        stream.height, stream.width = (side + side % 2 for side in size_hw)
        stream.pix_fmt = "yuv420p"
        stream.options = {
            "preset": "veryfast",
            "crf": str(self.quality),
            "g": str(max(1, round(KEYFRAME_SECONDS * self.fps))),
            "bf": "0",  # with B-frames the first picture of an MP4 in fragments would not be at time 0
            "x264-params": "colormatrix=smpte170m",  # what the conversion from RGB uses, whatever the size
        }
        self._container, self._stream, self._size_hw = container, stream, size_hw

    def _cannot_write(self, error: Exception) -> SinkError:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return SinkError(f"cannot write {self.path}: {reason}; check the place, and that there is space")

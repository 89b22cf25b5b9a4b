"""Pictures as a stream: a folder, a glob, or a single one."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import DecodeError, SourceError
from ..frames import Frame
from .base import Kind, Position, Skipped, SourceInfo, Stop, Wanted
from .images import read_image

__all__ = ["Pictures"]

logger = logging.getLogger("streamseg.sources")


class Pictures:
    """Picture files, one frame each, in the order given. Pictures have no time.

    A picture that is damaged is passed over with a line in the log; only where none can be read that is an error. A
    picture of another size than the last one delivered starts another epoch.

    Args:
        paths: of the pictures.
        stream_id: name of the stream.
    """

    kind: Kind = "recorded"

    def __init__(self, paths: list[Path], stream_id: str) -> None:
        self.paths = paths
        self.stream_id = stream_id
        self.status = "pictures"
        self.heartbeat = time.monotonic()

    def info(self) -> SourceInfo:
        """The size is that of the first picture that can be read."""
        for path in self.paths:
            try:
                height, width = read_image(path).shape[:2]
            except SourceError:
                continue
            return SourceInfo(self.kind, size_hw=(height, width), frames=len(self.paths))
        return SourceInfo(self.kind, frames=len(self.paths))

    def frames(self, stop: Stop, *, wanted: Wanted, after: Position | None = None) -> Iterator[Frame | Skipped]:
        """As of `Source`. Pictures that are not wanted are not even opened."""
        first = 0 if after is None else after.index + 1
        epoch = 0 if after is None else after.epoch
        size_hw = self._size_before(first)
        problem: SourceError | None = None
        for index in range(first, len(self.paths)):
            self.heartbeat = time.monotonic()
            verdict = "end" if stop.is_set() else wanted(index, None)
            if verdict == "end":
                return
            if verdict != "keep":
                yield Skipped(index, verdict)
                continue
            rgb = self._read(index)
            if isinstance(rgb, SourceError):
                problem = rgb
                yield Skipped(index, "damaged")
                continue
            epoch += size_hw not in (None, rgb.shape[:2])
            size_hw = (rgb.shape[0], rgb.shape[1])
            yield Frame(rgb, index, self.stream_id, epoch)
        if problem is not None and size_hw is None:
            raise problem if len(self.paths) == 1 else DecodeError(f"none of the pictures can be read; {problem}")

    def _read(self, index: int) -> npt.NDArray[np.uint8] | SourceError:
        """A picture, or why there is none."""
        try:
            return read_image(self.paths[index])
        except SourceError as error:
            if len(self.paths) > 1:
                logger.warning("%s: picture %d is passed over: %s", self.stream_id, index, error)
            return error

    def _size_before(self, index: int) -> tuple[int, int] | None:
        """Size of the last picture before this one that can be read."""
        for path in reversed(self.paths[:index]):
            try:
                height, width = read_image(path).shape[:2]
            except SourceError:
                continue
            return height, width
        return None

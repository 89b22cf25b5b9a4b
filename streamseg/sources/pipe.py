"""Video that comes through a pipe: `ffmpeg ... -f matroska - | streamseg run -`."""

import os
import select
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from ..config.sources import DecodeSettings
from ..errors import SourceError
from .address import Address
from .base import SourceInfo
from .opening import Opened, open_video
from .playback import Alive
from .video import VideoFile

__all__ = ["VideoPipe"]

LOOK_UP_SECONDS = 0.2  # how often a reader that waits for bytes looks whether anyone still wants them


class VideoPipe(VideoFile):
    """Standard input, or a named pipe: a recording that can be read once, from its beginning.

    It is decoded by one thread, since damage could not be read again (see `playback`). Where it goes on after a frame,
    the bytes have to come from the beginning again, and what is done is passed over.

    Args:
        address: of kind "pipe".
        stream_id: name of the stream.
    """

    reopens = False

    def __init__(self, address: Address, stream_id: str) -> None:
        super().__init__(address, stream_id)

    def info(self) -> SourceInfo:
        """Nothing is known before it is read, and then it is gone."""
        return SourceInfo(self.kind)

    def _open(self, decode: DecodeSettings, alive: Alive) -> AbstractContextManager[Opened]:
        return self._open_pipe(decode, alive)

    @contextmanager
    def _open_pipe(self, decode: DecodeSettings, alive: Alive) -> Iterator[Opened]:
        with _descriptor(self.address) as descriptor:
            reader = PipeReader(descriptor, lambda: self._beat() and alive())
            with open_video(self.address, decode, file=reader) as opened:
                yield opened

    def _beat(self) -> bool:
        self.heartbeat = time.monotonic()
        return True


class PipeReader:
    """Bytes of a descriptor, for PyAV. Waits for them only as long as someone wants them; then it looks like the end.

    Standard input that is a file (`< street.mp4`) can seek.
    """

    def __init__(self, descriptor: int, alive: Alive) -> None:
        self._descriptor = descriptor
        self._alive = alive
        self._is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)

    def read(self, size: int) -> bytes:
        while self._alive():
            ready, _, _ = select.select([self._descriptor], [], [], LOOK_UP_SECONDS)
            if ready:
                return os.read(self._descriptor, size)
        return b""

    def seekable(self) -> bool:
        return self._is_file

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)


@contextmanager
def _descriptor(address: Address) -> Iterator[int]:
    if address.location == "-":
        if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
            raise SourceError(
                "source '-' is standard input, and nothing is piped into it: pipe a video, or name a file"
            )
        yield sys.stdin.fileno()
        return
    try:
        descriptor = os.open(address.location, os.O_RDONLY | os.O_NONBLOCK)  # else opening waits for a writer for ever
    except OSError as error:
        raise SourceError(f"cannot open {address.shown!r}: {error.strerror}") from None
    try:
        os.set_blocking(descriptor, True)
        yield descriptor
    finally:
        os.close(descriptor)

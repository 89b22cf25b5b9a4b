"""Files that are never seen half written: replaced as a whole, or grown by whole lines."""

import os
import threading
from collections.abc import Iterable
from io import FileIO
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import SinkError

__all__ = [
    "LineFile",
    "atomic_write",
    "cannot_write",
    "encode_panoptic_png",
    "encode_picture",
    "is_temporary",
    "temporary_path",
]

RUNS_ONLY = (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
"""Runs are what maps and masks consist of: this strategy is the quickest, and smaller than most."""


class LineFile:
    """A file that grows by whole lines. Each `append` is there as a whole, or not at all.

    Writes go to the operating system at once, so that they outlive this process.

    Attributes:
        path: where it is.
        position: bytes in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0
        self._file: FileIO | None = None
        self._torn = False

    def open(self, position: int | None = None) -> None:
        """Empty, or cut to the `position` that an earlier one had; SinkError if it cannot be, or if less is there."""
        try:
            self._file = FileIO(self.path, "w" if position is None else "r+")
            self.position = position or 0
            found = self._file.seek(0, os.SEEK_END)
            if found < self.position:
                raise _lost(self.path, f"holds {found} bytes", self.position)
            self._cut(self._file)
        except OSError as error:
            self._release()
            if isinstance(error, FileNotFoundError) and position is not None:
                raise _lost(self.path, "is gone", position) from None
            raise cannot_write(self.path, error) from None
        except SinkError:
            self._release()
            raise

    def append(self, lines: Iterable[str]) -> None:
        """Write lines, given without their ends.

        Raises:
            SinkError: not all of them could be written; then none of them is there.
        """
        data = "".join(f"{line}\n" for line in lines).encode()
        file = self._file
        if file is None:
            raise SinkError(f"{str(self.path)!r} is closed, expected no more lines: open it again")
        try:
            if self._torn:
                self._cut(file)
            self._torn = True
            _write_all(file, data)
            self.position += len(data)
            self._torn = False
        except OSError as error:
            self._try_to_cut(file)
            raise cannot_write(self.path, error) from None
        except BaseException:  # Ctrl-C in the middle of a line
            self._try_to_cut(file)
            raise

    def close(self) -> None:
        """Let go of the file; more than once does no harm."""
        if self._file is not None and self._torn:
            self._try_to_cut(self._file)
        try:
            self._release()
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def _release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _cut(self, file: FileIO) -> None:
        file.truncate(self.position)
        file.seek(self.position)
        self._torn = False

    def _try_to_cut(self, file: FileIO) -> None:
        """Back to the last whole line; where even that fails, the next `append` begins with it."""
        try:
            self._cut(file)
        except OSError:
            self._torn = True


def atomic_write(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Replace a file by a complete new one, or leave it as it was and raise SinkError."""
    temporary = temporary_path(path)
    try:
        try:
            with temporary.open("wb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise cannot_write(path, error) from None


def temporary_path(path: Path) -> Path:
    """Where a file or folder lies until it is whole: beside it, under a name that no other thread uses."""
    return path.with_name(f".streamseg-{os.getpid()}-{threading.get_native_id()}.tmp")


def is_temporary(path: Path) -> bool:
    """Whether it is what a killed process left behind."""
    return path.name.startswith(".streamseg-") and path.suffix == ".tmp"


def cannot_write(path: Path, error: OSError) -> SinkError:
    """The error that says so."""
    return SinkError(f"cannot write {str(path)!r}: {error.strerror or error}; make room, or choose another --output")


def encode_panoptic_png(ids: npt.NDArray[np.int32]) -> bytes:
    """(H, W) int32 as a PNG whose pixels are id = R + 256 G + 65536 B."""
    blue_green_red = np.stack([(ids >> shift & 0xFF).astype(np.uint8) for shift in (16, 8, 0)], axis=2)
    return encode_picture(".png", blue_green_red, RUNS_ONLY)


def encode_picture(suffix: str, picture: npt.NDArray[np.uint8], options: Iterable[int]) -> bytes:
    """(H, W, 3) BGR or (H, W) as the file format of `suffix`; SinkError where it does not fit in there."""
    size = f"{picture.shape[1]}x{picture.shape[0]} {suffix[1:]}"
    try:
        done, data = cv2.imencode(suffix, picture, list(options))
    except cv2.error as error:
        raise SinkError(f"cannot encode a {size}: {error.err}") from None
    if not done:
        raise SinkError(f"cannot encode a {size}: pictures may be too large")
    return bytes(data.tobytes())


def _write_all(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) or 0 :]


def _lost(path: Path, found: str, expected: int) -> SinkError:
    return SinkError(
        f"{str(path)!r} {found}, expected at least {expected} bytes: it was changed after the run was interrupted; "
        "bring it back, or start again with --overwrite"
    )

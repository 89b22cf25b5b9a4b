"""The folders of one sink in a stream's epochs: `epoch-<n>/<name>/`, with one entry for each frame.

They are cut into parts as files are: the folders that are being written keep their plain name, finished ones get a
number, `epoch-0/panoptic.000001`. A part holds what was written in a stretch of time, in whatever epochs.
"""

import shutil
from contextlib import suppress
from pathlib import Path

from .files import is_temporary
from .rotation import part_number, part_path

__all__ = ["EpochFolders", "block_bytes", "frame_name"]

BLOCK_BYTES = 4096


class EpochFolders:
    """The folders called `name` in the epochs of a stream. Every method may raise OSError.

    Args:
        folder: of the stream.
        name: of the sink's folder in each epoch.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name

    def current(self, epoch: int) -> Path:
        """Where frames of an epoch are written to."""
        return self.folder / f"epoch-{epoch}" / self.name

    def finish(self, number: int) -> None:
        """Give the folders that are being written their number."""
        for folder in self._of_part(None):
            folder.rename(part_path(folder, number))

    def remove(self, number: int) -> None:
        """Remove a finished part."""
        for folder in self._of_part(number):
            _remove(folder)

    def all(self) -> list[Path]:
        """Every folder, epoch by epoch in the order in which they were written."""
        found = [
            (int(epoch.name.removeprefix("epoch-")), part_number(folder) or float("inf"), folder)
            for epoch in self.folder.glob("epoch-[0-9]*")
            for folder in (epoch / self.name, *epoch.glob(f"{self.name}.*"))
            if folder.is_dir()
        ]
        return [folder for *_, folder in sorted(found)]

    def go_back(self, finished: int, last: tuple[int, int] | None) -> bool:
        """Make it as it was when so many parts were finished and `last` (epoch, frame) was the last frame.

        It may be interrupted and called again. False where the part that was being written then has been given up
        since, for its age: nothing of it is left.
        """
        later = sorted({part_number(folder) or 0 for folder in self.all()} - set(range(finished + 1)), reverse=True)
        given_up = bool(later) and later[-1] != finished + 1
        if given_up:
            for folder in self._of_part(None):
                _remove(folder)
        for number in later:
            self._make_current(number) if number == finished + 1 else self.remove(number)
        for folder in self._of_part(None):
            _cut(folder, last)
        return not given_up

    def _make_current(self, number: int) -> None:
        for folder in self._of_part(number):
            current = folder.with_name(self.name)
            if current.exists():
                shutil.rmtree(current)
            folder.rename(current)

    def _of_part(self, number: int | None) -> list[Path]:
        return [folder for folder in self.all() if part_number(folder) == number]


def frame_name(index: int) -> str:
    """What a frame's entry is called, before its suffix; sorted, they are in order."""
    return f"{index:08d}"


def block_bytes(size: int) -> int:
    """What a file takes on disk: small ones take a block all the same."""
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def _cut(folder: Path, last: tuple[int, int] | None) -> None:
    """Remove what belongs to later frames, and what a killed process has left half done."""
    epoch = int(folder.parent.name.removeprefix("epoch-"))
    if last is None or epoch > last[0]:
        _remove(folder)
        return
    for entry in folder.iterdir():
        if is_temporary(entry) or (epoch == last[0] and entry.stem.isdigit() and int(entry.stem) > last[1]):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _remove(folder: Path) -> None:
    shutil.rmtree(folder)
    with suppress(OSError):  # others may have something in this epoch
        folder.parent.rmdir()

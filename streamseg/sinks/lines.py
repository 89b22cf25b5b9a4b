"""A line file of one stream that may be cut into parts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config.sinks import RotationSettings
from .files import LineFile, cannot_write
from .rotation import Parts, part_number, part_path

__all__ = ["RotatingLines"]


class RotatingLines:
    """Lines in `path`, or in numbered parts of it once those are full.

    Args:
        path: of the part that is being written.
        rotation: when parts end and which of them stay; None never cuts.
    """

    def __init__(self, path: Path, rotation: RotationSettings | None) -> None:
        self.path = path
        self._lines = LineFile(path)
        self._parts = Parts(rotation)

    def open(self, state: dict[str, Any] | None) -> None:
        """Afresh, or as it was when `state` returned that; see `Sink.open`."""
        if state is None:
            self._lines.open()
            return
        self._parts.restore(state["parts"])
        try:
            cut_from_here = self._undo_parts()
        except OSError as error:
            raise cannot_write(self.path, error) from None
        kept = cut_from_here and (self._parts.rotation is None or self.path.exists())
        self._lines.open(state["position"] if kept else None)

    def append(self, lines: Sequence[str], seconds: float | None) -> None:
        """Write lines, given without their ends, all or none of them; SinkError where that fails.

        Args:
            lines: they stay together in one part.
            seconds: the stream's own time.
        """
        size = sum(len(line.encode()) + 1 for line in lines)
        if self._parts.due(size, seconds):
            self._rotate()
        self._lines.append(lines)
        self._parts.add(size, seconds)

    def state(self) -> dict[str, Any]:
        """For `open`."""
        return {"position": self._lines.position, "parts": self._parts.state()}

    def close(self) -> None:
        """Let go of the file."""
        self._lines.close()

    def _rotate(self) -> None:
        finished, current = part_path(self.path, self._parts.finished + 1), LineFile(self.path)
        try:
            self.path.rename(finished)
            try:
                current.open()
            except BaseException:
                finished.rename(self.path)
                raise
            self._lines.close()
            self._lines = current
            for number in self._parts.finish():
                part_path(self.path, number).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def _undo_parts(self) -> bool:
        """Make the part current again that was so; False if it has been given up since, for its age."""
        finished = self._parts.finished
        later = sorted(
            number
            for path in self.path.parent.glob(f"{self.path.stem}.*{self.path.suffix}")
            if (number := part_number(path)) is not None and number > finished
        )
        given_up = bool(later) and later[0] != finished + 1
        if given_up:
            self.path.unlink(missing_ok=True)
        for number in reversed(later):  # the part to go on with comes last: until then, this can be done again
            part = part_path(self.path, number)
            part.replace(self.path) if number == finished + 1 else part.unlink()
        return not given_up

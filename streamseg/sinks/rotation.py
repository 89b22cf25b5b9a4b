"""Parts: how what a run without end writes is cut into pieces, and which of them stay.

What is being written keeps its plain name, `records.jsonl`; when it is full it gets a number, `records.000001.jsonl`,
and the plain name begins anew. Time is the stream's own, so that a recording is cut at the same frames in every run.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config.sinks import RotationSettings
from ..frames import FrameResult

__all__ = ["Parts", "active_rotation", "part_number", "part_path", "should_rotate", "stream_seconds", "surplus"]

MEGABYTE = 1_000_000


def active_rotation(rotation: RotationSettings | None, *, live: bool) -> RotationSettings | None:
    """The settings, or the defaults where there are none, if they apply to such an input."""
    rotation = rotation or RotationSettings()
    applies = rotation.when == "always" or (rotation.when == "live" and live)
    return rotation if applies else None


def stream_seconds(result: FrameResult) -> float | None:
    """Where a frame stands in its stream's time: by the wall clock for live input, else by its timestamps."""
    if result.captured_at is not None:
        return result.captured_at.timestamp()
    return None if result.pts_seconds is None else float(result.pts_seconds)


def should_rotate(rotation: RotationSettings, *, size: int, seconds: float) -> bool:
    """Whether a part is full.

    Args:
        rotation: its limits.
        size: bytes that it would hold with the next frame.
        seconds: from its first frame to the next one; negative where a clock was set back.
    """
    full = rotation.megabytes is not None and size > rotation.megabytes * MEGABYTE
    return full or (rotation.seconds is not None and abs(seconds) >= rotation.seconds)


def surplus(rotation: RotationSettings, sizes: Sequence[int]) -> int:
    """How many of the finished parts have to go; `sizes` are their bytes, and the oldest part comes first.

    The newest one always stays: it shows a run that is gone on with that others were there before.
    """
    gone = 0 if rotation.keep is None else max(0, len(sizes) - rotation.keep)
    if rotation.keep_megabytes is not None:
        kept = sum(sizes[gone:])
        while gone < len(sizes) - 1 and kept > rotation.keep_megabytes * MEGABYTE:
            kept -= sizes[gone]
            gone += 1
    return gone


def part_path(path: Path, number: int) -> Path:
    """What a finished part is called: `records.jsonl` and 1 give `records.000001.jsonl`."""
    return path.with_name(f"{path.stem}.{number:06d}{path.suffix}")


def part_number(path: Path) -> int | None:
    """The inverse of `part_path`; None for a path that has no number."""
    stem, _, number = (path.name if not path.suffix or path.suffix[1:].isdigit() else path.stem).rpartition(".")
    return int(number) if stem and number.isdigit() and len(number) >= 6 else None


class Parts:
    """The parts of one sink: what the current one holds, and which finished ones are there.

    It only counts; files are renamed and removed by whoever owns them.

    Args:
        rotation: the limits; None never cuts.
    """

    def __init__(self, rotation: RotationSettings | None) -> None:
        self.rotation = rotation
        self.finished = 0
        self._size = 0
        self._since: float | None = None
        self._kept: list[tuple[int, int]] = []  # number and bytes of finished parts, oldest first

    def due(self, size: int, seconds: float | None) -> bool:
        """Whether the current part has to end before `size` bytes of a frame at `seconds` are written."""
        if self.rotation is None or not self._size:
            return False
        elapsed = 0.0 if seconds is None or self._since is None else seconds - self._since
        return should_rotate(self.rotation, size=self._size + size, seconds=elapsed)

    def add(self, size: int, seconds: float | None) -> None:
        """So many bytes, of a frame at `seconds`, are in the current part."""
        self._size += size
        if self._since is None:
            self._since = seconds

    def finish(self) -> list[int]:
        """The current part has got the number `finished` + 1. Returns the numbers of those that have to go."""
        self.finished += 1
        size, self._size, self._since = self._size, 0, None
        if self.rotation is None or (self.rotation.keep is None and self.rotation.keep_megabytes is None):
            return []  # all of them stay, and nobody has to remember them
        self._kept.append((self.finished, size))
        gone = surplus(self.rotation, [size for _, size in self._kept])
        removed, self._kept = self._kept[:gone], self._kept[gone:]
        return [number for number, _ in removed]

    def state(self) -> dict[str, Any]:
        """As plain values; as small as the number of parts that are kept."""
        return {
            "finished": self.finished,
            "size": self._size,
            "since": self._since,
            "kept": list(map(list, self._kept)),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.finished, self._size, self._since = state["finished"], state["size"], state["since"]
        self._kept = [(number, size) for number, size in state["kept"]]

"""Reading the records of a run back, also of one that was killed, whose last line may be torn."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .folder import RECORDS

__all__ = ["last_record", "whole_lines"]

TAIL_BYTES = 1 << 16


def whole_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file without their ends; a torn last one is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line[:-1]


def last_record(folder: Path) -> tuple[int, int] | None:
    """(epoch, frame) of the last whole record of a stream; None where there is none."""
    try:
        line = _last_line(folder / RECORDS)
    except FileNotFoundError:
        return None
    if line is None:
        return None
    record: dict[str, Any] = json.loads(line)
    return record["epoch"], record["frame"]


def _last_line(path: Path) -> bytes | None:
    """The last line that has an end, read from the back."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        tail = b""
        while len(tail) < size:
            start = max(0, size - len(tail) - TAIL_BYTES)
            file.seek(start)
            tail = file.read(size - len(tail) - start) + tail
            end = tail.rfind(b"\n")
            begin = tail.rfind(b"\n", 0, end) if end > 0 else -1
            if begin >= 0:
                return tail[begin + 1 : end]
        end = tail.rfind(b"\n")
        return tail[:end] if end > 0 else None

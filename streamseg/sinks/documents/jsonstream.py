"""JSON documents written piece by piece."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..files import atomic_write

__all__ = ["json_text", "separated", "write_pieces"]


def json_text(value: Any) -> str:
    """One value, as a document holds it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def separated(values: Iterable[Any]) -> Iterator[str]:
    """The members of a list, each on a line of its own."""
    for number, value in enumerate(values):
        yield (",\n" if number else "") + json_text(value)


def write_pieces(path: Path, pieces: Iterable[str]) -> None:
    """Write a document; it is there as a whole, or not at all. SinkError where that fails."""
    atomic_write(path, (piece.encode("utf-8", "backslashreplace") for piece in pieces))

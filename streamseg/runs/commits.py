"""Commits: how far a stream is, and everything that is needed to go on from there as if nothing had happened."""

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from textwrap import shorten
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..sinks.files import atomic_write
from ..sources.base import Position

__all__ = ["COMMIT", "Commit", "read_commit", "write_commit"]

COMMIT = "commit.npz"
COMMIT_SCHEMA = "streamseg.commit/1"
_ARRAY = "__array__"

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Commit:
    """The state of a stream after one frame.

    Attributes:
        position: the frame.
        kept: frames that were segmented so far, this one included.
        totals: counts up to this frame, as `StreamTotals.to_dict` gives them.
        origin_seconds, last_kept_seconds: of the stream's first frame and of this one, for what `Selection` counts by.
        tracker: what `Tracker.state_dict` returned after this frame.
        sinks: what each sink's `state` returned after this frame, by kind.
        done: the stream has ended, and nothing is left to do.
    """

    position: Position
    kept: int
    totals: Mapping[str, Any]
    origin_seconds: Fraction | None = None
    last_kept_seconds: Fraction | None = None
    tracker: Mapping[str, Any] = field(default_factory=dict)
    sinks: Mapping[str, Any] = field(default_factory=dict)
    done: bool = False


def write_commit(folder: Path, commit: Commit) -> None:
    """Replace the commit of a stream; SinkError where that fails, and the earlier one stays."""
    arrays: Arrays = {}
    document = {
        "schema": COMMIT_SCHEMA,
        "position": [commit.position.index, commit.position.pts_ticks, commit.position.epoch],
        "kept": commit.kept,
        "totals": commit.totals,
        "origin_seconds": _fraction_text(commit.origin_seconds),
        "last_kept_seconds": _fraction_text(commit.last_kept_seconds),
        "tracker": _pack(commit.tracker, arrays, "tracker"),
        "sinks": commit.sinks,
        "done": commit.done,
    }
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(document).encode(), np.uint8)
    np.savez(buffer, document=text, **arrays)  # type: ignore[arg-type]  # keyword arrays, no option among them
    atomic_write(folder / COMMIT, buffer.getvalue())


def read_commit(folder: Path) -> Commit | None:
    """The last commit of a stream; None where there is none. ConfigError where it is damaged."""
    path = folder / COMMIT
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            document = json.loads(arrays["document"].tobytes())
            if document["schema"] != COMMIT_SCHEMA:
                raise ValueError(f"schema {document['schema']!r}")
            return Commit(
                position=Position(*document["position"]),
                kept=document["kept"],
                totals=document["totals"],
                origin_seconds=_fraction(document["origin_seconds"]),
                last_kept_seconds=_fraction(document["last_kept_seconds"]),
                tracker=_unpack(document["tracker"], arrays),
                sinks=document["sinks"],
                done=document["done"],
            )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise ConfigError(
            f"{os.fspath(path)!r} is damaged ({shorten(str(error), 200)}): start anew with --overwrite"
        ) from None


def _fraction_text(value: Fraction | None) -> str | None:
    return None if value is None else str(value)


def _fraction(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(text)


def _pack(value: Any, arrays: Arrays, name: str) -> Any:
    """Plain values stay, arrays move to `arrays` and leave their name behind."""
    if isinstance(value, np.ndarray):
        key = f"{name}#{len(arrays)}"
        arrays[key] = value
        return {_ARRAY: key}
    if isinstance(value, Mapping):
        return {str(key): _pack(item, arrays, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_pack(item, arrays, name) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _unpack(value: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            return arrays[value[_ARRAY]]
        return {key: _unpack(item, arrays) for key, item in value.items()}
    return [_unpack(item, arrays) for item in value] if isinstance(value, list) else value

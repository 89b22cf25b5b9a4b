"""What a run has written, read back line by line: also while it is written, after a kill, and in parts.

A last line without an end is left out: its writer was killed, or is at it. Parts come in the order in which they were
written; those that rotation removes meanwhile are passed over.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..frames import SCHEMA, FrameResult
from ..rle import Rle, encode_map
from ..sinks.annotations import PANOPTIC
from ..sinks.epochs import EpochFolders, frame_name
from ..sinks.rotation import part_number, part_path
from ..tracks import TrackRow
from .folder import RECORDS, TRACKS, RunFolder

__all__ = ["Line", "PanopticPngs", "has_masks", "read_lines", "read_records", "read_results", "read_tracks"]

Record = dict[str, Any]
Ids = npt.NDArray[np.int32]
Choose = Callable[[Record], Literal["keep", "skip", "end"]]

# What a record has to hold for anything to be made of it.
KEYS = {"epoch", "frame", "status", "pts", "size", "segments", "events", "vocabulary"}
SEGMENT_KEYS = {"id", "label", "isthing", "score", "area", "bbox", "state"}


class Line(NamedTuple):
    """One line of a file, and where it stands; the first has number 1."""

    path: Path
    number: int
    text: bytes

    def damaged(self, reason: str) -> ConfigError:
        """The error that says so."""
        return ConfigError(f"line {self.number} of {str(self.path)!r} is damaged: {reason}; remove it, or run again")


def read_lines(path: Path) -> Iterator[Line]:
    """Whole lines of every part of a file, oldest first; nothing where there is none.

    Args:
        path: of the part that is written last, such as `records.jsonl`.
    """
    last = 0
    while True:
        current = _open(path)  # before looking for parts, so that it cannot become one unseen
        number = next((number for number in _part_numbers(path) if number > last), None)
        if number is None:
            break
        if current is not None:
            current.close()
        last = number
        part = part_path(path, number)
        file = _open(part)
        if file is not None:
            yield from _whole(file, part)
    if current is not None:
        yield from _whole(current, path)


def read_records(run: RunFolder, stream: str) -> Iterator[Record]:
    """The records of a stream as plain values, in order.

    Raises:
        ConfigError: at once where there is no such stream, or it has no records; later where a line is damaged.
    """
    return map(_record, read_lines(_existing(run.stream(stream) / RECORDS, "jsonl")))


def read_results(run: RunFolder, stream: str, choose: Choose | None = None) -> Iterator[FrameResult]:
    """The same records with their maps: from the masks in them, or from the panoptic PNGs beside them.

    Args:
        run: its folder.
        stream: name of the stream.
        choose: asked for every record, before its map is made; None keeps them all.

    Raises:
        ConfigError: as `read_records`; or a frame has neither masks nor PNG.
    """
    folder = run.stream(stream)
    return _results(_existing(folder / RECORDS, "jsonl"), PanopticPngs(folder), choose or (lambda _: "keep"))


def read_tracks(run: RunFolder, stream: str) -> Iterator[TrackRow]:
    """The tracks of a stream that have ended; ConfigError as of `read_records`, for a missing file at once."""
    return _tracks(_existing(run.stream(stream) / TRACKS, "jsonl,tracks"))


def has_masks(record: Mapping[str, Any]) -> bool:
    """Whether a record holds the mask of every segment of its frame."""
    return all("mask" in segment for segment in record["segments"])


class PanopticPngs:
    """The maps that the png sink has written of one stream.

    Args:
        folder: of the stream.
    """

    def __init__(self, folder: Path) -> None:
        self._folders = EpochFolders(folder, PANOPTIC)
        self._known: tuple[int, list[Path]] = (-1, [])  # the folders of an epoch

    def find(self, record: Mapping[str, Any]) -> Path | None:
        """The file of a frame, if there is one."""
        epoch, name = record["epoch"], f"{frame_name(record['frame'])}.png"
        if self._known[0] == epoch and (found := _holding(self._known[1], name)):
            return found
        # Another epoch; or rotation has renamed the folders meanwhile.
        self._known = epoch, [path for path in self._folders.all() if path.parent.name == f"epoch-{epoch}"]
        return _holding(self._known[1], name)

    def read(self, record: Mapping[str, Any]) -> Ids:
        """(H, W) int32; ConfigError where there is none, or it cannot be read."""
        path = self.find(record)
        if path is None:
            raise ConfigError(
                f"frame {record['frame']} of epoch {record['epoch']} was recorded without masks, and has no panoptic "
                "PNG either: run again with --save jsonl, or --save jsonl,png"
            )
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        if picture is None:
            raise ConfigError(f"cannot read {str(path)!r}, expected a PNG: it is damaged")
        packed = np.zeros((*picture.shape[:2], 4), np.uint8)
        packed[..., :3] = picture
        return packed.view("<u4")[..., 0].astype(np.int32)

    def masks(self, record: Mapping[str, Any]) -> Mapping[int, Rle] | None:
        """Run lengths by id of segment; None where there is no PNG."""
        return None if self.find(record) is None else encode_map(self.read(record))


def _results(path: Path, pngs: PanopticPngs, choose: Choose) -> Iterator[FrameResult]:
    for line in read_lines(path):
        record = _record(line)
        choice = choose(record)
        if choice == "end":
            return
        if choice == "skip":
            continue
        ids = None if has_masks(record) else pngs.read(record)
        try:
            yield FrameResult.from_json(line.text, panoptic=ids)
        except ConfigError as error:
            raise line.damaged(str(error)) from None


def _tracks(path: Path) -> Iterator[TrackRow]:
    for line in read_lines(path):
        try:
            yield TrackRow.from_json(line.text)
        except ConfigError as error:
            raise line.damaged(str(error)) from None


def _holding(folders: list[Path], name: str) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _existing(path: Path, save: str) -> Path:
    if not path.is_file() and not _part_numbers(path):
        raise ConfigError(f"{str(path.parent)!r} holds no {path.name}: run with --save {save}")
    return path


def _record(line: Line) -> Record:
    try:
        record = json.loads(line.text)
    except ValueError as error:
        raise line.damaged(f"{error}") from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        found = f"schema {record.get('schema')!r}" if isinstance(record, dict) else type(record).__name__
        raise line.damaged(f"{found}, expected a record of schema {SCHEMA!r}")
    for part, keys in ((record, KEYS), *((segment, SEGMENT_KEYS) for segment in record.get("segments") or ())):
        if not isinstance(part, dict) or not keys <= part.keys():
            missing = sorted(keys - part.keys()) if isinstance(part, dict) else sorted(keys)
            raise line.damaged(f"{'it' if part is record else 'a segment'} has no {missing[0]!r}")
    return record


def _part_numbers(path: Path) -> list[int]:
    """Numbers of the finished parts, oldest first."""
    found = (part_number(part) for part in path.parent.glob(f"{path.stem}.*{path.suffix}"))
    return sorted(number for number in found if number is not None)


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}; check its permissions") from None


def _whole(file: BinaryIO, path: Path) -> Iterator[Line]:
    with file:
        for number, text in enumerate(file, start=1):
            if text.endswith(b"\n"):
                yield Line(path, number, text[:-1])

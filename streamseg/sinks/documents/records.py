"""The records of a stream, read back frame by frame, also while they are written or after a kill.

Each epoch is a video of its own: identities hold within it. The first is called like its stream, later ones
`<stream>-epoch-<n>`. Masks come from the records, or where these have none from the panoptic PNGs beside them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import ConfigError, SinkError
from ...frames import SCHEMA
from ...rle import Rle, decode_mask, encode_map
from ...vocabulary import Vocabulary
from ..annotations import PANOPTIC
from ..epochs import EpochFolders, frame_name
from ..rotation import part_number

__all__ = ["Record", "RecordedStream", "Video", "check_names"]

RECORDS = "records.jsonl"

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Video:
    """One epoch of a stream.

    Attributes:
        name: unique within a run.
        epoch: of the stream.
        size_hw: of its maps, in pixels.
        frames: how many records there are.
        first: index of the first frame.
    """

    name: str
    epoch: int
    size_hw: tuple[int, int]
    frames: int
    first: int


@dataclass(frozen=True, slots=True)
class Record:
    """One frame: `values` as in its line, `video` that it belongs to, `position` in it, from 0."""

    values: Mapping[str, Any]
    video: Video
    position: int
    _stream: "RecordedStream"

    @property
    def frame(self) -> int:
        """Index of the frame in its source."""
        return int(self.values["frame"])

    @property
    def name(self) -> str:
        """What its files are called."""
        return frame_name(self.frame)

    @property
    def segments(self) -> Sequence[Mapping[str, Any]]:
        segments: Sequence[Mapping[str, Any]] = self.values["segments"]
        return segments

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the map; of the video's, where a failed frame does not know its own."""
        height, width = self.values["size"] if 0 not in self.values["size"] else self.video.size_hw
        return max(1, height), max(1, width)

    def masks(self) -> Mapping[int, Rle]:
        """Run lengths by id of segment; SinkError where the run kept neither masks nor PNGs."""
        if all("mask" in segment for segment in self.segments):
            return {segment["id"]: segment["mask"] for segment in self.segments}
        return encode_map(self._png_ids())

    def ids(self) -> Ids:
        """(H, W) int32, each pixel's segment; SinkError as `masks`."""
        if not all("mask" in segment for segment in self.segments):
            return self._png_ids()
        ids = np.zeros(self.size_hw, np.int32)
        for segment in self.segments:
            ids[self._decoded(segment)] = segment["id"]
        return ids

    def png(self) -> Path | None:
        """The panoptic PNG that the run has written of it, if there is one."""
        return self._stream.png(self.video.epoch, self.name)

    def _decoded(self, segment: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
        try:
            mask = decode_mask(segment["mask"])
        except ConfigError as error:
            raise SinkError(f"{self._where}, segment {segment['id']}: {error}") from None
        if mask.shape != self.size_hw:
            raise SinkError(
                f"{self._where}, segment {segment['id']}: mask is {mask.shape[1]}x{mask.shape[0]}, expected "
                f"{self.size_hw[1]}x{self.size_hw[0]} as the frame: the record is damaged"
            )
        return mask

    def _png_ids(self) -> Ids:
        path = self.png()
        if path is None:
            raise SinkError(
                f"{self._where} was recorded without masks, expected them or its panoptic PNG: run again with the "
                "jsonl sink's masks: true, or with the png sink"
            )
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise SinkError(f"cannot read {str(path)!r}, expected a PNG: it is damaged")
        blue, green, red = (picture[..., channel].astype(np.int32) for channel in range(3))
        return np.asarray(red | green << 8 | blue << 16, np.int32)

    @property
    def _where(self) -> str:
        return f"frame {self.frame} of {self.video.name!r}"


class RecordedStream:
    """What a run has recorded of one stream.

    Args:
        name: of the stream.
        folder: OUT/<stream>.
        vocabulary: what the run began with; words that came later are taken from the records.

    Attributes:
        torn: files whose last line a killed run has left unfinished; these lines are passed over.
    """

    def __init__(self, name: str, folder: Path, vocabulary: Vocabulary | None = None) -> None:
        self.name = name
        self.folder = folder
        self.vocabulary = vocabulary
        self.torn: set[Path] = set()

    @cached_property
    def videos(self) -> tuple[Video, ...]:
        """Every epoch. Reads all records; SinkError where there are none, or one is damaged."""
        return tuple(self._video(epoch, records) for epoch, records in groupby(self._lines(), _epoch))

    def records(self) -> Iterator[tuple[Video, Iterator[Record]]]:
        """Each video with its frames, in order; the frames of one have to be taken before the next."""
        groups = groupby(self._lines(), _epoch)
        for video, (_, lines) in zip(self.videos, groups, strict=False):  # more may have come since
            yield (
                video,
                (
                    Record(values, video, position, self)
                    for position, values in zip(range(video.frames), lines, strict=False)
                ),
            )

    def png(self, epoch: int, name: str) -> Path | None:
        """The panoptic PNG of a frame, if the run has written one."""
        paths = (folder / f"{name}.png" for folder in self._png_folders.get(epoch, ()))
        return next((path for path in paths if path.is_file()), None)

    @cached_property
    def _png_folders(self) -> Mapping[int, list[Path]]:
        folders: dict[int, list[Path]] = {}
        for folder in EpochFolders(self.folder, PANOPTIC).all():
            folders.setdefault(int(folder.parent.name.removeprefix("epoch-")), []).append(folder)
        return folders

    def _video(self, epoch: int, records: Iterator[Mapping[str, Any]]) -> Video:
        name = self.name if epoch == 0 else f"{self.name}-epoch-{epoch}"
        size_hw, frames, first = (0, 0), 0, 0
        for record in records:
            first = record["frame"] if not frames else first
            size_hw = tuple(record["size"]) if 0 in size_hw else size_hw  # failed frames may not know theirs
            frames += 1
        return Video(name, epoch, size_hw, frames, first)

    def _lines(self) -> Iterator[Mapping[str, Any]]:
        files = _files(self.folder)
        if not files:
            raise SinkError(
                f"{str(self.folder)!r} holds no {RECORDS}, expected the records of a run: run again with the jsonl sink"
            )
        for path in files:
            yield from self._lines_of(path)

    def _lines_of(self, path: Path) -> Iterator[Mapping[str, Any]]:
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if line.endswith(b"\n"):
                        yield _parsed(line, path, number)
                    else:
                        self.torn.add(path)
        except OSError as error:
            raise SinkError(f"cannot read {str(path)!r}: {error.strerror}; check its permissions") from None


def check_names(streams: Iterable[RecordedStream]) -> None:
    """SinkError where two videos would be called alike."""
    names: set[str] = set()
    for video in (video for stream in streams for video in stream.videos):
        if video.name in names:
            raise SinkError(f"two videos would be called {video.name!r}: export one stream at a time, with --stream")
        names.add(video.name)


def _files(folder: Path) -> list[Path]:
    """Finished parts of the records in order, then the current one."""
    stem, suffix = RECORDS.split(".")
    parts = [path for path in folder.glob(f"{stem}.*.{suffix}") if part_number(path) is not None]
    current = folder / RECORDS
    return sorted(parts, key=lambda path: part_number(path) or 0) + ([current] if current.is_file() else [])


def _parsed(line: bytes, path: Path, number: int) -> Mapping[str, Any]:
    try:
        record: dict[str, Any] = json.loads(line)
        if record["schema"] == SCHEMA:
            return record
        found = f"schema {record['schema']!r}"
    except (ValueError, KeyError, TypeError):
        found = "no frame record"
    raise SinkError(f"line {number} of {str(path)!r} is {found}, expected schema {SCHEMA!r}: the file is damaged")


def _epoch(record: Mapping[str, Any]) -> int:
    epoch: int = record["epoch"]
    return epoch

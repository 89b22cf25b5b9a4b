"""Tracks as YouTube-VIS results:

    results.json     [{video_id, category_id, score, segmentations: [run lengths, or null, for each frame]}]
    videos.json      what the ids mean: videos with the names of their frames, and categories

A track that changes its category gives two, as evaluation code expects. Its score is the mean over the frames in which
it is seen. Each frame is laid aside with a pointer to the one before of its track, so that however long the video is,
no more is in memory than an index of its tracks.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from ..files import cannot_write
from .categories import Categories
from .jsonstream import json_text, separated, write_pieces
from .records import Record, RecordedStream

__all__ = ["write_ytvis"]


def write_ytvis(
    streams: Sequence[RecordedStream], folder: Path, categories: Categories, *, stuff: bool = False
) -> None:
    """One document for all videos; SinkError where records cannot be read, or files not written.

    Args:
        streams: of the run.
        folder: existing; where to.
        categories: of the run; those that are found are added.
        stuff: list tracks of stuff too.
    """
    write_pieces(folder / "results.json", _results(streams, folder, categories, stuff))
    write_pieces(folder / "videos.json", _videos(streams, categories))


def _results(streams: Sequence[RecordedStream], folder: Path, categories: Categories, stuff: bool) -> Iterator[str]:
    yield "["
    separator = "\n"
    videos = (group for stream in streams for group in stream.records())
    for number, (video, records) in enumerate(videos, start=1):
        with _Tracks(folder) as tracks:
            for record in records:
                tracks.add(record, categories, stuff)
            for pieces in tracks.entries(number, video.frames):
                yield separator
                yield from pieces
                separator = ",\n"
    yield "\n]\n"


def _videos(streams: Sequence[RecordedStream], categories: Categories) -> Iterator[str]:
    yield '{"videos":[\n'
    videos = (group for stream in streams for group in stream.records())
    for number, (video, records) in enumerate(videos, start=1):
        height, width = video.size_hw
        head = json_text({"id": number, "name": video.name, "width": width, "height": height, "length": video.frames})
        yield f'{"," if number > 1 else ""}{head[:-1]},"file_names":[\n'
        yield from separated(f"{video.name}/{record.name}.jpg" for record in records)
        yield "]}"
    yield f'\n],"categories":{json_text(categories.to_list())}}}\n'


@dataclass(slots=True)
class _Track:
    last: int  # where its latest frame lies in the file, in bytes
    frames: int = 0
    score: float = 0.0  # the sum over its frames


class _Tracks:
    """The tracks of one video; their masks lie in a file without a name (a context manager)."""

    def __init__(self, folder: Path) -> None:
        try:
            self._file: IO[bytes] = TemporaryFile(dir=folder)  # noqa: SIM115 - see __exit__
        except OSError as error:
            raise cannot_write(folder, error) from None
        self._folder = folder
        self._tracks: dict[tuple[int, int], _Track] = {}  # by id and category, in order of appearance

    def __enter__(self) -> "_Tracks":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, record: Record, categories: Categories, stuff: bool) -> None:
        """The next frame."""
        wanted = [segment for segment in record.segments if segment["isthing"] or stuff]
        masks = record.masks() if wanted else {}
        for segment in wanted:
            key = segment["id"], categories.id_of(segment)
            track = self._tracks.setdefault(key, _Track(-1))
            track.last = self._append(track.last, record.position, masks[segment["id"]])
            track.frames += 1
            track.score += segment["score"]

    def entries(self, video_id: int, length: int) -> Iterator[Iterator[str]]:
        """Each track's entry in the document, in pieces."""
        for (_, category_id), track in self._tracks.items():
            yield self._entry(video_id, category_id, track, length)

    def _entry(self, video_id: int, category_id: int, track: _Track, length: int) -> Iterator[str]:
        score = round(track.score / track.frames, 6)
        head = json_text({"video_id": video_id, "category_id": category_id, "score": score})
        yield f'{head[:-1]},"segmentations":['
        offsets = iter(self._offsets(track))
        offset = next(offsets)
        _, position, mask = self._read(offset)
        for frame in range(length):
            separator = "," if frame else ""
            if frame != position:
                yield f"{separator}null"
                continue
            yield f"{separator}{mask}"
            following = next(offsets, None)
            if following is not None:
                _, position, mask = self._read(following)
        yield "]}"

    def _offsets(self, track: _Track) -> list[int]:
        """Where the frames of a track lie, in order: followed back from the last one."""
        offsets, offset = [], track.last
        while offset >= 0:
            offsets.append(offset)
            offset = self._read(offset)[0]
        return offsets[::-1]

    def _append(self, before: int, position: int, mask: Any) -> int:
        try:
            offset = self._file.seek(0, os.SEEK_END)
            self._file.write(f"{before} {position} {json_text(mask)}\n".encode())
        except OSError as error:
            raise cannot_write(self._folder, error) from None
        return offset

    def _read(self, offset: int) -> tuple[int, int, str]:
        self._file.seek(offset)
        before, position, mask = self._file.readline().decode().rstrip("\n").split(" ", 2)
        return int(before), int(position), mask

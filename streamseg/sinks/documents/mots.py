"""Tracks of things as text, for TrackEval's MOTS benchmarks:

    data/<video>.txt     time_frame id class_id img_height img_width rle, one line for each thing in each frame
    seqmap.txt           the names of the videos, below the line "name"
    labels.txt           class_id and label

Frames count from 1 and leave a gap where the input was strided or has dropped some.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..files import cannot_write
from .categories import Categories
from .jsonstream import write_pieces
from .records import Record, RecordedStream

__all__ = ["write_mots"]


def write_mots(streams: Sequence[RecordedStream], folder: Path, categories: Categories) -> None:
    """A file for each video; SinkError where records cannot be read, or files not written."""
    names = []
    try:
        (folder / "data").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from None
    for stream in streams:
        for video, records in stream.records():
            write_pieces(folder / "data" / f"{video.name}.txt", _lines(records, categories))
            names.append(video.name)
    write_pieces(folder / "seqmap.txt", (f"{name}\n" for name in ("name", *names)))
    labels = (f"{category['id']} {category['name']}\n" for category in categories.to_list() if category["isthing"])
    write_pieces(folder / "labels.txt", labels)


def _lines(records: Iterator[Record], categories: Categories) -> Iterator[str]:
    for record in records:
        things = [segment for segment in record.segments if segment["isthing"]]
        masks = record.masks() if things else {}
        for segment in things:
            height, width = masks[segment["id"]]["size"]
            counts = masks[segment["id"]]["counts"]
            yield f"{_time(record)} {segment['id']} {categories.id_of(segment)} {height} {width} {counts}\n"


def _time(record: Record) -> int:
    """The first epoch begins with the source, later ones with their first frame."""
    return record.frame - (record.video.first if record.video.epoch else 0) + 1

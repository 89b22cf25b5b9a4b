"""Panoptic documents, and the folders of PNGs that they speak of: id = R + 256 G + 65536 B, 0 is void.

`vps` is VIPSeg's layout, for the official VPQ and STQ scripts:

    pred.json                        videos, annotations by video, categories
    pan_pred/<video>/<frame>.png

`coco` is COCO's, frame by frame, for panopticapi:

    panoptic.json                    images, annotations, categories
    panoptic/<video>/<frame>.png

PNGs that the run has written are linked, the others are made from the records.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..files import atomic_write, cannot_write, encode_panoptic_png
from .categories import Categories
from .jsonstream import json_text, separated, write_pieces
from .records import Record, RecordedStream, Video

__all__ = ["write_coco", "write_vps"]

SEGMENT_KEYS = ("id", "category_id", "area", "bbox", "score")

Streams = Sequence[RecordedStream]


def write_vps(streams: Streams, folder: Path, categories: Categories) -> None:
    """One document for all videos in VIPSeg's layout; SinkError where records cannot be read, or files not written."""
    write_pieces(folder / "pred.json", _vps_pieces(streams, folder / "pan_pred", categories))


def write_coco(streams: Streams, folder: Path, categories: Categories) -> None:
    """One document for all frames in COCO's panoptic layout; errors as `write_vps`."""
    write_pieces(folder / "panoptic.json", _coco_pieces(streams, folder / "panoptic", categories))


def _vps_pieces(streams: Streams, pngs: Path, categories: Categories) -> Iterator[str]:
    yield '{"videos":[\n'
    yield from _by_video(streams, "images", lambda record: _image(record, record.name, f"{record.name}.jpg"))
    yield '\n],"annotations":[\n'
    yield from _by_video(streams, "annotations", lambda record: _vps_annotation(record, pngs, categories))
    yield f'\n],"categories":{json_text(categories.to_list())}}}\n'


def _by_video(streams: Streams, key: str, entry: Callable[[Record], dict[str, Any]]) -> Iterator[str]:
    """For each video an object with its name, and under `key` an entry for each frame."""
    for number, (video, records) in enumerate(_videos(streams)):
        yield f'{"," if number else ""}{{"video_id":{json_text(video.name)},"{key}":[\n'
        yield from separated(entry(record) for record in records)
        yield "\n]}"


def _coco_pieces(streams: Streams, pngs: Path, categories: Categories) -> Iterator[str]:
    yield '{"images":[\n'
    yield from separated(
        _image(record, number, f"{record.video.name}/{record.name}.jpg") for number, record in _numbered(streams)
    )
    yield '\n],"annotations":[\n'
    yield from separated(_coco_annotation(record, number, pngs, categories) for number, record in _numbered(streams))
    yield f'\n],"categories":{json_text(categories.to_list())}}}\n'


def _videos(streams: Streams) -> Iterator[tuple[Video, Iterator[Record]]]:
    for stream in streams:
        yield from stream.records()


def _numbered(streams: Streams) -> Iterator[tuple[int, Record]]:
    """Every frame of every video, counted from 1."""
    return enumerate((record for _, records in _videos(streams) for record in records), start=1)


def _image(record: Record, id_: int | str, file_name: str) -> dict[str, Any]:
    height, width = record.size_hw
    return {"id": id_, "file_name": file_name, "width": width, "height": height}


def _vps_annotation(record: Record, pngs: Path, categories: Categories) -> dict[str, Any]:
    _place_png(record, pngs / record.video.name / f"{record.name}.png")
    infos = _segments_info(record, categories)
    return {"image_id": record.name, "file_name": f"{record.name}.png", "segments_info": infos}


def _coco_annotation(record: Record, number: int, pngs: Path, categories: Categories) -> dict[str, Any]:
    name = f"{record.video.name}/{record.name}.png"
    _place_png(record, pngs / name)
    return {"image_id": number, "file_name": name, "segments_info": _segments_info(record, categories)}


def _segments_info(record: Record, categories: Categories) -> list[dict[str, Any]]:
    return [
        {key: segment[key] for key in SEGMENT_KEYS} | {"category_id": categories.id_of(segment), "iscrowd": 0}
        for segment in record.segments
    ]


def _place_png(record: Record, path: Path) -> None:
    existing = record.png()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if existing is not None:
            _link(existing, path)
            return
    except OSError as error:
        raise cannot_write(path, error) from None
    atomic_write(path, encode_panoptic_png(record.ids()))


def _link(existing: Path, path: Path) -> None:
    """The same file under another name; a copy where the file system has no links."""
    path.unlink(missing_ok=True)
    try:
        os.link(existing, path)
    except OSError:
        shutil.copyfile(existing, path)

"""Results of single pictures, as files: for `street.jpg`

    street.json            the frame record, one line
    street.panoptic.png    the map, id = R + 256 G + 65536 B
    street.overlay.jpg     the picture with its segments drawn over it

and one `panoptic.json` for the folder, as COCO writes panoptic annotations.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, SinkError
from ..frames import FrameResult
from ..vocabulary import Vocabulary
from .files import atomic_write, encode_panoptic_png, encode_picture, temporary_path

__all__ = ["ImageFolder", "output_names"]

SUFFIXES = (".json", ".panoptic.png", ".overlay.jpg")
PANOPTIC_JSON = "panoptic.json"
JPEG_QUALITY = 92
LONGEST_NAME = 200  # bytes; file systems allow 255, suffixes included


class ImageFolder:
    """A folder that takes the results of single pictures.

    Each file appears whole or not at all. The record is written last: where it is, the rest is there too.

    Args:
        folder: made if it is missing.
        inputs: all pictures of the run; none of them is ever overwritten.
        vocabulary: whose categories `panoptic.json` lists.
        overwrite: replace results of an earlier run.

    Raises:
        ConfigError: a file is in the way.
        SinkError: the folder cannot be written.
    """

    def __init__(
        self, folder: Path, inputs: Sequence[Path], vocabulary: Vocabulary, *, overwrite: bool = False
    ) -> None:
        self.folder = folder
        self.vocabulary = vocabulary
        self._names = dict(zip(inputs, output_names(inputs), strict=True))
        self._written: list[str] = []
        self._refuse_conflicts(overwrite)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = temporary_path(folder / "probe")
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise SinkError(
                f"cannot write to folder {str(folder)!r}: {error.strerror}; choose another --output"
            ) from None

    def name(self, source: Path) -> str:
        """What the result files of a picture are called, before their suffixes."""
        return self._names[source]

    def write(self, source: Path, result: FrameResult, rgb: npt.NDArray[np.uint8]) -> None:
        """Write what is known about one picture; SinkError if that fails."""
        name = self.name(source)
        atomic_write(self.folder / f"{name}.panoptic.png", encode_panoptic_png(result.panoptic))
        atomic_write(self.folder / f"{name}.overlay.jpg", _encode_jpeg(result.plot(rgb)))
        atomic_write(self.folder / f"{name}.json", result.to_json().encode() + b"\n")
        self._written.append(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # After Ctrl-C too, what is done stays usable; but where nothing can be written, one error is enough.
        if kind is None or not issubclass(kind, SinkError):
            self.close()

    def close(self) -> None:
        """Compile `panoptic.json` from the records; nothing is written where there are none."""
        if self._written:
            atomic_write(self.folder / PANOPTIC_JSON, self._panoptic_json())

    def _panoptic_json(self) -> Iterator[bytes]:
        """COCO's document, piece by piece: however many pictures there are, one record is in memory at a time."""
        categories = [{"id": c.id, "name": c.label, "isthing": int(c.isthing)} for c in self.vocabulary.categories]
        yield b'{"images": [\n'
        yield from _separated(_coco_image(number, record) for number, _, record in self._records())
        yield b'\n], "annotations": [\n'
        yield from _separated(_coco_annotation(number, name, record) for number, name, record in self._records())
        yield b'\n], "categories": ' + _json_bytes(categories) + b"}\n"

    def _records(self) -> Iterator[tuple[int, str, dict[str, Any]]]:
        for number, name in enumerate(self._written, start=1):
            path = self.folder / f"{name}.json"
            try:
                yield number, name, json.loads(path.read_bytes())
            except (OSError, ValueError) as error:
                raise SinkError(f"cannot read {str(path)!r} back for {PANOPTIC_JSON}: {error}") from None

    def _refuse_conflicts(self, overwrite: bool) -> None:
        targets = [self.folder / f"{name}{suffix}" for name in self._names.values() for suffix in SUFFIXES]
        targets.append(self.folder / PANOPTIC_JSON)
        existing = [target for target in targets if target.exists()]
        inputs = {source.resolve() for source in self._names} if existing else set()
        for target in existing:
            if target.resolve() in inputs:
                raise ConfigError(f"{str(target)!r} is an input and would be overwritten: choose another --output")
        if existing and not overwrite:
            others = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
            raise ConfigError(
                f"{str(existing[0])!r}{others} holds earlier results: pass --overwrite to replace them, or choose "
                "another --output"
            )


def output_names(sources: Iterable[Path]) -> list[str]:
    """A name for the results of each picture: its stem, numbered from the second picture of the same stem on.

    No two are equal, not even where case does not matter, and none is taken by `panoptic.json`.
    """
    taken = {Path(PANOPTIC_JSON).stem}
    names = []
    for source in sources:
        stem = _shorten(source.stem)
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _encode_jpeg(rgb: npt.NDArray[np.uint8]) -> bytes:
    return encode_picture(".jpg", np.ascontiguousarray(rgb[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def _coco_image(number: int, record: dict[str, Any]) -> dict[str, Any]:
    height, width = record["size"]
    return {"id": number, "file_name": record["stream"], "width": width, "height": height}


def _coco_annotation(number: int, name: str, record: dict[str, Any]) -> dict[str, Any]:
    keys = ("id", "category_id", "area", "bbox", "score")
    segments = [{key: segment[key] for key in keys} | {"iscrowd": 0} for segment in record["segments"]]
    return {"image_id": number, "file_name": f"{name}.panoptic.png", "segments_info": segments}


def _separated(items: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    for position, item in enumerate(items):
        yield (b",\n" if position else b"") + _json_bytes(item)


def _json_bytes(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")


def _shorten(stem: str) -> str:
    return os.fsencode(stem)[:LONGEST_NAME].decode("utf-8", "ignore") if len(os.fsencode(stem)) > LONGEST_NAME else stem

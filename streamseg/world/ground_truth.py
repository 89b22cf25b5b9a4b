"""The world's truth on disk, in the layout of video panoptic data sets.

DIR/panoptic_gt.json                     videos, annotations, categories
DIR/panomasksRGB/<video>/<frame>.png     id = R + 256 G + 65536 B; 0 is void
DIR/images/<video>/<frame>.jpg           pictures, where asked for
DIR/world.jsonl                          per frame: camera, scene, caption, visibility of each thing
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SinkError
from ..rle import measure_map
from ..vocabulary import Vocabulary
from .names import world_vocabulary
from .video import WorldFrame

__all__ = ["GroundTruthWriter"]


class GroundTruthWriter:
    """Writes frame by frame; the one JSON document follows at the end (a context manager).

    However long the video is, one frame is in memory: what the document will say lies in a `.partial` file until then.
    A file has its final name when it is whole. After Ctrl-C the document lists the frames that were written; after any
    other error there is none.

    Args:
        folder: where to; made if need be. An earlier document in it is replaced.
        video: the video's name.
        pictures: write the frames too.

    Raises:
        SinkError: something cannot be written.
    """

    def __init__(self, folder: Path | str, video: str, *, pictures: bool = False) -> None:
        self.folder = Path(folder)
        self.video = video
        self.pictures = pictures
        self.vocabulary = world_vocabulary("shapes")
        self._categories = {category.label: category.id for category in self.vocabulary.categories}
        self._document, self._notes = self.folder / "panoptic_gt.json", self.folder / "world.jsonl"
        try:
            (self.folder / "panomasksRGB" / video).mkdir(parents=True, exist_ok=True)
            if pictures:
                (self.folder / "images" / video).mkdir(parents=True, exist_ok=True)
            for path in (self._document, self._notes):
                path.unlink(missing_ok=True)
            self._frame_lines, self._note_lines = _spool(self._document), _spool(self._notes)
        except OSError as error:
            raise _cannot_write(self.folder, error) from None

    def write(self, frame: WorldFrame) -> None:
        """One frame's mask, and its picture where asked for."""
        name = f"{frame.index:08d}"
        _write_picture(self.folder / "panomasksRGB" / self.video / f"{name}.png", _id_colors(frame.ids))
        if self.pictures:
            _write_picture(self.folder / "images" / self.video / f"{name}.jpg", frame.rgb)
        try:
            _write_line(self._note_lines, _notes(frame))
            _write_line(self._frame_lines, [self._image(name, frame), self._annotation(name, frame)])
        except OSError as error:
            raise _cannot_write(self.folder, error) from None

    def close(self) -> None:
        """The JSON document, out of the lines that were laid aside."""
        if self._frame_lines.closed:
            return
        self._abandon()
        lines, whole = _partial(self._document), self._document.with_suffix(".json.whole")
        try:
            with whole.open("w", encoding="utf-8") as file:
                file.writelines(self._pieces(lines))
            whole.replace(self._document)
            _partial(self._notes).replace(self._notes)
            lines.unlink()
        except OSError as error:
            raise _cannot_write(self._document, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self.close()
        else:
            self._abandon()

    def _abandon(self) -> None:
        """Let go of the open files, which keep their provisional names."""
        try:
            self._frame_lines.close()
            self._note_lines.close()
        except OSError as error:
            raise _cannot_write(self.folder, error) from None

    def _image(self, name: str, frame: WorldFrame) -> dict[str, Any]:
        height, width = frame.ids.shape
        return {"id": name, "width": width, "height": height, "file_name": f"{name}.jpg"}

    def _annotation(self, name: str, frame: WorldFrame) -> dict[str, Any]:
        extents = measure_map(frame.ids)
        segments = [
            {
                "id": segment.id,
                "category_id": self._categories[segment.label],
                "area": extents[segment.id].area,
                "bbox": list(extents[segment.id].bbox),
                "iscrowd": int(segment.iscrowd),
            }
            for segment in frame.segments
        ]
        return {"image_id": name, "file_name": f"{name}.png", "segments_info": segments}

    def _pieces(self, lines: Path) -> Iterator[str]:
        """The document, a frame at a time; the lines are read twice."""
        video = json.dumps(self.video)
        yield f'{{"videos": [{{"video_id": {video}, "images": [\n'
        yield from _separated(image for image, _ in _read_lines(lines))
        yield f'\n]}}], "annotations": [{{"video_id": {video}, "annotations": [\n'
        yield from _separated(annotation for _, annotation in _read_lines(lines))
        yield f'\n]}}], "categories": {json.dumps(_categories(self.vocabulary))}}}\n'


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def _spool(path: Path) -> TextIO:
    return _partial(path).open("w", encoding="utf-8")


def _write_line(file: TextIO, value: object) -> None:
    file.write(json.dumps(value) + "\n")


def _read_lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _separated(values: Iterable[Any]) -> Iterator[str]:
    for number, value in enumerate(values):
        yield (",\n" if number else "") + json.dumps(value)


def _categories(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            "id": category.id,
            "name": category.label,
            "isthing": int(category.isthing),
            "color": [int(value) for value in rng.integers(32, 256, 3)],
        }
        for category in vocabulary.categories
    ]


def _notes(frame: WorldFrame) -> dict[str, Any]:
    camera = frame.camera
    return {
        "frame": frame.index,
        "pts": frame.pts_seconds,
        "scene": frame.scene,
        "is_cut": frame.is_cut,
        "caption": frame.caption,
        "camera": {"x": camera.x, "y": camera.y, "zoom": camera.zoom, "roll": camera.roll},
        "things": [
            {"id": segment.id, "text": segment.text, "visibility": round(segment.visibility, 4)}
            for segment in frame.segments
            if segment.isthing
        ],
    }


def _id_colors(ids: NDArray[np.int32]) -> NDArray[np.uint8]:
    return np.stack((ids & 255, (ids >> 8) & 255, (ids >> 16) & 255), axis=-1).astype(np.uint8)


def _write_picture(path: Path, rgb: NDArray[np.uint8]) -> None:
    done, data = cv2.imencode(path.suffix, np.ascontiguousarray(rgb[..., ::-1]))
    if not done:
        raise SinkError(f"cannot encode {path}: a picture of shape {rgb.shape}")
    partial = _partial(path)
    try:
        partial.write_bytes(data.tobytes())
        partial.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from None


def _cannot_write(path: Path, error: OSError) -> SinkError:
    return SinkError(f"cannot write {path}: {error.strerror}; free some space, or choose another place")

"""The world's truth on disk, in the layout of video panoptic data sets.

DIR/panoptic_gt.json                     videos, annotations, categories
DIR/panomasksRGB/<video>/<frame>.png     id = R + 256 G + 65536 B; 0 is void
DIR/images/<video>/<frame>.jpg           pictures, where asked for
DIR/world.jsonl                          per frame: camera, scene, caption, visibility of each thing
"""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SinkError
from ..vocabulary import Vocabulary
from .names import world_vocabulary
from .snapshot import WorldSegment
from .video import WorldFrame

__all__ = ["GroundTruthWriter"]


class GroundTruthWriter:
    """Writes frame by frame; the one JSON document follows at the end (a context manager).

    Args:
        folder: where to; made if need be.
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
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        try:
            (self.folder / "panomasksRGB" / video).mkdir(parents=True, exist_ok=True)
            if pictures:
                (self.folder / "images" / video).mkdir(parents=True, exist_ok=True)
            self._notes = (self.folder / "world.jsonl").open("w", encoding="utf-8")
        except OSError as error:
            raise _cannot_write(self.folder, error) from None

    def write(self, frame: WorldFrame) -> None:
        """One frame's mask, and its picture where asked for."""
        name = f"{frame.index:08d}"
        _write_picture(self.folder / "panomasksRGB" / self.video / f"{name}.png", _id_colors(frame.ids))
        if self.pictures:
            _write_picture(self.folder / "images" / self.video / f"{name}.jpg", frame.rgb)
        height, width = frame.ids.shape
        self._images.append({"id": name, "width": width, "height": height, "file_name": f"{name}.jpg"})
        segments = [self._segment(segment, frame.ids) for segment in frame.segments]
        self._annotations.append({"image_id": name, "file_name": f"{name}.png", "segments_info": segments})
        try:
            self._notes.write(json.dumps(_notes(frame)) + "\n")
        except OSError as error:
            raise _cannot_write(self.folder / "world.jsonl", error) from None

    def close(self) -> None:
        """The JSON document."""
        document = {
            "videos": [{"video_id": self.video, "images": self._images}],
            "annotations": [{"video_id": self.video, "annotations": self._annotations}],
            "categories": _categories(self.vocabulary),
        }
        path = self.folder / "panoptic_gt.json"
        partial = path.with_suffix(".partial")
        try:
            self._notes.close()
            partial.write_text(json.dumps(document), encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            raise _cannot_write(path, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _segment(self, segment: WorldSegment, ids: NDArray[np.int32]) -> dict[str, Any]:
        here = ids == segment.id
        rows, columns = np.flatnonzero(here.any(1)), np.flatnonzero(here.any(0))
        left, top = int(columns[0]), int(rows[0])
        return {
            "id": segment.id,
            "category_id": self._categories[segment.label],
            "area": segment.area,
            "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
            "iscrowd": int(segment.iscrowd),
        }


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
    done, data = cv2.imencode(path.suffix, rgb[..., ::-1])
    if not done:
        raise SinkError(f"cannot encode {path}: a picture of shape {rgb.shape}")
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise _cannot_write(path, error) from None


def _cannot_write(path: Path, error: OSError) -> SinkError:
    return SinkError(f"cannot write {path}: {error.strerror}; free some space, or choose another place")

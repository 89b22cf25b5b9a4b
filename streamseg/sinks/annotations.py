"""What the pixels of panoptic PNGs mean: laid aside line by line while they are written, compiled into documents later.

    epoch-0/panoptic/00000000.png ...      the PNGs
    epoch-0/panoptic/annotations.jsonl     a line for each of them, and one for the words that they were made with
    epoch-0/panoptic.json                  compiled: one epoch in COCO's panoptic layout
    panoptic.json                          compiled: the whole stream in VIPSeg's layout, each epoch a video

However long the stream is, one frame is in memory at a time.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import SinkError
from ..frames import FrameResult
from ..vocabulary import Vocabulary
from .documents.jsonstream import json_text, separated, write_pieces
from .epochs import EpochFolders, frame_name
from .files import LineFile, is_temporary

__all__ = ["ANNOTATIONS", "PANOPTIC", "AnnotationLines", "compile_documents", "remove_documents"]

PANOPTIC = "panoptic"
ANNOTATIONS = "annotations.jsonl"
SEGMENT_KEYS = ("id", "category_id", "area", "bbox", "score")


class AnnotationLines:
    """The lines beside the PNGs of one folder.

    Args:
        folder: of the PNGs.
    """

    def __init__(self, folder: Path) -> None:
        self._lines = LineFile(folder / ANNOTATIONS)
        self._vocabulary: Vocabulary | None = None
        self._digest = ""  # of the categories that the lines to come are about

    def open(self, state: Mapping[str, Any] | None) -> None:
        """Afresh, or as it was when `state` returned that; see `Sink.open`."""
        self._digest = "" if state is None else state["digest"]
        self._lines.open(None if state is None else state["position"])

    def append(self, result: FrameResult, vocabulary: Vocabulary) -> int:
        """One frame; returns the number of bytes. SinkError where it cannot be written."""
        before = self._lines.position
        segments = [{key: segment.to_dict()[key] for key in SEGMENT_KEYS} for segment in result.segments]
        lines = [json_text({"frame": result.index, "size": list(result.size_hw), "segments": segments})]
        digest = self._digest
        if vocabulary is not self._vocabulary:
            categories = json_text({"categories": _coco_categories(vocabulary)})
            digest = hashlib.sha256(categories.encode()).hexdigest()[:16]
            if digest != self._digest:
                lines.insert(0, categories)
        self._lines.append(lines)
        self._vocabulary, self._digest = vocabulary, digest
        return self._lines.position - before

    def state(self) -> dict[str, Any]:
        """For `open`."""
        return {"position": self._lines.position, "digest": self._digest}

    def close(self) -> None:
        """Let go of the file."""
        self._lines.close()


def compile_documents(folder: Path) -> list[Path]:
    """Compile the documents of a stream from what lies beside its PNGs, also where its run was killed.

    Args:
        folder: of the stream.

    Returns:
        The documents; none where there are no PNGs.

    Raises:
        SinkError: a line cannot be read, or a document cannot be written.
    """
    folders = [part for part in EpochFolders(folder, PANOPTIC).all() if any(_frames(part))]
    written = [folder / f"{PANOPTIC}.json"] if folders else []
    for part in folders:
        document = part.with_name(f"{part.name}.json")
        write_pieces(document, _coco_document(part))
        written.append(document)
    if folders:
        write_pieces(written[0], _vipseg_document(folder, folders))
    return written


def remove_documents(folder: Path) -> None:
    """Remove what `compile_documents` has written, whole or not; OSError where that fails."""
    for place in (folder, *folder.glob("epoch-[0-9]*")):
        for file in place.iterdir():
            if file.is_file() and (is_temporary(file) or file.match(f"{PANOPTIC}*.json")):
                file.unlink(missing_ok=True)


class _Categories:
    """The categories of one document; where words have changed, ids that mean something else change, too."""

    def __init__(self) -> None:
        self._meanings: dict[int, tuple[str, int]] = {}
        self._new_ids: dict[int, int] = {}

    def change(self, listed: Sequence[Mapping[str, Any]]) -> None:
        """From here on, `category_id`s are of this list."""
        known = {meaning: id_ for id_, meaning in reversed(self._meanings.items())}
        for category in listed:
            self._new_ids[category["id"]] = self._place(category["id"], (category["name"], category["isthing"]), known)

    def new_id(self, category_id: int) -> int:
        """What a `category_id` is called in the document."""
        return self._new_ids[category_id]

    def to_list(self) -> list[dict[str, Any]]:
        return [{"id": id_, "name": name, "isthing": isthing} for id_, (name, isthing) in self._meanings.items()]

    def _place(self, id_: int, meaning: tuple[str, int], known: Mapping[tuple[str, int], int]) -> int:
        if self._meanings.get(id_) == meaning:
            return id_
        if meaning in known:
            return known[meaning]
        free = id_ if id_ not in self._meanings else max(self._meanings) + 1
        self._meanings[free] = meaning
        return free


def _coco_document(folder: Path) -> Iterator[str]:
    """One folder of PNGs, piece by piece."""
    categories = _Categories()
    yield '{"images": [\n'
    yield from separated({"id": frame["frame"], **_image(frame)} for frame in _frames(folder))
    yield '\n], "annotations": [\n'
    yield from separated(
        {"image_id": frame["frame"], **_annotation(frame)} for frame in _frames_with(categories, folder)
    )
    yield f'\n], "categories": {json_text(categories.to_list())}}}\n'


def _vipseg_document(stream: Path, folders: Sequence[Path]) -> Iterator[str]:
    """All folders, each a video that is called by its place below the stream's folder."""
    categories = _Categories()
    yield '{"videos": [\n'
    for number, folder in enumerate(folders):
        yield f'{"," if number else ""}{{"video_id": {json_text(_video_id(stream, folder))}, "images": [\n'
        yield from separated({"id": frame_name(frame["frame"]), **_image(frame)} for frame in _frames(folder))
        yield "\n]}"
    yield '\n], "annotations": [\n'
    for number, folder in enumerate(folders):
        yield f'{"," if number else ""}{{"video_id": {json_text(_video_id(stream, folder))}, "annotations": [\n'
        frames = _frames_with(categories, folder)
        yield from separated({"image_id": frame_name(frame["frame"]), **_annotation(frame)} for frame in frames)
        yield "\n]}"
    yield f'\n], "categories": {json_text(categories.to_list())}}}\n'


def _frames(folder: Path) -> Iterator[dict[str, Any]]:
    """The frames of a folder, as they were written."""
    return (line for line in _read_lines(folder / ANNOTATIONS) if "frame" in line)


def _frames_with(categories: _Categories, folder: Path) -> Iterator[dict[str, Any]]:
    """The frames of a folder with the categories of a document, which are kept up."""
    for line in _read_lines(folder / ANNOTATIONS):
        if "frame" not in line:
            categories.change(line["categories"])
            continue
        for segment in line["segments"]:
            segment["category_id"] = categories.new_id(segment["category_id"])
        yield line


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith("\n"):  # a killed process may have left the last one unfinished
                    yield _parsed(line, f"line {number} of {str(path)!r}")
    except OSError as error:
        raise SinkError(f"cannot read {str(path)!r}: {error.strerror}; check its permissions") from None


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(line)
        value.keys()
    except (ValueError, AttributeError):
        raise SinkError(f"{where} is no JSON object, expected a frame's annotation: the file is damaged") from None
    return value


def _image(frame: Mapping[str, Any]) -> dict[str, Any]:
    height, width = frame["size"]
    return {"file_name": f"{frame_name(frame['frame'])}.jpg", "width": width, "height": height}


def _annotation(frame: Mapping[str, Any]) -> dict[str, Any]:
    segments = [{**segment, "iscrowd": 0} for segment in frame["segments"]]
    return {"file_name": f"{frame_name(frame['frame'])}.png", "segments_info": segments}


def _video_id(stream: Path, folder: Path) -> str:
    return folder.relative_to(stream).as_posix()


def _coco_categories(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    return [{"id": c.id, "name": c.label, "isthing": int(c.isthing)} for c in vocabulary.categories]

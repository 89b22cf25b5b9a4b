"""Tracks as text, as the MOTS benchmarks write them:

    <sequence>.txt       time_frame id class_id img_height img_width rle, one line for each object in each frame

in a folder, in its `data/`, or as `<sequence>/gt/gt.txt`. `labels.txt` beside them (class_id and label a line) names
the classes; without it, as published, 1 is car and 2 is pedestrian. Class 10 marks regions to be ignored. What no
object covers is ground that is known to hold none: a prediction there is false.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError, EvaluationError
from ...rle import decode_mask
from ..metrics.panoptic_quality import SegmentInfo
from .sides import Frame, Video

__all__ = ["MotsFolder", "is_mots"]

IGNORED_CLASS = 10
PUBLISHED_LABELS = {1: "car", 2: "pedestrian"}
GROUND = 2**30  # the id of what no object covers: listed nowhere, and not void
METRICS = ("tracking",)
NO_SEQUENCES = {"labels.txt", "seqmap.txt"}


@dataclass(frozen=True, slots=True)
class _Line:
    frame: int
    id: int
    class_id: int
    size_hw: tuple[int, int]
    counts: str
    number: int


def is_mots(path: Path) -> bool:
    """Whether a folder holds sequences as text."""
    return path.is_dir() and bool(_sequences(path))


class MotsFolder:
    """Ground truth or predictions as text; one sequence is in memory at a time.

    Args:
        path: of the folder.
        beside: the predictions, for ground truth: frames that only they list are part of the sequence too.

    Raises:
        EvaluationError: it cannot be read.
    """

    metrics = METRICS
    frame_count = 0  # known when the files are read

    def __init__(self, path: Path, beside: "MotsFolder | None" = None) -> None:
        self.document = path
        self._files = _sequences(path)
        self._beside = beside
        if not self._files:
            raise EvaluationError(f"{path} holds no sequence, expected files <sequence>.txt in the format of MOTS")
        self.labels = _labels(path)
        self.categories = dict.fromkeys(self.labels, True)

    def videos(self) -> Iterator[Video]:
        for name, file in self._files.items():
            frames, others = self._read(name), self._beside._read(name) if self._beside else {}
            lines = [line for lines in (*frames.values(), *others.values()) for line in lines]
            if lines:
                numbers = sorted({line.frame for line in lines})
                yield Video(name, [_frame(file, each, frames.get(each, []), lines[0].size_hw) for each in numbers])

    def follow(self, video: Video) -> Iterator[Frame]:
        if video.name not in self._files:
            raise EvaluationError(
                f"{self.document} has no {video.name}.txt, expected one for each sequence of the ground truth"
            )
        file, frames = self._files[video.name], self._read(video.name)
        for true in video.frames:
            lines = frames.get(int(true.name), [])
            yield _frame(file, int(true.name), lines, lines[0].size_hw) if lines else _empty(true)

    def _read(self, name: str) -> dict[int, list[_Line]]:
        """The lines of a sequence by frame; none where there is no file."""
        frames: dict[int, list[_Line]] = {}
        for line in _lines(self._files[name]) if name in self._files else ():
            frames.setdefault(line.frame, []).append(line)
        return frames


def _frame(file: Path, number: int, lines: Sequence[_Line], size_hw: tuple[int, int]) -> Frame:
    segments = tuple(SegmentInfo(line.id, line.class_id) for line in lines if line.class_id != IGNORED_CLASS)
    return Frame(str(number), segments, partial(_map, file, lines, size_hw))


def _empty(true: Frame) -> Frame:
    """Nothing is predicted."""
    return Frame(true.name, (), lambda: np.zeros_like(true.read()))


def _map(file: Path, lines: Sequence[_Line], size: tuple[int, int]) -> npt.NDArray[np.int32]:
    ids = np.full(size, GROUND, np.int32)
    for line in lines:
        try:
            mask = decode_mask({"size": line.size_hw, "counts": line.counts})
        except ConfigError as error:
            raise EvaluationError(f"line {line.number} of {file}: {error}") from None
        if line.size_hw != size:
            raise EvaluationError(f"line {line.number} of {file} is of size {line.size_hw}, expected {size}")
        if (ids[mask] != GROUND).any():
            raise EvaluationError(
                f"line {line.number} of {file}: object {line.id} covers pixels of another, expected disjoint masks"
            )
        ids[mask] = 0 if line.class_id == IGNORED_CLASS else line.id
    return ids


def _lines(file: Path) -> Iterator[_Line]:
    try:
        with file.open(encoding="utf-8") as text:
            for number, line in enumerate(text, start=1):
                if line.strip():
                    yield _parsed(line, number, file)
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(
            f"cannot read {file} ({type(error).__name__}), expected lines in the format of MOTS"
        ) from None


def _parsed(line: str, number: int, file: Path) -> _Line:
    try:
        frame, id_, class_id, height, width, counts = line.split()
        found = _Line(int(frame), int(id_), int(class_id), (int(height), int(width)), counts, number)
    except ValueError:
        raise EvaluationError(
            f"line {number} of {file} is {line.strip()[:40]!r}, expected: frame id class height width rle"
        ) from None
    if found.id < 1 and found.class_id != IGNORED_CLASS:
        raise EvaluationError(f"line {number} of {file} has id {found.id}, expected ids from 1")
    return found


def _sequences(path: Path) -> dict[str, Path]:
    for files in (path.glob("*.txt"), (path / "data").glob("*.txt")):
        named = {file.stem: file for file in sorted(files) if file.name not in NO_SEQUENCES}
        if named:
            return named
    return {file.parent.parent.name: file for file in sorted(path.glob("*/gt/gt.txt"))}


def _labels(path: Path) -> dict[int, str]:
    file = path / "labels.txt"
    if not file.is_file():
        return dict(PUBLISHED_LABELS)
    labels = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        class_id, _, label = line.partition(" ")
        if not class_id.isdecimal():
            raise EvaluationError(f"{file} holds {line[:40]!r}, expected lines of a class id and a label")
        labels[int(class_id)] = label
    return labels

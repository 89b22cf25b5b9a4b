"""What a segmenter sees of a sequence, frame by frame, kept on disk: trackers are run on it many times.

A file is found by what it depends on: the sequence, the segmenter, and a digest of the first frame with its truth and
its queries, which tells when rendering or the model has changed.
"""

import hashlib
import json
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...errors import EvaluationError
from ...fcclip.classifier import ClassScores
from ...frames import Frame
from ...queries import MaskGeometry, Queries
from ...tracking.cuts import color_histogram, histogram_change
from ...vocabulary import Vocabulary
from ...world.video import WorldFrame
from .scenarios import Sequence

__all__ = ["LooksAt", "SeenFrame", "TrueSegment", "load_or_look", "look"]

FORMAT = 1


class LooksAt(Protocol):
    """What the suite asks of a segmenter."""

    def identity(self) -> Mapping[str, Any]: ...

    def segment(self, frames: list[Frame], vocabulary: Vocabulary) -> list[Queries]: ...

    def class_scores(
        self, in_embedding: Tensor, out_embedding: Tensor, valid: Tensor, vocabulary: Vocabulary
    ) -> ClassScores: ...


@dataclass(frozen=True, slots=True)
class TrueSegment:
    """One segment of the truth: its id in the map, and its category's."""

    id: int
    category_id: int
    isthing: bool


@dataclass(frozen=True, slots=True, eq=False)
class SeenFrame:
    """One frame: the truth of it, and what the segmenter says.

    Attributes:
        index, seconds: its number and time.
        ids: (H, W) int32, the true segment of every pixel; 0 is void.
        segments: the true segments.
        picture_change: `cuts.histogram_change` from the frame before; None for the first.
        queries: what the segmenter says, masks and embeddings in float16.
    """

    index: int
    seconds: Fraction
    ids: npt.NDArray[np.int32]
    segments: tuple[TrueSegment, ...]
    picture_change: float | None
    queries: Queries


def look(sequence: Sequence, segmenter: LooksAt) -> Iterator[SeenFrame]:
    """Segment a sequence, frame by frame."""
    before: npt.NDArray[np.float32] | None = None
    for index in range(len(sequence.video)):
        seen, before = _look_at(sequence, segmenter, index, before)
        yield seen


def load_or_look(sequence: Sequence, segmenter: LooksAt, folder: Path | None) -> list[SeenFrame]:
    """The frames of a sequence (a hundred small ones at most), from the folder if they are there.

    Raises:
        EvaluationError: the folder cannot be written, or a file in it is damaged.
    """
    if folder is None:
        return list(look(sequence, segmenter))
    path = folder / f"{sequence.name}-{_digest(sequence, segmenter)}.pt"
    if path.exists():
        return _read(path)
    frames = list(look(sequence, segmenter))
    _write(path, frames)
    return frames


def _look_at(
    sequence: Sequence, segmenter: LooksAt, index: int, before: npt.NDArray[np.float32] | None
) -> tuple[SeenFrame, npt.NDArray[np.float32]]:
    """One frame, and its histogram."""
    truth = sequence.video.frame(index)
    rgb = truth.rgb
    rgb.flags.writeable = False
    fps = sequence.video.fps
    frame = Frame(rgb, index, "world", pts_ticks=index, time_base=1 / fps)
    histogram = color_histogram(rgb)
    (queries,) = segmenter.segment([frame], _vocabulary(sequence.vocabulary_of(index)))
    ids, segments = _truth(truth, sequence.truth)
    change = None if before is None else histogram_change(before, histogram)
    return SeenFrame(index, index / fps, ids, segments, change, queries.compact()), histogram


def _truth(frame: WorldFrame, vocabulary: str) -> tuple[npt.NDArray[np.int32], tuple[TrueSegment, ...]]:
    """The true map and its segments. Crowds become void: they have no identities."""
    categories = _category_ids(vocabulary)
    crowds = [segment.id for segment in frame.segments if segment.iscrowd]
    ids = np.where(np.isin(frame.ids, crowds), 0, frame.ids).astype(np.int32)
    segments = tuple(
        TrueSegment(segment.id, categories[segment.label], segment.isthing)
        for segment in frame.segments
        if not segment.iscrowd
    )
    return ids, segments


@cache
def _vocabulary(name: str) -> Vocabulary:
    return Vocabulary.load(name)


@cache
def _category_ids(vocabulary: str) -> dict[str, int]:
    return {category.label: category.id for category in _vocabulary(vocabulary).categories}


def _digest(sequence: Sequence, segmenter: LooksAt) -> str:
    """Of everything that the frames depend on."""
    first, _ = _look_at(sequence, segmenter, 0, None)
    video = sequence.video
    facts = [FORMAT, sequence.name, video.seed, str(video.fps), len(video), sequence.vocabularies, sequence.recipe]
    known = json.dumps([*facts, dict(segmenter.identity())], sort_keys=True).encode()
    arrays = (first.ids, first.queries.mask_logits.cpu().numpy(), first.queries.query_embedding.cpu().numpy())
    return hashlib.sha256(known + b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]


def _write(path: Path, frames: list[SeenFrame]) -> None:
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save([_packed(frame) for frame in frames], partial)
        partial.replace(path)
    except OSError as error:
        raise EvaluationError(f"cannot write {path}: {error.strerror}; choose another folder with --cache") from None


def _read(path: Path) -> list[SeenFrame]:
    try:
        return [_unpacked(packed) for packed in torch.load(path, weights_only=True)]
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise EvaluationError(f"cannot read {path} ({reason}), expected what an earlier run kept: delete it") from None


def _packed(frame: SeenFrame) -> dict[str, Any]:
    queries = frame.queries
    tensors = {name: value.cpu() for name, value in _fields(queries).items() if isinstance(value, Tensor)}
    geometry = queries.geometry
    return {
        "index": frame.index,
        "seconds": (frame.seconds.numerator, frame.seconds.denominator),
        "ids": torch.from_numpy(frame.ids),
        "segments": [(segment.id, segment.category_id, segment.isthing) for segment in frame.segments],
        "picture_change": frame.picture_change,
        "vocabulary": queries.vocabulary.name,
        "geometry": (geometry.padded_hw, geometry.resized_hw, geometry.output_hw),
        "tensors": tensors,
    }


def _unpacked(packed: Mapping[str, Any]) -> SeenFrame:
    return SeenFrame(
        packed["index"],
        Fraction(*packed["seconds"]),
        packed["ids"].numpy(),
        tuple(TrueSegment(*segment) for segment in packed["segments"]),
        packed["picture_change"],
        Queries(_vocabulary(packed["vocabulary"]), MaskGeometry(*packed["geometry"]), **packed["tensors"]),
    )


def _fields(queries: Queries) -> dict[str, Any]:
    return {field.name: getattr(queries, field.name) for field in fields(queries)}

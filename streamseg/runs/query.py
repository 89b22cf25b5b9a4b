"""Finding tracks by words that nobody had in mind when the run was made, from `tracks.jsonl` alone.

Each track carries the means of its two embeddings, so the model's own classifiers can be asked again: the words of the
query compete with the vocabulary that the model was trained on, and the geometric ensemble (FC-CLIP, equation 7) says
how probable they are. A track's score is the published class score,

    p(query | query and training vocabulary) x (1 - p_void),

the share of belief that the query takes from everything else the track could be, or from being nothing.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import ConfigError, VocabularyError
from ..fcclip.classifier import ClassScores
from ..segmenter import Segmenter
from ..tracks import TrackRow
from ..vocabulary import Vocabulary
from .folder import RunFolder
from .reader import read_tracks

__all__ = ["Answer", "ClassifiesEmbeddings", "load_model", "parse_query", "query_tracks", "tracks_of"]

BATCH = 1024
DIGITS = 6


class ClassifiesEmbeddings(Protocol):
    """What is asked of a `Segmenter`."""

    training_vocabulary: Vocabulary
    device: torch.device

    @property
    def spec(self) -> Any: ...

    def class_scores(
        self, in_embedding: Tensor, out_embedding: Tensor, valid: Tensor, vocabulary: Vocabulary
    ) -> ClassScores: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A track, and how well the words fit."""

    score: float
    stream: str
    track: TrackRow

    @property
    def label(self) -> str:
        """What the run called it last; empty where it never did."""
        return self.track.labels[-1].label if self.track.labels else ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the embeddings."""
        track = self.track
        return {
            "score": round(self.score, DIGITS),
            "stream": self.stream,
            "epoch": track.epoch,
            "id": track.id,
            "label": self.label,
            "isthing": track.isthing,
            "confirmed": track.confirmed,
            "first_frame": track.first_frame,
            "last_frame": track.last_frame,
            "first_pts": track.first_pts,
            "last_pts": track.last_pts,
            "frames": track.frames,
        }


def tracks_of(run: RunFolder, streams: Sequence[str]) -> Iterator[tuple[str, TrackRow]]:
    """Every track that has ended, with the name of its stream; ConfigError at once where one has no tracks.jsonl."""
    opened = [(name, read_tracks(run, name)) for name in streams]
    return chain.from_iterable(((name, row) for row in rows) for name, rows in opened)


def parse_query(words: str) -> Vocabulary:
    """One category as vocabularies write it: "red car", or with synonyms "car, automobile"; VocabularyError else."""
    vocabulary = Vocabulary.parse(words, name="query")
    if len(vocabulary) != 1:
        raise VocabularyError(
            f"query {words!r} names {len(vocabulary)} categories, expected one: ask for them one by one, or put ',' "
            "between synonyms"
        )
    return vocabulary


def query_tracks(
    tracks: Iterable[tuple[str, TrackRow]],
    query: Vocabulary,
    model: ClassifiesEmbeddings,
    *,
    top: int = 10,
    tentative: bool = False,
) -> list[Answer]:
    """The tracks that fit best, best first; memory does not grow with their number.

    Args:
        tracks: of `tracks_of`.
        query: of `parse_query`.
        model: that of the run.
        top: at most so many.
        tentative: tracks that were never confirmed take part, too.

    Raises:
        ConfigError: embeddings are not of this model, or a line is damaged.
    """
    asked = ((name, row) for name, row in tracks if (row.confirmed or tentative) and row.clip_embedding.size)
    answers = _answers(asked, model, query.with_background(model.training_vocabulary))
    return heapq.nsmallest(top, answers, key=_rank)


def load_model(
    run: RunFolder,
    *,
    model: str | None = None,
    weights: str | None = None,
    clip: str | None = None,
    progress: bool = True,
) -> Segmenter:
    """The model of a run, as `run.json` names it, on the best device there is.

    Args:
        run: its folder.
        model, weights, clip: instead of what `run.json` says, for files that have moved.
        progress: show bars.

    Raises:
        ConfigError: `run.json` names no model, or the weights are not those of the run.
        WeightsError: the model cannot be filled.
    """
    settings = run.manifest.get("settings", {}).get("model", {})
    identity = run.manifest.get("identity", {}).get("segmenter", {})
    name = model or identity.get("model") or settings.get("name")
    if name is None:
        raise ConfigError(f"{str(run.path)!r} does not say which model it was made with: name it with --model")
    precision = identity.get("precision", "auto")
    if precision == "fp16" and not torch.cuda.is_available():
        precision = "fp32"
    segmenter = Segmenter.load(
        name,
        weights=weights or settings.get("weights"),
        clip=clip or settings.get("clip"),
        precision=precision,
        progress=progress,
    )
    if segmenter.precision == identity.get("precision"):  # weights that were cast have another fingerprint
        _check_same_weights(segmenter, identity)
    return segmenter


def _check_same_weights(segmenter: Segmenter, expected: dict[str, Any]) -> None:
    found = segmenter.identity()
    if (found["model"], found["weights"]) != (expected["model"], expected["weights"]):
        raise ConfigError(
            f"the weights of {found['model']} ({found['weights']}) are not those of the run, {expected['model']} "
            f"({expected['weights']}): name the right file with --weights"
        )


def _answers(
    rows: Iterable[tuple[str, TrackRow]], model: ClassifiesEmbeddings, vocabulary: Vocabulary
) -> Iterator[Answer]:
    rows = iter(rows)
    while batch := list(islice(rows, BATCH)):
        for name, row in batch:
            _check_width(row, name, model)
        inside = _stack([row.in_vocabulary_embedding for _, row in batch], model.device)
        clip = _stack([row.clip_embedding for _, row in batch], model.device)
        scores = model.class_scores(inside, clip, (clip != 0).any(-1), vocabulary)
        share = scores.log_scores[:, 0].exp() * (1 - scores.void_probability)
        for (name, row), score in zip(batch, share.tolist(), strict=True):
            yield Answer(score, name, row)


def _check_width(row: TrackRow, stream: str, model: ClassifiesEmbeddings) -> None:
    found, expected = {row.in_vocabulary_embedding.size, row.clip_embedding.size}, model.spec.embed_dim
    if found != {expected}:
        raise ConfigError(
            f"track {row.id} of stream {stream!r} has embeddings of {max(found)} numbers, expected {expected} as "
            f"{model.spec.name} makes them: name the model of the run with --model"
        )


def _stack(embeddings: Sequence[npt.NDArray[np.float16]], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(embeddings).astype(np.float32)).to(device)


def _rank(answer: Answer) -> tuple[float, str, int, int]:
    return -answer.score, answer.stream, answer.track.epoch, answer.track.id

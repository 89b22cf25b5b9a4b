"""Queries through an associator and the published merge, to maps; every method in the same way."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...panoptic import panoptic_from_association
from ...queries import Queries
from ...tracking.association import Association, Associator, Classify
from ...tracking.observation import observe, published_keep
from ...vocabulary import Vocabulary
from .queries import LooksAt, SeenFrame

__all__ = ["Build", "FoundSegment", "MapFrame", "follow", "follow_truth"]

TRUE_OVERLAP = 0.5  # of a query's mask with a true segment, for the query to show it

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class FoundSegment:
    """One segment of a result: its id, and its label with the vocabulary's word for it."""

    id: int
    label: str
    isthing: bool


@dataclass(frozen=True, slots=True, eq=False)
class MapFrame:
    """One result: (H, W) int32 ids, 0 for void, and the segments in it."""

    ids: Ids
    segments: tuple[FoundSegment, ...]
    events: tuple[str, ...] = ()


Build = Callable[[Vocabulary], Associator]


def follow(frames: Iterable[SeenFrame], build: Build, segmenter: LooksAt) -> Iterator[MapFrame]:
    """Associate and merge, as `pipeline.tracker.Tracker` does.

    Args:
        frames: of one sequence, in order.
        build: makes the associator, for the first frame's vocabulary.
        segmenter: whose queries these are.
    """
    associator: Associator | None = None
    vocabulary: Vocabulary | None = None
    for seen in frames:
        queries = widened(seen.queries)
        if associator is None:
            associator = build(queries.vocabulary)
        elif vocabulary is not None and queries.vocabulary != vocabulary:
            associator.change_vocabulary(queries.vocabulary, _classify_with(segmenter, queries.vocabulary))
        vocabulary = queries.vocabulary
        association = associator.update(
            queries, frame=seen.index, seconds=seen.seconds, picture_change=seen.picture_change
        )
        yield _merged(queries, association)


def follow_truth(frames: Iterable[SeenFrame]) -> Iterator[MapFrame]:
    """What perfect identities would make of the same queries: every query bears the id of what it shows.

    Labels are those of single frames. What is missed or misshapen stays so; nobody can do better by association alone.
    """
    for seen in frames:
        queries = widened(seen.queries)
        yield _merged(queries, _true_association(queries, seen))


def widened(queries: Queries) -> Queries:
    """The same queries, all of them in float32."""
    return replace(
        queries,
        mask_logits=queries.mask_logits.float(),
        in_vocabulary_embedding=queries.in_vocabulary_embedding.float(),
        out_of_vocabulary_embedding=queries.out_of_vocabulary_embedding.float(),
        query_embedding=queries.query_embedding.float(),
        pixel_feature=queries.pixel_feature.float(),
    )


def _classify_with(segmenter: LooksAt, vocabulary: Vocabulary) -> Classify:
    def classify(in_embedding: Tensor, out_embedding: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        scores = segmenter.class_scores(in_embedding, out_embedding, valid, vocabulary)
        return scores.log_scores, scores.void_probability

    return classify


def _merged(queries: Queries, association: Association) -> MapFrame:
    merged = panoptic_from_association(
        queries, keep=association.keep, labels=association.labels, scores=association.scores, ids=association.ids
    )
    segments = tuple(FoundSegment(segment.id, segment.label, segment.isthing) for segment in merged.segments)
    return MapFrame(merged.ids, segments, association.events)


def _true_association(queries: Queries, seen: SeenFrame) -> Association:
    """Of the queries that show one true segment, the likeliest bears its id."""
    if len(queries) == 0:
        nothing = torch.zeros(0, dtype=torch.int64)
        return Association(np.zeros(0, np.int64), nothing, nothing.float(), nothing.bool(), {})
    looked = observe(queries)
    shown = _shown(queries, seen)
    ids = np.zeros(len(queries), np.int64)
    taken: set[int] = set()
    stuff = {segment.id for segment in seen.segments if not segment.isthing}
    for query in torch.argsort(looked.score, descending=True, stable=True).tolist():
        if shown[query] not in taken or shown[query] in stuff:
            ids[query] = shown[query]
            taken.add(int(shown[query]))
    return Association(ids, looked.label, looked.score, published_keep(queries), {})


def _shown(queries: Queries, seen: SeenFrame) -> npt.NDArray[Any]:
    """(N,) the true segment that each query overlaps best, by intersection over union; 0 for none."""
    height, width = queries.mask_logits.shape[-2:]
    small = seen.ids[2::4, 2::4][:height, :width]
    known = np.array([segment.id for segment in seen.segments], np.int64)
    if len(known) == 0:
        return np.zeros(len(queries), np.int64)
    truth = torch.from_numpy((small[None] == known[:, None, None]).reshape(len(known), -1)).float()
    rows, columns = small.shape
    masks = (queries.mask_logits[:, :rows, :columns] > 0).flatten(1).float()
    common = masks @ truth.T
    union = masks.sum(1)[:, None] + truth.sum(1)[None] - common
    overlap, best = (common / union.clamp(min=1)).max(1)
    return np.where(overlap.numpy() >= TRUE_OVERLAP, known[best.numpy()], 0)

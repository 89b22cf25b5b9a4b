"""Scores of a model on pictures of the procedural world, where truth is exact and nothing is left to annotate.

Three sets of pictures, by what training has shown of their things: compositions that it met, compositions that it did
not (of shapes that it met), and shapes that it never met. Each is scored under two vocabularies: plain shapes ("car"),
and pairs of colour and shape ("red car").

All of it comes from one image pass per picture. Vocabularies, and the ways to weigh the two classifiers against each
other (FC-CLIP, arXiv 2308.02487, equation 7), cost a class step and a panoptic merge each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from ...errors import ConfigError
from ...fcclip.classifier import class_logits, geometric_ensemble
from ...panoptic import PanopticMap, panoptic_from_queries
from ...queries import Queries
from ...segmenter import Segmenter
from ...vocabulary import Vocabulary
from ...world.names import world_vocabulary
from ...world.renderer import RenderedWorld
from ...world.snapshot import WorldSegment
from ...world.stills import render_still
from ..metrics.agreement import Agreement, MapAgreement
from ..metrics.panoptic_quality import GroupQuality, PanopticQuality, PanopticScores, SegmentInfo

__all__ = [
    "IN_VOCABULARY",
    "OUT_OF_VOCABULARY",
    "POOLS",
    "VOCABULARIES",
    "Ensemble",
    "PoolScores",
    "Tuning",
    "ground_truth",
    "part_of",
    "present_things",
    "score_pool",
    "seeds_of",
    "tune_ensemble",
    "unseen_categories",
]

# Stills of these seeds are for evaluation alone: training draws its pictures in a namespace of its own, and what is
# chosen by looking at scores is chosen on tuning seeds, which no reported score uses.
TUNING_SEEDS_FROM = 1_000_000_000
TEST_SEEDS_FROM = 2_000_000_000
MAX_PICTURES = 100_000  # of one pool
MAX_SEED = 999

SIZE_HW = (256, 448)
GRID = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

WorldPool = Literal["seen", "unseen", "unseen-shapes"]
VocabularyKind = Literal["shapes", "colors"]
POOLS: tuple[WorldPool, ...] = ("seen", "unseen", "unseen-shapes")
VOCABULARIES: tuple[VocabularyKind, ...] = ("shapes", "colors")

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Weight of the out-of-vocabulary classifier: alpha for seen categories, beta for unseen ones."""

    alpha: float
    beta: float


IN_VOCABULARY = Ensemble(0.0, 0.0)
OUT_OF_VOCABULARY = Ensemble(1.0, 1.0)

Scores = dict[tuple[VocabularyKind, Ensemble], PanopticScores]


@dataclass(frozen=True, slots=True, eq=False)
class PoolScores:
    """What one pool of pictures gave.

    Attributes:
        scores: by vocabulary and ensemble.
        other_scores: of the second segmenter, under the first ensemble; empty where there was none.
        agreement: of the two segmenters' maps under the first ensemble, by vocabulary; empty where there was one.
    """

    scores: Scores
    other_scores: Mapping[VocabularyKind, PanopticScores] = field(default_factory=dict)
    agreement: Mapping[VocabularyKind, Agreement] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tuning:
    """A grid search over ensembles.

    Attributes:
        best: the ensemble with the highest mean.
        means: mean PQ over pools and vocabularies, by ensemble.
    """

    best: Ensemble
    means: Mapping[Ensemble, float]


def seeds_of(purpose: Literal["tuning", "test"], pool: WorldPool, *, seed: int, pictures: int) -> range:
    """The seeds of a pool's stills; no two of purpose, pool and seed share any.

    Raises:
        ConfigError: `seed` or `pictures` is out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"seed is {seed}, expected 0 to {MAX_SEED}")
    if not 1 <= pictures <= MAX_PICTURES:
        raise ConfigError(f"{pictures} pictures, expected 1 to {MAX_PICTURES}")
    start = TUNING_SEEDS_FROM if purpose == "tuning" else TEST_SEEDS_FROM
    start += (seed * len(POOLS) + POOLS.index(pool)) * MAX_PICTURES
    return range(start, start + pictures)


def score_pool(
    segmenter: Segmenter,
    pool: WorldPool,
    seeds: Sequence[int],
    ensembles: Sequence[Ensemble],
    *,
    other: Segmenter | None = None,
    progress: Progress | None = None,
) -> PoolScores:
    """Render, segment and score the stills of some seeds, a batch in memory at a time.

    Args:
        segmenter: keeps all queries (`min_objectness=0`), since what is worth keeping depends on the vocabulary.
        pool: what things the pictures show.
        seeds: of `seeds_of`.
        ensembles: at least one.
        other: a second segmenter for the same pictures, such as the same model in another precision.
        progress: called as progress(done, total) with numbers of pictures.

    Raises:
        ConfigError: a segmenter drops queries.
    """
    board = _Board(segmenter, ensembles)
    other_board = _Board(other, ensembles[:1]) if other else None
    agreement = {kind: MapAgreement() for kind in VOCABULARIES}
    for start in range(0, len(seeds), segmenter.max_batch):
        stills = [render_still(seed, size_hw=SIZE_HW, things=pool) for seed in seeds[start:][: segmenter.max_batch]]
        maps = board.add(stills)
        for first, second in zip(maps, other_board.add(stills) if other_board else (), strict=other_board is not None):
            for kind in VOCABULARIES:
                agreement[kind].add(first[kind], second[kind])
        if progress is not None:
            progress(start + len(stills), len(seeds))
    if other_board is None:
        return PoolScores(board.result())
    other_scores = {kind: scores for (kind, _), scores in other_board.result().items()}
    return PoolScores(board.result(), other_scores, {kind: agreement[kind].result() for kind in VOCABULARIES})


def tune_ensemble(
    segmenter: Segmenter, *, seed: int, pictures: int, grid: Sequence[float] = GRID, progress: Progress | None = None
) -> Tuning:
    """Choose alpha and beta by the mean of PQ (all categories) over pools and vocabularies, on tuning seeds.

    Args:
        segmenter: as for `score_pool`.
        seed: which tuning pictures.
        pictures: of each pool.
        grid: values to try for both weights.
        progress: called as progress(done, total) with numbers of pictures.
    """
    ensembles = [Ensemble(alpha, beta) for alpha, beta in product(grid, grid)]
    found: dict[Ensemble, list[float]] = {ensemble: [] for ensemble in ensembles}
    for number, pool in enumerate(POOLS):
        seeds = seeds_of("tuning", pool, seed=seed, pictures=pictures)
        report = part_of(progress, number * pictures, len(POOLS) * pictures)
        for (_, ensemble), scores in score_pool(segmenter, pool, seeds, ensembles, progress=report).scores.items():
            found[ensemble].append(scores.all.pq if scores.all else 0.0)
    means = {ensemble: float(np.mean(values)) for ensemble, values in found.items()}
    return Tuning(max(means, key=lambda ensemble: means[ensemble]), means)


def part_of(progress: Progress | None, start: int, total: int) -> Progress | None:
    """What a part of some work reports to, when it begins at `start` of `total`."""
    if progress is None:
        return None
    report = progress
    return lambda done, _: report(start + done, total)


def ground_truth(
    still: RenderedWorld, vocabulary: Vocabulary, kind: VocabularyKind
) -> tuple[npt.NDArray[np.int32], list[SegmentInfo]]:
    """A still's truth in the words of a vocabulary.

    A crowd is one segment of one shape in many colours: among pairs of colour and shape it has no category and is void.
    """
    category_ids = {category.label: category.id for category in vocabulary.categories}
    named = [segment for segment in still.segments if kind == "shapes" or not segment.iscrowd]
    segments = [SegmentInfo(entry.id, category_ids[_label(entry, kind)], entry.iscrowd) for entry in named]
    listed = np.isin(still.ids, [segment.id for segment in segments])
    return np.where(listed, still.ids, 0), segments


def present_things(scores: PanopticScores) -> GroupQuality | None:
    """Means over the things that the pictures hold; those that were only predicted, and count as 0, are left out."""
    return scores.over(key for key, entry in scores.per_class.items() if entry.in_ground_truth and scores.isthing[key])


def unseen_categories(scores: PanopticScores, segmenter: Segmenter, kind: VocabularyKind) -> GroupQuality | None:
    """Means over what the pictures hold of categories whose names training never used."""
    vocabulary = world_vocabulary(kind)
    seen = segmenter.text_classifier(vocabulary).seen.tolist()
    unseen = [category.id for category, known in zip(vocabulary.categories, seen, strict=True) if not known]
    return scores.over(key for key in unseen if scores.per_class[key].in_ground_truth)


class _Board:
    """The scores of one segmenter: a count for each vocabulary and ensemble."""

    def __init__(self, segmenter: Segmenter, ensembles: Sequence[Ensemble]) -> None:
        if segmenter.min_objectness > 0:
            raise ConfigError(
                f"the segmenter's min_objectness is {segmenter.min_objectness}, expected 0: load it with "
                "min_objectness=0, since each vocabulary chooses among all queries"
            )
        self.segmenter = segmenter
        self.ensembles = tuple(ensembles)
        self.vocabularies = {kind: world_vocabulary(kind) for kind in VOCABULARIES}
        self.counts = {
            (kind, ensemble): PanopticQuality({entry.id: entry.isthing for entry in vocabulary.categories})
            for kind, vocabulary in self.vocabularies.items()
            for ensemble in self.ensembles
        }

    def add(self, stills: Sequence[RenderedWorld]) -> list[dict[VocabularyKind, PanopticMap]]:
        """Score a batch; returns each picture's maps under the first ensemble."""
        queries = self.segmenter.segment([still.rgb for still in stills], self.vocabularies["shapes"])
        return [self._add(still, entry) for still, entry in zip(stills, queries, strict=True)]

    def _add(self, still: RenderedWorld, queries: Queries) -> dict[VocabularyKind, PanopticMap]:
        first_maps: dict[VocabularyKind, PanopticMap] = {}
        for kind, vocabulary in self.vocabularies.items():
            truth, segments = ground_truth(still, vocabulary, kind)
            variants = _class_steps(self.segmenter, queries, vocabulary, self.ensembles)
            for ensemble, variant in zip(self.ensembles, variants, strict=True):
                found = panoptic_from_queries(variant)
                guesses = [SegmentInfo(entry.id, entry.category_id) for entry in found.segments]
                self.counts[kind, ensemble].add(truth, segments, found.ids, guesses)
                first_maps.setdefault(kind, found)
        return first_maps

    def result(self) -> Scores:
        return {key: quality.result() for key, quality in self.counts.items()}


@torch.inference_mode()
def _class_steps(
    segmenter: Segmenter, queries: Queries, vocabulary: Vocabulary, ensembles: Sequence[Ensemble]
) -> list[Queries]:
    """The same queries under one vocabulary, once for each ensemble; the text is compared with once."""
    model, text = segmenter.model, segmenter.text_classifier(vocabulary)
    inside = class_logits(
        queries.in_vocabulary_embedding, text, model.mask_decoder.logit_scale, model.void_embedding.weight
    )
    outside = class_logits(queries.out_of_vocabulary_embedding, text, model.backbone.logit_scale)
    valid = queries.clip_valid if model.spec.ensemble_on_valid_mask else None
    every = [
        geometric_ensemble(inside, outside, text.seen, alpha=weights.alpha, beta=weights.beta, valid=valid)
        for weights in ensembles
    ]
    return [queries.relabelled(vocabulary, scores.log_scores, scores.void_probability) for scores in every]


def _label(segment: WorldSegment, kind: VocabularyKind) -> str:
    """What a vocabulary calls a segment."""
    thing = segment.composition
    return f"{thing.color} {thing.shape}" if thing is not None and kind == "colors" else segment.label

"""What association sees of a frame: masks at an eighth of the network input, and a few facts about each query.

Masks are *coverage*: the share of each cell (8 by 8 pixels of the network input) that a mask covers. Tiny objects keep
some coverage where a binary mask of that size would have lost them.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..queries import Queries
from .labels import LOWEST_LOG_SCORE

__all__ = ["COVERAGE_STEPS", "Observation", "beats_void", "centres_yx", "observe", "published_keep", "reaches_edge"]

COVERAGE_STEPS = 4
"""A cell holds four positions of the quarter-size logits, so coverage is a multiple of 1/4 and fits a byte."""

LEAST_WEIGHT = 1e-3  # of class scores: a track whose every frame counted nothing would have no label


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """One frame's N queries, on their device. Lengths are in cells, areas in cells too.

    Attributes:
        coverage: (N, h, w) float32, 0 to 1.
        objectness: (N,); 0 where the mask is empty, which no track can be.
        area: (N,).
        centre: (N, 2), y and x of the mask's middle.
        weight: (N,), how much the query's class scores count: objectness x visible share x mask confidence, and less
            where the mask reaches the picture's edge, so that part of the thing may be out of sight.
        query_embedding, pixel_feature: (N, C), unit length.
        log_scores: (N, K), class log scores without void, cut off at the lower end.
        void_probability: (N,), under the frame's vocabulary.
        label: (N,) int64, the likeliest category.
        score: (N,), its probability times 1 - p(void).
        keep: (N,) bool, the published rule keeps the query.
    """

    coverage: Tensor
    objectness: Tensor
    area: Tensor
    centre: Tensor
    weight: Tensor
    query_embedding: Tensor
    pixel_feature: Tensor
    log_scores: Tensor
    void_probability: Tensor
    label: Tensor
    score: Tensor
    keep: Tensor


def observe(queries: Queries, edge_weight: float = 1.0) -> Observation:
    """Look at a frame's queries (at least one); `edge_weight` is the factor for masks that reach the edge."""
    coverage, probability = _masks(queries)
    flat = coverage.flatten(1)
    area = flat.sum(1)
    objectness = queries.objectness.float() * (area > 0)
    confidence = (probability.flatten(1) * flat).sum(1) / area.clamp(min=1e-6)
    whole = torch.where(reaches_edge(coverage), edge_weight, 1.0)
    log_scores = queries.class_log_scores.float().clamp(min=LOWEST_LOG_SCORE)
    best, label = log_scores.max(-1)
    return Observation(
        coverage=coverage,
        objectness=objectness,
        area=area,
        centre=centres_yx(coverage),
        weight=(objectness * visible_share(flat, objectness) * confidence * whole).clamp(min=LEAST_WEIGHT),
        query_embedding=F.normalize(queries.query_embedding.float(), dim=-1),
        pixel_feature=F.normalize(queries.pixel_feature.float(), dim=-1),
        log_scores=log_scores,
        void_probability=queries.void_probability.float(),
        label=label,
        score=best.exp() * (1 - queries.void_probability.float()),
        keep=published_keep(queries),
    )


def published_keep(queries: Queries) -> Tensor:
    """(N,) bool: some category is likelier than void, by the published scores (with their floor of 1e-8)."""
    return beats_void(queries.class_log_scores.float().amax(-1), queries.void_probability.float())


def beats_void(best_log_score: Tensor, void_probability: Tensor) -> Tensor:
    """(N,) log score of the likeliest category, without void, and (N,) p(void) -> (N,) bool, the published rule."""
    best = best_log_score.exp() * (1 - void_probability)
    return (best + 1e-8).log() >= (void_probability + 1e-8).log()


def visible_share(flat_coverage: Tensor, objectness: Tensor) -> Tensor:
    """(N, P) coverage and (N,) objectness -> (N,), share of each mask where no likelier one lies over it."""
    strength = flat_coverage * objectness[:, None]
    wins = (strength >= strength.amax(0)) & (flat_coverage > 0)
    return (flat_coverage * wins).sum(1) / flat_coverage.sum(1).clamp(min=1e-6)


def reaches_edge(coverage: Tensor) -> Tensor:
    """(N, h, w) -> (N,) bool, whether a mask covers some of the outermost cells."""
    sides = (coverage[:, 0], coverage[:, -1], coverage[:, :, 0], coverage[:, :, -1])
    return torch.stack([side.amax(1) for side in sides]).amax(0) > 0


def centres_yx(coverage: Tensor) -> Tensor:
    """(N, h, w) -> (N, 2), the middle of each mask in cells; zeros where it is empty."""
    _, height, width = coverage.shape
    rows, columns = coverage.sum(2), coverage.sum(1)
    y = torch.arange(height, device=coverage.device) + 0.5
    x = torch.arange(width, device=coverage.device) + 0.5
    return torch.stack((rows @ y, columns @ x), dim=1) / rows.sum(1).clamp(min=1e-6)[:, None]


def halved(values: Tensor) -> Tensor:
    """(N, 2h, 2w) -> (N, h, w), means of 2 by 2; on a CPU faster than the general pooling."""
    rows = values[:, ::2] + values[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]) / 4


def _masks(queries: Queries) -> tuple[Tensor, Tensor]:
    """(N, h, w) coverage, and mask probability, of the part of the network input that shows the picture."""
    height, width = (-(-side // 4) for side in queries.geometry.resized_hw)
    logits = queries.mask_logits[:, :height, :width].float()
    if height % 2 or width % 2:
        logits = F.pad(logits, (0, width % 2, 0, height % 2), mode="replicate")
    return halved((logits > 0).float()), halved(logits).sigmoid()

"""From queries to maps: panoptic, semantic and instance inference, as published by Mask2Former and FC-CLIP.

Each head is a pure function. None asks the device for a number per query: whatever the host needs to know is gathered
and fetched once per frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .competition import compete
from .fcclip.classifier import published_log_scores
from .queries import MaskGeometry, Queries
from .vocabulary import Category

__all__ = [
    "Instances",
    "PanopticMap",
    "PanopticSegment",
    "instance_inference",
    "merge_masks",
    "panoptic_from_association",
    "panoptic_from_queries",
    "panoptic_inference",
    "published_scores",
    "semantic_inference",
]

OVERLAP_THRESHOLD = 0.8


@dataclass(frozen=True, slots=True)
class PanopticSegment:
    """One region: `id` is its value in the map, `query` the (first) merged mask that it came from."""

    id: int
    category_id: int
    label: str
    isthing: bool
    score: float
    area: int
    query: int


@dataclass(frozen=True, slots=True, eq=False)
class PanopticMap:
    """Every pixel's segment.

    Attributes:
        ids: (H, W) int32, 0 where no segment is.
        segments: in ascending order of id.
    """

    ids: npt.NDArray[np.int32]
    segments: tuple[PanopticSegment, ...]

    def __repr__(self) -> str:
        return f"PanopticMap({self.ids.shape[0]}x{self.ids.shape[1]}, {len(self.segments)} segments)"


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """Scored masks that may overlap, best first.

    Attributes:
        scores: (N,), class score times mean mask probability.
        classes: (N,) int64, index of the category.
        masks: (N, H, W) bool.
        boxes: (N, 4) float, x, y, w, h in pixels of the mask's extent; zeros for an empty mask.
    """

    scores: Tensor
    classes: Tensor
    masks: Tensor
    boxes: Tensor


def published_scores(queries: Queries) -> Tensor:
    """(N, K + background + 1) class probabilities with void last, as the published heads take them."""
    return published_log_scores(queries.class_log_scores, queries.void_probability).softmax(-1)


def panoptic_from_queries(
    queries: Queries,
    *,
    output_hw: tuple[int, int] | None = None,
    score_threshold: float = 0.0,
    overlap_threshold: float = OVERLAP_THRESHOLD,
) -> PanopticMap:
    """The published panoptic inference for one frame.

    Args:
        queries: of `Segmenter.segment`.
        output_hw: size of the map; None for the frame's own size.
        score_threshold: a query below it stays out (published: 0).
        overlap_threshold: a query of whose mask others take more than 1 - this stays out (published: 0.8).
    """
    scores, labels = published_scores(queries).max(-1)
    keep = _kept(scores, labels, void=queries.class_log_scores.shape[-1], score_threshold=score_threshold)
    return merge_masks(
        scores[keep],
        labels[keep],
        queries.mask_logits[keep],
        _geometry(queries, output_hw),
        queries.vocabulary.categories,
        overlap_threshold=overlap_threshold,
    )


def panoptic_inference(
    class_probabilities: Tensor,
    mask_logits: Tensor,
    categories: Sequence[Category],
    *,
    score_threshold: float = 0.0,
    overlap_threshold: float = OVERLAP_THRESHOLD,
) -> PanopticMap:
    """The same on plain tensors: (Q, K+1) probabilities with void last and (Q, H, W) logits at the output's size."""
    scores, labels = class_probabilities.max(-1)
    keep = _kept(scores, labels, void=class_probabilities.shape[-1] - 1, score_threshold=score_threshold)
    size = (mask_logits.shape[-2], mask_logits.shape[-1])
    geometry = MaskGeometry(size, size, size)
    return merge_masks(
        scores[keep], labels[keep], mask_logits[keep], geometry, categories, overlap_threshold=overlap_threshold
    )


def panoptic_from_association(
    queries: Queries,
    *,
    ids: Sequence[int] | npt.NDArray[np.int64],
    labels: Tensor,
    scores: Tensor,
    keep: Tensor,
    output_hw: tuple[int, int] | None = None,
    score_threshold: float = 0.0,
    overlap_threshold: float = OVERLAP_THRESHOLD,
) -> PanopticMap:
    """The same merge with identities, which association over time has decided, together with labels and weights.

    A query without an id stays out, unless it is background: what nobody follows must not take pixels from a segment
    that is followed, nor make it fail the overlap filter. Background has no id either, but winning pixels for void is
    its task.

    Args:
        queries: of one frame.
        ids: (N,), whose segment each query is; 0 for none. Queries that share one (stuff) share a segment.
        labels: (N,) int64, position in the vocabulary's categories, then background.
        scores: (N,), weight of each query.
        keep: (N,) bool, the published rule keeps the query.
        output_hw, score_threshold, overlap_threshold: as of `panoptic_from_queries`.

    Returns:
        Segments under their ids, ascending.
    """
    identities = torch.as_tensor(np.asarray(ids, np.int64)).to(labels.device)
    enters = (identities > 0) | (labels >= len(queries.vocabulary))
    chosen = torch.nonzero(keep & enters & (scores > score_threshold)).squeeze(1)
    return _merge(
        scores[chosen],
        labels[chosen],
        queries.mask_logits[chosen],
        _geometry(queries, output_hw),
        queries.vocabulary.categories,
        overlap_threshold=overlap_threshold,
        ids=identities[chosen],
    )


def merge_masks(
    scores: Tensor,
    labels: Tensor,
    mask_logits: Tensor,
    geometry: MaskGeometry,
    categories: Sequence[Category],
    *,
    overlap_threshold: float = OVERLAP_THRESHOLD,
) -> PanopticMap:
    """Let masks compete for pixels: argmax of score x sigmoid(mask), then the published overlap filter.

    Args:
        scores: (N,), weight of each mask.
        labels: (N,) int64, index into `categories`; larger ones are background, which wins pixels for void.
        mask_logits: (N, h, w), before sigmoid.
        geometry: how the masks become output pixels.
        categories: what the labels mean; masks of one stuff category share a segment.
        overlap_threshold: smallest share of a mask's own pixels (sigmoid >= 0.5) that it must win to stay.

    Returns:
        Segments numbered from 1 in the order of the masks.
    """
    return _merge(scores, labels, mask_logits, geometry, categories, overlap_threshold=overlap_threshold, ids=None)


def semantic_inference(class_probabilities: Tensor, mask_logits: Tensor) -> Tensor:
    """Per-pixel class scores: sum over the queries of class probability x sigmoid(mask).

    Args:
        class_probabilities: (Q, K+1), void last.
        mask_logits: (Q, H, W) at the output's size.

    Returns:
        (K, H, W); its argmax is the published semantic map.
    """
    return torch.einsum("qc,qhw->chw", class_probabilities[:, :-1], mask_logits.sigmoid())


def instance_inference(
    class_probabilities: Tensor, mask_logits: Tensor, categories: Sequence[Category], *, top_k: int = 100
) -> Instances:
    """The best `top_k` (query, category) pairs, those of things, as scored masks.

    Args:
        class_probabilities: (Q, K+1), void last.
        mask_logits: (Q, H, W) at the output's size.
        categories: the K categories.
        top_k: taken before stuff is dropped, as published.
    """
    num_classes = len(categories)
    flat = class_probabilities[:, :-1].flatten()
    scores, pairs = flat.topk(min(top_k, flat.numel()))
    isthing = torch.tensor([category.isthing for category in categories], device=flat.device)
    things = isthing[pairs % num_classes]
    scores, pairs = scores[things], pairs[things]
    logits = mask_logits[pairs // num_classes]
    masks = logits > 0
    inside = (logits.sigmoid() * masks).flatten(1).sum(1) / (masks.flatten(1).sum(1) + 1e-6)
    order = (scores * inside).argsort(descending=True, stable=True)
    masks = masks[order]
    return Instances((scores * inside)[order], (pairs % num_classes)[order], masks, _boxes_xywh(masks))


def _merge(
    scores: Tensor,
    labels: Tensor,
    mask_logits: Tensor,
    geometry: MaskGeometry,
    categories: Sequence[Category],
    *,
    overlap_threshold: float,
    ids: Tensor | None,
) -> PanopticMap:
    """`merge_masks`; with `ids` (N,) int64 the segments bear these instead of being numbered."""
    height, width = geometry.output_hw
    if len(scores) == 0:
        return PanopticMap(np.zeros((height, width), np.int32), ())
    outcome, own_area = compete(scores, mask_logits, geometry)
    found = _InRuns(outcome) if outcome.device.type == "cpu" else _OnDevice(outcome)

    count = len(scores)
    unsure_area, sure_area = found.areas(2 * count).view(count, 2).T
    won_area = unsure_area + sure_area
    given = torch.zeros_like(labels) if ids is None else ids
    facts = torch.stack((own_area, won_area, sure_area, labels, given)).cpu().numpy()  # once a frame, not once a mask
    host_scores = scores.float().cpu().numpy()

    table = np.zeros((count, 2), np.int32)  # the number of each outcome; an unsure winner leaves its pixels void
    segments: dict[int, PanopticSegment] = {}
    stuff: dict[int, int] = {}
    for query, (own, won, sure, label, known) in enumerate(facts.T.tolist()):
        if own == 0 or won == 0 or sure == 0 or won / own < overlap_threshold or label >= len(categories):
            continue
        category, following = categories[label], len(segments) + 1
        number = known or (following if category.isthing else stuff.setdefault(label, following))
        table[query, 1] = number
        if number in segments:
            segments[number] = _grown(segments[number], sure, float(host_scores[query]))
            continue
        segments[number] = PanopticSegment(
            id=number,
            category_id=category.id,
            label=category.label,
            isthing=category.isthing,
            score=float(host_scores[query]),
            area=sure,
            query=query,
        )
    return PanopticMap(found.looked_up(table.ravel()), tuple(segments[number] for number in sorted(segments)))


@dataclass(frozen=True, slots=True, eq=False)
class _OnDevice:
    """(H, W) outcomes where they were computed: small numbers travel, and the finished map."""

    outcome: Tensor

    def areas(self, count: int) -> Tensor:
        """(count,) int64, pixels of each outcome."""
        return self.outcome.flatten().bincount(minlength=count)

    def looked_up(self, table: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """(H, W), what stands in the table at each outcome."""
        places = self.outcome.flatten().int()
        values = torch.from_numpy(table).to(places.device).index_select(0, places)
        return values.view(self.outcome.shape).cpu().numpy()


class _InRuns:
    """The same on the host, as runs along the rows: a hundredth of the pixels."""

    def __init__(self, outcome: Tensor) -> None:
        self.shape = tuple(outcome.shape)
        flat = outcome.numpy().ravel()
        starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
        self.values = flat[starts]
        self.lengths = np.diff(starts, append=flat.size)

    def areas(self, count: int) -> Tensor:
        return torch.from_numpy(np.bincount(self.values, self.lengths, minlength=count).astype(np.int64))

    def looked_up(self, table: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        return np.repeat(table[self.values], self.lengths).reshape(self.shape)


def _geometry(queries: Queries, output_hw: tuple[int, int] | None) -> MaskGeometry:
    """How the masks map to a map of this size; None for the frame's own."""
    geometry = queries.geometry
    return geometry if output_hw is None else MaskGeometry(geometry.padded_hw, geometry.resized_hw, output_hw)


def _kept(scores: Tensor, labels: Tensor, *, void: int, score_threshold: float) -> Tensor:
    return torch.nonzero((labels != void) & (scores > score_threshold)).squeeze(1)


def _grown(segment: PanopticSegment, area: int, score: float) -> PanopticSegment:
    """A stuff segment that another mask joins: the areas add up, the better score speaks for both."""
    return PanopticSegment(
        segment.id,
        segment.category_id,
        segment.label,
        segment.isthing,
        max(segment.score, score),
        segment.area + area,
        segment.query,
    )


def _boxes_xywh(masks: Tensor) -> Tensor:
    """(N, H, W) bool -> (N, 4) x, y, w, h; zeros where a mask is empty."""
    if masks.shape[0] == 0:
        return masks.new_zeros((0, 4), dtype=torch.float32)
    rows, columns = masks.any(2), masks.any(1)

    def extent(hits: Tensor) -> tuple[Tensor, Tensor]:
        length = hits.shape[1]
        first = hits.int().argmax(1)
        last = length - 1 - hits.flip(1).int().argmax(1)
        return first, last

    top, bottom = extent(rows)
    left, right = extent(columns)
    boxes = torch.stack((left, top, right - left + 1, bottom - top + 1), dim=1).float()
    return boxes * rows.any(1, keepdim=True)

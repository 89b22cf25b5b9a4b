"""The cues of every pair, computed on the device and fetched once."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..config.tracking import TrackingSettings
from .bank import TrackBank
from .cost import intersections, mask_iou, shifted, similarity
from .gallery import gallery_cosine
from .labels import bhattacharyya
from .observation import Observation
from .stages import Cues
from .transfer import to_host

__all__ = ["measure"]


def measure(
    bank: TrackBank,
    seen: Observation,
    offsets_yx: npt.NDArray[Any],
    *,
    isthing: Tensor,
    clip_cosine: Tensor,
    settings: TrackingSettings,
) -> Cues:
    """Hold T tracks against N queries.

    Args:
        bank: the tracks.
        seen: the queries.
        offsets_yx: (T, 2) int64, how far each track has moved since it was last seen, in cells.
        isthing: (K,) bool, of every category.
        clip_cosine: scalar, of this frame's global CLIP embedding and the last one's.
    """
    masks = bank.masks()
    last_iou = mask_iou(masks, seen.coverage)
    iou = _expected_iou(masks, seen.coverage, last_iou, offsets_yx)
    class_overlap = bhattacharyya(bank.log_posteriors(), seen.log_scores.log_softmax(-1))
    likeness = similarity(
        bank.query_embedding @ seen.query_embedding.T,
        iou,
        bank.pixel_feature @ seen.pixel_feature.T,
        class_overlap,
        settings,
    )
    pairs = {
        "similarity": likeness,
        "iou": iou,
        "last_iou": last_iou,
        "class_overlap": class_overlap,
        "recognition": gallery_cosine(bank.gallery, bank.stored, seen.query_embedding),
        "common": intersections(seen.coverage, seen.coverage),
    }
    facts = (seen.objectness, seen.area, seen.centre, isthing[seen.label], clip_cosine)
    *fetched, things, cosine = to_host(*pairs.values(), *facts)
    objectness, area, centre = fetched[len(pairs) :]
    return Cues(
        **dict(zip(pairs, fetched, strict=False)),
        objectness=objectness,
        area=area,
        centre=centre,
        isthing=things.astype(bool),
        clip_cosine=float(cosine),
    )


def _expected_iou(masks: Tensor, coverage: Tensor, last_iou: Tensor, offsets_yx: npt.NDArray[Any]) -> Tensor:
    """Overlap with the masks where they should be by now; only those that have moved by a cell differ."""
    moved = np.flatnonzero(offsets_yx.any(1))
    if len(moved) == 0:
        return last_iou
    rows = torch.from_numpy(moved).to(masks.device)
    offsets = torch.from_numpy(offsets_yx[moved]).to(masks.device)
    return last_iou.index_copy(0, rows, mask_iou(shifted(masks[rows], offsets), coverage))

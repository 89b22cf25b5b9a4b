"""Recognition: a small gallery of embeddings for each track, so that one that was lost can be found again.

Query embeddings, not CLIP features: those encode the category and hardly the instance. A match has to be clear from
both sides, because a wrong one joins two identities for good. Among look-alikes nothing is clear by looks, so those are
asked first that are where they were: a thing comes out of hiding near where it went in, and a film cuts back to the
same view.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..config.tracking import TrackingSettings
from .assign import assign
from .cost import FORBIDDEN

__all__ = ["forgotten", "gallery_cosine", "recognise", "remember"]

Array = npt.NDArray[Any]


def remember(gallery: Tensor, stored: Tensor, embedding: Tensor, novelty: float) -> tuple[Tensor, Tensor]:
    """Keep embeddings that show something new; the oldest make room.

    Args:
        gallery: (M, G, C), unit length; zeros where nothing is stored yet.
        stored: (M,) int64, how many were ever stored.
        embedding: (M, C), unit length.
        novelty: an embedding is kept where its cosine with all that are there is below this.

    Returns:
        The new gallery and counts.
    """
    size = gallery.shape[1]
    nearest = (gallery @ embedding[:, :, None])[..., 0].masked_fill(_empty(gallery, stored), -1.0).amax(1)
    new = nearest < novelty
    here = torch.arange(size, device=gallery.device)[None] == (stored % size)[:, None]
    gallery = torch.where((here & new[:, None])[..., None], embedding[:, None], gallery)
    return gallery, stored + new


def gallery_cosine(gallery: Tensor, stored: Tensor, embedding: Tensor) -> Tensor:
    """(T, G, C) with (T,) counts, and (N, C) -> (T, N), cosine with the nearest embedding kept; -1 without one."""
    tracks, size, _ = gallery.shape
    cosines = (gallery.flatten(0, 1) @ embedding.T).view(tracks, size, len(embedding))
    return cosines.masked_fill(_empty(gallery, stored)[..., None], -1.0).amax(1)


def recognise(
    cosine: Array, class_overlap: Array, remoteness: Array, settings: TrackingSettings
) -> npt.NDArray[np.int64]:
    """Which lost tracks are which queries: alike enough, and near, or anywhere but clearly so.

    Args:
        cosine: (T, N), see `gallery_cosine`.
        class_overlap: (T, N), of class posteriors.
        remoteness: (T, N), distance from the track's place; up to 1 it is near.

    Returns:
        (M, 2) track and query of each pair.
    """
    likely = np.where(class_overlap >= settings.recognition_class_overlap, cosine, -1.0)
    alike = likely >= settings.recognition_cosine
    near = assign(np.where(alike & (remoteness <= 1), remoteness, FORBIDDEN), 1 + 1e-6)
    tracks, queries = (np.setdiff1d(np.arange(count), near[:, side]) for side, count in enumerate(cosine.shape))
    clear = _clear_pairs(likely[np.ix_(tracks, queries)], settings)
    return np.concatenate((near, np.stack((tracks[clear[:, 0]], queries[clear[:, 1]]), axis=1)))


def _clear_pairs(likely: Array, settings: TrackingSettings) -> npt.NDArray[np.int64]:
    """(M, 2): alike enough, clearly, and each other's best; `likely` (T, N) is -1 where a pair cannot be."""
    if likely.size == 0:
        return np.empty((0, 2), np.int64)
    query = likely.argmax(1)
    tracks = np.arange(len(likely))
    best = likely[tracks, query]
    mutual = likely.argmax(0)[query] == tracks
    second = np.maximum(_second(likely, axis=1), _second(likely, axis=0)[query])
    clear = best - second >= settings.recognition_margin
    found = np.flatnonzero(mutual & clear & (best >= settings.recognition_cosine))
    return np.stack((found, query[found]), axis=1).astype(np.int64)


def forgotten(last_seen: Array, now: float, *, seconds: float, capacity: int) -> npt.NDArray[np.bool_]:
    """Which lost tracks end: those lost for too long and, beyond the capacity, those lost longest.

    Args:
        last_seen: (T,) times; of equal ones the first ends first.
    """
    over = now - last_seen > seconds
    order = np.argsort(last_seen, kind="stable")
    kept = order[~over[order]]
    over[kept[: max(0, len(kept) - capacity)]] = True
    result: npt.NDArray[np.bool_] = over
    return result


def _empty(gallery: Tensor, stored: Tensor) -> Tensor:
    """(T, G) bool."""
    return torch.arange(gallery.shape[1], device=gallery.device)[None] >= stored[:, None]


def _second(values: Array, axis: int) -> Array:
    """The second-largest value along an axis; -1 where there is one alone."""
    if values.shape[axis] < 2:
        return np.full(values.shape[1 - axis], -1.0)
    second: Array = np.partition(values, -2, axis=axis).take(-2, axis=axis)
    return second

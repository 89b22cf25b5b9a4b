"""Who continues which track: four rounds, from the surest to the last hope, then births.

A. Active tracks and queries of high objectness, by all cues together, within gates.
B. Active tracks that are left and queries of low objectness, by overlap alone (ByteTrack's second round): something
   half hidden or blurred is still the same thing at the same place.
C. Tracks that are left, lost ones too, and high queries that are left, by the last mask seen.
D. The same by recognition, the gallery of embeddings: who is alike and near, then who is clearly alike.

Everything here works on a few numbers per pair, on the host; nothing here changes a track.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config.tracking import TrackingSettings
from .assign import assign
from .cost import FORBIDDEN, cost_of, gate
from .cuts import is_scene_cut
from .gallery import recognise

__all__ = ["Candidates", "Cues", "Matches", "births", "match", "match_active", "match_lost"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Pairs = npt.NDArray[np.int64]

NO_PAIRS: Pairs = np.empty((0, 2), np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The T tracks that queries may continue.

    Attributes:
        active: (T,) bool, seen lately.
        isthing: (T,) bool, by the track's label.
        placed: (T,) bool, seen recently enough for the last mask to say something.
        centre: (T, 2), where the middle is expected, in cells.
        area: (T,), of the last mask, in cells.
    """

    active: Bools
    isthing: Bools
    placed: Bools
    centre: Array
    area: Array


@dataclass(frozen=True, slots=True, eq=False)
class Cues:
    """One frame's N queries beside T tracks.

    Attributes:
        objectness, area: (N,).
        centre: (N, 2).
        isthing: (N,) bool, by the query's own label.
        similarity: (T, N), of all cues.
        iou: (T, N), with the mask where it is expected.
        last_iou: (T, N), with the mask where it was last seen.
        class_overlap: (T, N).
        recognition: (T, N), see `gallery_cosine`.
        common: (N, N), area that two queries share, in cells.
        clip_cosine: of the whole frame and the one before.
    """

    objectness: Array
    area: Array
    centre: Array
    isthing: Bools
    similarity: Array
    iou: Array
    last_iou: Array
    class_overlap: Array
    recognition: Array
    common: Array
    clip_cosine: float


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Who continues which track.

    Attributes:
        pairs: (M, 2) int64, track and query of each pair.
        moved: (M,) bool, the track moved there; otherwise it was found again.
        sure: (M,) bool, the query shows the track well enough to learn its looks from it.
        cut: the scene was cut in front of this frame.
    """

    pairs: Pairs
    moved: Bools
    sure: Bools
    cut: bool


def match(cues: Cues, tracks: Candidates, picture_change: float | None, settings: TrackingSettings) -> Matches:
    """All four rounds. After a scene cut the first two are void: what overlaps, overlaps by chance."""
    first, second = match_active(cues, tracks, settings)
    # Grass may go on under a cut, so things are asked, if there are any.
    asked = tracks.active & (tracks.isthing | ~tracks.isthing[tracks.active].any())
    cut = is_scene_cut(
        matched=int(asked[_at_home(cues, np.concatenate((first, second)), settings)].sum()),
        active=int(asked.sum()),
        clip_cosine=cues.clip_cosine,
        picture_change=picture_change,
        settings=settings,
    )
    if cut:
        first = second = NO_PAIRS
    placed, recognised = match_lost(cues, tracks, np.concatenate((first, second)), settings, cut=cut)
    rounds = (first, second, placed, recognised)
    round_of = np.repeat(np.arange(4), [len(pairs) for pairs in rounds])
    return Matches(np.concatenate(rounds), moved=round_of < 2, sure=round_of != 1, cut=cut)


def match_active(cues: Cues, tracks: Candidates, settings: TrackingSettings) -> tuple[Pairs, Pairs]:
    """Rounds A and B: (M, 2) track and query of each pair, for each round."""
    active = np.flatnonzero(tracks.active)
    high = np.flatnonzero(cues.objectness >= settings.high_objectness)
    possible = gate(
        cues.iou[np.ix_(active, high)],
        tracks.centre[active],
        tracks.area[active],
        cues.centre[high],
        cues.area[high],
        settings,
    )
    costs = cost_of(cues.similarity[np.ix_(active, high)], possible)
    first = _among(active, high, assign(costs, 1 - settings.min_similarity))

    left = np.setdiff1d(active, first[:, 0])
    low = np.flatnonzero((cues.objectness >= settings.low_objectness) & (cues.objectness < settings.high_objectness))
    overlap = cues.iou[np.ix_(left, low)]
    return first, _among(left, low, _by_overlap(overlap, settings.low_iou))


def match_lost(
    cues: Cues, tracks: Candidates, taken: Pairs, settings: TrackingSettings, *, cut: bool
) -> tuple[Pairs, Pairs]:
    """Rounds C and D over what is left; after a scene cut places mean nothing, so that C is left out.

    Args:
        taken: (M, 2), the pairs of the rounds before.
        cut: the scene was cut in front of this frame.
    """
    free = np.setdiff1d(np.arange(len(tracks.active)), taken[:, 0])
    queries = np.flatnonzero(_uncovered(cues, taken[:, 1], settings) & (cues.objectness >= settings.high_objectness))
    placed = free[tracks.placed[free] & (not cut)]
    overlap = cues.last_iou[np.ix_(placed, queries)]
    alike = cues.class_overlap[np.ix_(placed, queries)] >= settings.recognition_class_overlap
    found = _among(placed, queries, _by_overlap(np.where(alike, overlap, 0.0), settings.last_mask_iou))
    if not settings.gallery:
        return found, NO_PAIRS

    free = np.setdiff1d(free, found[:, 0])
    pairs = np.concatenate((taken, found))
    queries = np.flatnonzero(_uncovered(cues, pairs[:, 1], settings) & (cues.objectness >= settings.high_objectness))
    here = np.ix_(free, queries)
    remoteness = _remoteness(cues, queries, tracks, free, settings)
    recognised = recognise(cues.recognition[here], cues.class_overlap[here], remoteness, settings)
    return found, _among(free, queries, recognised)


def births(cues: Cues, taken: Array, settings: TrackingSettings) -> list[int]:
    """Queries that begin a track, by position: likely enough, and not another view of what already is one.

    The likeliest come first, so that of two queries for one new thing one is born.
    """
    born: list[int] = []
    able = np.flatnonzero(_uncovered(cues, taken, settings) & (cues.objectness >= settings.birth_objectness))
    for query in able[np.argsort(-cues.objectness[able], kind="stable")].tolist():
        if _uncovered(cues, np.concatenate((taken, np.array(born, np.int64))), settings)[query]:
            born.append(query)
    return sorted(born)


def _uncovered(cues: Cues, taken: Array, settings: TrackingSettings) -> Bools:
    """(N,) bool: not taken itself, and not mostly under masks of its kind that are.

    Kinds are kept apart: grass whose mask runs on under a new ball does not make the ball another view of the grass.
    """
    same_kind = cues.isthing[taken][None] == cues.isthing[:, None]
    covered = (cues.common[:, taken] * same_kind).sum(1)
    free: Bools = covered < settings.birth_coverage * cues.area
    free[taken] = False
    return free


def _at_home(cues: Cues, pairs: Pairs, settings: TrackingSettings) -> Array:
    """The tracks of those pairs whose query lies where the track should be by now."""
    there: Array = pairs[cues.iou[pairs[:, 0], pairs[:, 1]] >= settings.low_iou, 0]
    return there


def _remoteness(cues: Cues, queries: Array, tracks: Candidates, free: Array, settings: TrackingSettings) -> Array:
    """Distance of the middles of some pairs in square roots of the larger area, a cell at least, over what is near."""
    distance = np.linalg.norm(tracks.centre[free, None] - cues.centre[queries], axis=2)
    size = np.sqrt(np.maximum(np.maximum(tracks.area[free, None], cues.area[queries]), 1.0))
    remoteness: Array = distance / (size * max(settings.recognition_distance, 1e-6))
    return remoteness


def _by_overlap(overlap: Array, least: float) -> Pairs:
    return assign(np.where(overlap >= least, 1 - overlap, FORBIDDEN), 1 - least + 1e-6)


def _among(tracks: Array, queries: Array, pairs: Pairs) -> Pairs:
    """Pairs of positions in `tracks` and `queries` -> pairs of what stands there."""
    return np.stack((tracks[pairs[:, 0]], queries[pairs[:, 1]]), axis=1).astype(np.int64)

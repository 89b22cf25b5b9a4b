"""Average precision of instances as Cityscapes' own script defines it (cityscapesScripts 2.3,
`evalInstanceLevelSemanticLabeling.py`), written anew on counts of pixels.

It differs from COCO's: a match needs an IoU above the threshold, at 0.5, 0.55, ..., 0.95; of several predictions that
match one object the surest is right and the others are false; objects under 100 pixels, and groups that are not told
apart, are not asked for, and a false prediction whose share on them and on void exceeds the threshold does not count;
precision is a sum over the distinct scores, not an envelope. Quirks are kept: a group under 100 pixels forgives twice,
and instances of caravans and trailers are no void.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import EvaluationError
from ...panoptic import Instances
from ...vocabulary import Vocabulary

__all__ = ["CityscapesPrecision"]

THRESHOLDS = np.arange(0.5, 1.0, 0.05)
SMALLEST = 100  # pixels of an object that is asked for
FIRST_INSTANCE = 1000  # ids from here on are objects: 1000 x label + number; below are labels, of stuff and of groups
LABELS = range(-1, 34)

Ids = npt.NDArray[np.integer[Any]]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Matches:
    """One category in one picture: G true regions and P predictions.

    Attributes:
        areas: (G,) pixels.
        asked: (G,) bool, an object that should be found.
        forgives: (G,) how often its pixels forgive a false prediction: 0, 1 or 2 times.
        scores, sizes, void: (P,) of each prediction its score, its pixels, and those of them on void.
        shared: (G, P) pixels.
    """

    areas: Numbers
    asked: npt.NDArray[np.bool_]
    forgives: Numbers
    scores: Numbers
    sizes: Numbers
    void: Numbers
    shared: Numbers


class CityscapesPrecision:
    """What is kept of any number of pictures: a few numbers for each object and prediction.

    Args:
        vocabulary: its things are scored; their ids are those of the data set.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._void = [label for label in LABELS if label not in {category.id for category in vocabulary.categories}]
        self._matches: dict[int, list[_Matches]] = {
            category.id: [] for category in vocabulary.categories if category.isthing
        }

    def add(self, truth: Ids, predicted: Instances) -> None:
        """One picture.

        Args:
            truth: (H, W) as in `*_instanceIds.png`.
            predicted: with positions in the vocabulary for classes.

        Raises:
            EvaluationError: the sizes differ.
        """
        masks = predicted.masks.cpu().numpy()
        if masks.shape[1:] != truth.shape:
            raise EvaluationError(
                f"the instances are {'x'.join(map(str, truth.shape))} and the picture is "
                f"{'x'.join(map(str, masks.shape[1:]))}, expected one size"
            )
        regions, place, areas = np.unique(truth, return_inverse=True, return_counts=True)
        place = place.reshape(truth.shape)
        shared = np.array([np.bincount(place[mask], minlength=len(regions)) for mask in masks], np.float64)
        shared = shared.reshape(len(masks), len(regions))  # also where nothing is predicted
        labels = np.where(regions < FIRST_INSTANCE, regions, regions // FIRST_INSTANCE)
        void = shared[:, np.isin(regions, self._void)].sum(1)
        categories = np.array([self.vocabulary.categories[position].id for position in predicted.classes.tolist()])
        scores = predicted.scores.double().cpu().numpy()
        seen = shared.sum(1) > 0  # empty masks are passed over
        for category, matches in self._matches.items():
            own = labels == category
            chosen = seen & (categories == category) if len(categories) else seen
            if not own.any() and not chosen.any():
                continue
            small, group = areas[own] < SMALLEST, regions[own] < FIRST_INSTANCE
            matches.append(
                _Matches(
                    areas=areas[own].astype(np.float64),
                    asked=~small & ~group,
                    forgives=small.astype(np.float64) + group,
                    scores=scores[chosen],
                    sizes=shared[chosen].sum(1),
                    void=void[chosen],
                    shared=shared[chosen][:, own].T,
                )
            )

    def absorb(self, other: "CityscapesPrecision") -> None:
        """Add other pictures, which come after these."""
        for category, matches in other._matches.items():
            self._matches[category].extend(matches)

    def scores(self) -> dict[str, float | None]:
        """Fractions by name; categories without an object in the truth stay out of the mean."""
        every = np.array([self._precision(matches) for matches in self._matches.values()])
        return {"AP": _mean(every), "AP50": _mean(every[:, 0])}

    def per_class(self) -> dict[int, float | None]:
        """AP by category id."""
        return {category: _mean(self._precision(matches)) for category, matches in self._matches.items()}

    def _precision(self, matches: list[_Matches]) -> Numbers:
        """(T,), NaN without an object to find."""
        return np.array([_at(matches, threshold) for threshold in THRESHOLDS])


def _at(matches: list[_Matches], threshold: float) -> float:
    """Average precision of one category at one IoU."""
    if not any(entry.asked.any() for entry in matches):
        return float("nan")
    if not any(len(entry.scores) for entry in matches):
        return 0.0
    right: list[Numbers] = []
    wrong: list[Numbers] = []
    missed = 0
    for entry in matches:
        overlap = entry.shared / (entry.areas[:, None] + entry.sizes - entry.shared)
        hits = overlap > threshold
        for row in np.flatnonzero(entry.asked):
            scores = np.sort(entry.scores[hits[row]])
            missed += not len(scores)
            right.append(scores[-1:])
            wrong.append(scores[:-1])
        forgiven = (entry.void + entry.forgives @ entry.shared) / entry.sizes
        wrong.append(entry.scores[~hits.any(0) & (forgiven <= threshold)])
    return _area_under(np.concatenate(right), np.concatenate(wrong), missed)


def _area_under(right: Numbers, wrong: Numbers, missed: int) -> float:
    """The script's integral: precision at each distinct score, times half the recall between its neighbours."""
    scores = np.concatenate((right, wrong))
    order = scores.argsort()
    true = (np.arange(len(scores)) < len(right))[order]
    _, first = np.unique(scores[order], return_index=True)
    hits = len(right) - (np.cumsum(true) - true)[first]  # at least as sure as each distinct score
    taken = len(scores) - first
    precision = np.append(hits / taken, 1.0)
    recall = np.append(hits / (len(right) + missed), 0.0)
    padded = np.concatenate((recall[:1], recall, [0.0]))
    return float(precision @ ((padded[:-2] - padded[2:]) / 2))


def _mean(values: Numbers) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None

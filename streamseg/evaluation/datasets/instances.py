"""Average precision of instances as COCO defines it, by pycocotools.

Each picture is matched by itself (`COCOeval.evaluateImg`), and what the curves need of it is kept: the score of each
detection, and for each size of object and IoU whether it was right, or does not count. That adds up over pictures. In
the end `COCOeval.accumulate` makes the curves, category by category.
"""

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from ...panoptic import Instances
from ...vocabulary import Vocabulary
from .instance_truth import mask_tools

__all__ = ["CocoPrecision"]

AREAS = ("all", "small", "medium", "large")  # pycocotools' order
MOST = 100  # detections of a category and picture


@dataclass(frozen=True, slots=True, eq=False)
class _Matches:
    """Detections of one category in one picture.

    Attributes:
        scores: (D,) in the order of matching.
        right, ignored: (A, T, D) bool, for each size of object and IoU.
        true: (A,) int64, objects that should be found.
    """

    scores: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]
    ignored: npt.NDArray[np.bool_]
    true: npt.NDArray[np.int64]


class CocoPrecision:
    """What is kept of any number of pictures: some ten bytes for each detection.

    Args:
        vocabulary: its things are scored; their ids are those of the document of instances.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._matches: dict[int, list[_Matches]] = {
            category.id: [] for category in vocabulary.categories if category.isthing
        }

    def add(self, truth: Sequence[dict[str, Any]], predicted: Instances) -> None:
        """One picture.

        Args:
            truth: of `InstanceTruth.of`.
            predicted: with positions in the vocabulary for classes.
        """
        detections = self._detections(predicted)
        for category in {entry["category_id"] for entry in (*truth, *detections)} & self._matches.keys():
            ours = [entry for entry in truth if entry["category_id"] == category]
            theirs = [entry for entry in detections if entry["category_id"] == category]
            self._matches[category].append(_match(ours, theirs))

    def absorb(self, other: "CocoPrecision") -> None:
        """Add other pictures, which come after these."""
        for category, matches in other._matches.items():
            self._matches[category].extend(matches)

    def scores(self) -> dict[str, float | None]:
        """Fractions by name, as Detectron2 calls them; None where there is nothing to find."""
        curves = self._curves()
        whole = _stack(curves.values())
        sizes = {f"AP{name[0]}": _mean(whole[:, :, :, AREAS.index(name)]) for name in AREAS[1:]}
        return {"AP": _mean(whole[..., 0]), "AP50": _mean(whole[0, ..., 0]), "AP75": _mean(whole[5, ..., 0])} | sizes

    def per_class(self) -> dict[int, float | None]:
        """AP by category id."""
        return {category: _mean(curve[..., 0]) for category, curve in self._curves().items()}

    def _detections(self, predicted: Instances) -> list[dict[str, Any]]:
        tools = mask_tools()
        masks = predicted.masks.cpu().numpy().astype(np.uint8)
        encoded = tools.encode(np.asfortranarray(masks.transpose(1, 2, 0))) if len(masks) else []
        areas = tools.area(encoded) if encoded else []
        found = zip(encoded, areas, predicted.scores.tolist(), predicted.classes.tolist(), strict=True)
        return [
            {
                "id": number,
                "category_id": self.vocabulary.categories[position].id,
                "segmentation": mask,
                "area": int(area),
                "score": score,
                "iscrowd": 0,
            }
            for number, (mask, area, score, position) in enumerate(found, start=1)
        ]

    def _curves(self) -> Mapping[int, npt.NDArray[np.float64]]:
        """(T, R, A) precision at each IoU, recall and size of object, by category; -1 where there is nothing."""
        return {category: _curve(matches) for category, matches in self._matches.items()}


def _evaluation() -> Any:
    """pycocotools' evaluation without data."""
    mask_tools()  # says so where pycocotools is missing
    return import_module("pycocotools.cocoeval").COCOeval(iouType="segm")


def _match(truth: list[dict[str, Any]], detections: list[dict[str, Any]]) -> _Matches:
    evaluation = _evaluation()
    evaluation.params.imgIds, evaluation.params.catIds = [0], [0]
    evaluation._gts[0, 0], evaluation._dts[0, 0] = truth, detections
    evaluation.ious[0, 0] = evaluation.computeIoU(0, 0)
    found = [evaluation.evaluateImg(0, 0, area, MOST) for area in evaluation.params.areaRng]
    return _Matches(
        np.array(found[0]["dtScores"], np.float64),
        np.stack([entry["dtMatches"] != 0 for entry in found]),
        np.stack([entry["dtIgnore"] != 0 for entry in found]),
        np.array([np.count_nonzero(np.asarray(entry["gtIgnore"]) == 0) for entry in found], np.int64),
    )


def _curve(matches: Sequence[_Matches]) -> npt.NDArray[np.float64]:
    """(T, R, A)."""
    evaluation = _evaluation()
    evaluation.params.catIds = [0]
    evaluation.params.imgIds = list(range(len(matches)))
    evaluation.params.maxDets = [MOST]
    evaluation._paramsEval = deepcopy(evaluation.params)
    evaluation.evalImgs = [
        {
            "dtScores": entry.scores.tolist(),
            "dtMatches": entry.right[area],
            "dtIgnore": entry.ignored[area],
            "gtIgnore": np.zeros(entry.true[area]),
        }
        for area in range(len(AREAS))
        for entry in matches
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    precision: npt.NDArray[np.float64] = evaluation.eval["precision"][:, :, 0, :, 0]
    return precision


def _stack(curves: Iterable[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """(T, R, K, A)."""
    return np.stack(list(curves), axis=2)


def _mean(precision: npt.NDArray[np.float64]) -> float | None:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else None

"""Mean IoU of classes: a table of how often each class was taken for each, over all pixels that the truth labels."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...errors import EvaluationError
from ...vocabulary import Vocabulary
from ..metrics.semantic_quality import SemanticScores
from .annotations import IGNORED

__all__ = ["ClassTable"]

Classes = npt.NDArray[np.integer[Any]]


class ClassTable:
    """Counts over any number of pictures.

    Args:
        vocabulary: the classes, in order.
        mean_over: which classes enter the mean: those of the "truth", as in Detectron2, or also those that are only
            "predicted", which then count as 0, as in Cityscapes' script.
    """

    def __init__(self, vocabulary: Vocabulary, mean_over: Literal["truth", "predicted"] = "truth") -> None:
        self.vocabulary = vocabulary
        self.mean_over = mean_over
        self._counts = np.zeros((len(vocabulary), len(vocabulary)), np.int64)  # truth, then prediction

    def add(self, truth: Classes, predicted: Classes) -> None:
        """One picture.

        Args:
            truth: (H, W) positions in the vocabulary, or `IGNORED`.
            predicted: (H, W) positions in the vocabulary.

        Raises:
            EvaluationError: the sizes differ.
        """
        if truth.shape != predicted.shape:
            raise EvaluationError(
                f"the labels are {'x'.join(map(str, truth.shape))} and the picture is "
                f"{'x'.join(map(str, predicted.shape))}, expected one size"
            )
        count = len(self.vocabulary)
        labelled = truth != IGNORED
        pairs = truth[labelled].astype(np.int64) * count + predicted[labelled]
        self._counts += np.bincount(pairs, minlength=count * count).reshape(count, count)

    def absorb(self, other: "ClassTable") -> None:
        """Add the counts of other pictures."""
        self._counts += other._counts

    def result(self) -> SemanticScores:
        """Counts of each category, by its id."""
        ids = [category.id for category in self.vocabulary.categories]
        sums = self._counts.sum(1), self._counts.sum(0), self._counts.diagonal()
        return SemanticScores(*(dict(zip(ids, counts.tolist(), strict=True)) for counts in sums))

    def scores(self) -> dict[str, float | None]:
        """Fractions by name, as Detectron2 calls them."""
        result = self.result()
        return {
            "mIoU": result.mean_iou if self.mean_over == "truth" else result.mean_iou_union,
            "fwIoU": result.frequency_weighted_iou,
            "mACC": result.mean_accuracy,
            "pACC": result.pixel_accuracy,
        }

    def per_class(self) -> dict[int, float | None]:
        """IoU by category id."""
        result = self.result()
        return {category.id: result.iou(category.id) for category in self.vocabulary.categories}

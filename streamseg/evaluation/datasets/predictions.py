"""What a model says of a picture, in the three forms that are scored."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...panoptic import Instances, PanopticMap, instance_inference, panoptic_from_queries, published_scores
from ...queries import Queries
from ...vocabulary import Vocabulary
from .class_maps import class_map

__all__ = ["Prediction", "Predictor", "QueriesPrediction", "Segments", "predictor_of"]

TOP_K = 100  # pairs of query and category, as published


class Prediction(Protocol):
    """One picture's. Each form is made when it is asked for."""

    def panoptic(self) -> PanopticMap:
        """Segments with the vocabulary's category ids."""

    def classes(self) -> npt.NDArray[np.int64]:
        """(H, W), positions in the vocabulary."""

    def instances(self) -> Instances:
        """Scored masks of things; `classes` are positions in the vocabulary."""


Predictor = Callable[[npt.NDArray[np.uint8]], Prediction]
"""From (H, W, 3) uint8 RGB to what is said of it."""


class Segments(Protocol):
    """What is asked of a segmenter."""

    def segment(self, frames: Sequence[Any], vocabulary: Vocabulary) -> list[Queries]: ...


class QueriesPrediction:
    """The published heads on all queries of a picture.

    Args:
        queries: none left out: `min_objectness` of the segmenter has to be 0.
        upsample: as of `class_map`.
    """

    def __init__(self, queries: Queries, upsample: Literal["masks", "scores"]) -> None:
        self.queries = queries
        self.upsample = upsample

    @cached_property
    def _probabilities(self) -> Tensor:
        return published_scores(self.queries)

    @torch.inference_mode()
    def panoptic(self) -> PanopticMap:
        return panoptic_from_queries(self.queries)

    @torch.inference_mode()
    def classes(self) -> npt.NDArray[np.int64]:
        found = class_map(self._probabilities, self.queries.mask_logits, self.queries.geometry, upsample=self.upsample)
        return found.cpu().numpy()

    @torch.inference_mode()
    def instances(self) -> Instances:
        """Only the masks of queries among the best pairs are brought to the picture's size."""
        flat = self._probabilities[:, :-1].flatten()
        pairs = flat.topk(min(TOP_K, flat.numel())).indices
        used = torch.unique(pairs // max(1, self._probabilities.shape[1] - 1))
        chosen, geometry = self.queries.mask_logits[used].float(), self.queries.geometry
        masks = geometry.upsample(chosen) if len(used) else chosen.new_zeros(0, *geometry.output_hw)
        return instance_inference(self._probabilities[used], masks, self.queries.vocabulary.categories, top_k=TOP_K)


def predictor_of(segmenter: Segments, vocabulary: Vocabulary, upsample: Literal["masks", "scores"]) -> Predictor:
    """A segmenter as what is evaluated: one picture at a time, as published."""

    def predict(picture: npt.NDArray[np.uint8]) -> Prediction:
        return QueriesPrediction(segmenter.segment([picture], vocabulary)[0], upsample)

    return predict

"""A look at what was learned: fixed examples with their truth and the model's panoptic result side by side."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..frames import Frame, FrameResult
from ..panoptic import panoptic_from_queries
from ..segmenter import Segmenter
from ..sinks.render import draw_overlay
from ..vocabulary import Vocabulary
from .data.batches import Batch
from .network import normalize

__all__ = ["render_examples"]

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TrueSegment:
    """An annotated segment, described as the overlay wants it."""

    id: int
    category_id: int
    label: str
    isthing: bool
    score: float = 1.0


@torch.inference_mode()
def render_examples(segmenter: Segmenter, batch: Batch) -> Iterator[Picture]:
    """For each picture of the batch, (H, 2 W, 3) uint8: the truth on the left, the prediction on the right."""
    height, width = batch.images.shape[-2:]
    spec = segmenter.spec
    images = normalize(batch.images.to(segmenter.device), spec.pixel_mean, spec.pixel_std)
    for row, image in enumerate(images):  # one by one: a look needs no speed, and little memory
        valid_hw = torch.tensor([[height, width]])
        (queries,) = segmenter.segment_tensors(image[None], valid_hw, [(height, width)], [batch.vocabulary])
        panoptic = panoptic_from_queries(queries)
        frame = Frame(np.ascontiguousarray(batch.images[row].permute(1, 2, 0).cpu().numpy()))
        truth = _truth(frame, batch, row)
        found = FrameResult.from_map(
            frame, panoptic.ids, panoptic.segments, model=spec.name, vocabulary=batch.vocabulary
        )
        sides = [draw_overlay(frame.rgb, side.panoptic, side.segments) for side in (truth, found)]
        yield np.concatenate(sides, axis=1)


def _truth(frame: Frame, batch: Batch, row: int) -> FrameResult:
    targets, vocabulary = batch.targets[row], batch.vocabulary
    ids = np.zeros(frame.size_hw, np.int32)
    for number, mask in enumerate(targets.masks.cpu().numpy(), start=1):
        ids[mask] = number
    segments = [_described(number, label, vocabulary) for number, label in enumerate(targets.labels.tolist(), start=1)]
    return FrameResult.from_map(frame, ids, segments, model="truth", vocabulary=vocabulary)


def _described(number: int, label: int, vocabulary: Vocabulary) -> TrueSegment:
    category = vocabulary.categories[label]
    return TrueSegment(number, category.id, category.label, category.isthing)

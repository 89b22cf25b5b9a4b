"""A segmenter that returns what a script says: masks for painted pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from ..frames import Frame
from ..queries import MaskGeometry, Queries
from ..vocabulary import Vocabulary

__all__ = ["ScriptedMask", "ScriptedSegmenter", "masks_by_color"]

EMBEDDING_DIM = 16
VOID_PROBABILITY = 0.02
SURE_LOGIT = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class ScriptedMask:
    """One query to return: (H, W) bool, the position of its category in the vocabulary, and how sure the model is."""

    mask: npt.NDArray[np.bool_]
    category: int
    probability: float = 0.9


Script = Callable[[npt.NDArray[np.uint8], Vocabulary], Sequence[ScriptedMask]]


class ScriptedSegmenter:
    """Returns what a script says instead of asking a model; the same doors as `Segmenter`.

    Args:
        script: the masks for a picture under a vocabulary.
        max_batch: as of `Segmenter`.
        device: what it claims to run on; the tensors are on the CPU.

    Attributes:
        batches: sizes (height, width) of the pictures of each call, in order.
    """

    def __init__(self, script: Script, *, max_batch: int = 8, device: str = "cpu") -> None:
        self.script = script
        self.max_batch = max_batch
        self.device = torch.device(device)
        self.spec = SimpleNamespace(name="scripted")
        self.batches: list[list[tuple[int, int]]] = []

    def identity(self) -> dict[str, object]:
        """As of `Segmenter`."""
        return {"model": self.spec.name}

    def segment(
        self, frames: Sequence[Frame | npt.NDArray[np.uint8]], vocabulary: Vocabulary | Sequence[Vocabulary]
    ) -> list[Queries]:
        """One `Queries` per frame."""
        pictures = [frame.rgb if isinstance(frame, Frame) else frame for frame in frames]
        vocabularies = [vocabulary] * len(pictures) if isinstance(vocabulary, Vocabulary) else list(vocabulary)
        self.batches.append([picture.shape[:2] for picture in pictures])
        return [_queries(self.script(*pair), *pair) for pair in zip(pictures, vocabularies, strict=True)]


def masks_by_color(picture: npt.NDArray[np.uint8], vocabulary: Vocabulary) -> list[ScriptedMask]:
    """A script for painted pictures: pure red is the first category, green the second, blue the third, else void."""
    masks = ((picture == 255 * np.eye(3, dtype=np.uint8)[channel]).all(2) for channel in range(3))
    return [ScriptedMask(mask, i) for i, mask in enumerate(masks) if mask.any() and i < len(vocabulary.all_categories)]


def _queries(masks: Sequence[ScriptedMask], picture: npt.NDArray[np.uint8], vocabulary: Vocabulary) -> Queries:
    height, width = picture.shape[:2]
    padded = (height + -height % 4, width + -width % 4)
    count, classes = len(masks), len(vocabulary.all_categories)
    logits = torch.full((count, *padded), -SURE_LOGIT)
    probabilities = torch.zeros(count, classes)
    embeddings = torch.zeros(count, EMBEDDING_DIM)
    for query, scripted in enumerate(masks):
        logits[query, :height, :width] = (torch.from_numpy(scripted.mask).float() * 2 - 1) * SURE_LOGIT
        probabilities[query] = (1 - scripted.probability) / max(1, classes - 1)
        probabilities[query, scripted.category] = scripted.probability
        embeddings[query, scripted.category % EMBEDDING_DIM] = 1
    return Queries(
        vocabulary=vocabulary,
        geometry=MaskGeometry(padded, (height, width), (height, width)),
        slots=torch.arange(count),
        mask_logits=F.avg_pool2d(logits, 4) if count else torch.zeros(0, padded[0] // 4, padded[1] // 4),
        class_log_scores=probabilities.clamp(min=1e-9).log(),
        void_probability=torch.full((count,), VOID_PROBABILITY),
        training_void_probability=torch.full((count,), VOID_PROBABILITY),
        in_vocabulary_embedding=embeddings,
        out_of_vocabulary_embedding=embeddings,
        clip_valid=torch.ones(count, dtype=torch.bool),
        query_embedding=embeddings,
        pixel_feature=embeddings,
        global_clip_embedding=F.normalize(torch.ones(EMBEDDING_DIM), dim=0),
    )

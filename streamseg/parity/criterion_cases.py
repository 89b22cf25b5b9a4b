"""Stored cases of the training criterion: fixed predictions and targets, and what the original made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import ParityError
from ..fcclip.criterion import StageLogits
from ..fcclip.targets import Targets
from .checks import Array

__all__ = ["CriterionCase", "Pairs", "is_criterion_case", "read_criterion_case"]

Pairs = frozenset[tuple[int, int]]  # (query, target), of one image

FACTS = ("layers", "target_size", "target_counts", "draws", "losses", "matching")


@dataclass(frozen=True, slots=True, eq=False)
class CriterionCase:
    """One stored case.

    Attributes:
        path: of the pair of files, without suffix.
        stages: the predictions, the final one last.
        targets: of each image.
        draws: of random points, that the original's means are over.
        losses: (mean, standard deviation) by name.
        matchings: by stage and image, those that the original was seen to choose.
        grad_logits, grad_masks: mean gradient of the weighted losses of the last stage, shaped like its logits.
    """

    path: Path
    stages: list[StageLogits]
    targets: list[Targets]
    draws: int
    losses: dict[str, tuple[float, float]]
    matchings: list[list[set[Pairs]]]
    grad_logits: Array
    grad_masks: Array

    @property
    def name(self) -> str:
        return self.path.name


def is_criterion_case(facts: dict[str, Any]) -> bool:
    """Whether these are facts of the criterion, rather than of the model."""
    return any(key in facts for key in ("losses", "matching", "target_counts"))


def read_criterion_case(path: Path, facts: dict[str, Any], tensors: dict[str, Array]) -> CriterionCase:
    """Check the facts and tensors of a pair of files, and unpack them.

    Raises:
        ParityError: something is missing, or does not fit the rest.
    """
    missing = [key for key in FACTS if key not in facts]
    if not missing:
        missing = [key for key in _tensor_names(facts) if key not in tensors]
    if missing:
        raise ParityError(f"{path} is no criterion case: {', '.join(missing)} missing")
    try:
        stages = _stages(facts, tensors)
        return CriterionCase(
            path=path,
            stages=stages,
            targets=_targets(facts, tensors, categories=stages[0].class_logits.shape[2] - 1),
            draws=_count("draws", facts["draws"], least=1),
            losses=_losses(facts["losses"]),
            matchings=[_matchings(facts["matching"], number, len(facts["target_counts"])) for number in _layers(facts)],
            grad_logits=_gradient("grad_logits", tensors, stages[-1].class_logits.shape),
            grad_masks=_gradient("grad_masks", tensors, stages[-1].mask_logits.shape),
        )
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ParityError(f"{path} is no criterion case: {' '.join(str(error).split())}") from None


def _layers(facts: dict[str, Any]) -> range:
    return range(_count("layers", facts["layers"], least=1))


def _tensor_names(facts: dict[str, Any]) -> list[str]:
    """What the .npz must hold; nothing yet if the facts are no numbers, which is found later."""
    layers, counts = facts["layers"], facts["target_counts"]
    stages = range(layers) if isinstance(layers, int) else ()
    images = range(len(counts)) if isinstance(counts, list) else ()
    return [
        *(f"pred_{part}_{number}" for number in stages for part in ("logits", "masks")),
        *(f"{part}_{image}" for image in images for part in ("labels", "masks")),
        *("grad_logits", "grad_masks"),
    ]


def _count(name: str, value: object, *, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}, expected a whole number from {least} on")
    return value


def _stages(facts: dict[str, Any], tensors: dict[str, Array]) -> list[StageLogits]:
    stages = []
    for number in _layers(facts):
        logits = _floats(f"pred_logits_{number}", tensors, dimensions=3)
        masks = _floats(f"pred_masks_{number}", tensors, dimensions=4)
        stages.append(StageLogits(torch.from_numpy(logits), torch.from_numpy(masks)))
    _, queries, columns = stages[-1].class_logits.shape
    expected = (len(facts["target_counts"]), queries, facts.get("num_classes", columns - 1) + 1)
    for number, stage in enumerate(stages):
        _expect_shape(f"pred_logits_{number}", stage.class_logits.shape, expected)
        _expect_shape(f"pred_masks_{number}", stage.mask_logits.shape, (*expected[:2], *stage.mask_logits.shape[2:]))
    return stages


def _expect_shape(name: str, shape: Sequence[int], expected: Sequence[int]) -> None:
    if tuple(shape) != tuple(expected) or 0 in shape:
        raise ValueError(f"{name} has shape {tuple(shape)}, expected {tuple(expected)}, none of them 0")


def _floats(name: str, tensors: dict[str, Array], *, dimensions: int) -> Array:
    array = tensors[name]
    if array.ndim != dimensions or array.dtype.kind != "f":
        raise ValueError(f"{name} is {array.dtype} {array.shape}, expected floats in {dimensions} dimensions")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite")
    return np.ascontiguousarray(array, dtype=np.float32)


def _gradient(name: str, tensors: dict[str, Array], shape: Sequence[int]) -> Array:
    array = _floats(name, tensors, dimensions=len(shape))
    _expect_shape(name, array.shape, shape)
    return array.astype(np.float64)


def _targets(facts: dict[str, Any], tensors: dict[str, Array], *, categories: int) -> list[Targets]:
    height, width = (_count("target_size", size, least=1) for size in facts["target_size"])
    targets = []
    for image, number in enumerate(facts["target_counts"]):
        count = _count("target_counts", number, least=0)
        labels, packed = tensors[f"labels_{image}"], tensors[f"masks_{image}"]
        if labels.shape != (count,) or (count and not 0 <= labels.min() <= labels.max() < categories):
            raise ValueError(f"labels_{image} is {labels.tolist()}, expected {count} from 0 to {categories - 1}")
        if packed.shape != (-(-count * height * width // 8),) or packed.dtype != np.uint8:
            raise ValueError(
                f"masks_{image} is {packed.dtype} {packed.shape}, expected the packed bits of "
                f"{count} masks of {height}x{width}"
            )
        masks = np.unpackbits(packed, count=count * height * width).reshape(count, height, width)
        targets.append(Targets(torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(masks.astype(bool))))
    return targets


def _losses(stored: dict[str, Any]) -> dict[str, tuple[float, float]]:
    losses = {name: (float(values["mean"]), float(values["std"])) for name, values in stored.items()}
    for name, (mean, std) in losses.items():
        if not isfinite(mean) or not 0 <= std < float("inf"):
            raise ValueError(f"{name} has mean {mean} and std {std}, expected finite numbers, std from 0 on")
    return losses


def _matchings(stored: dict[str, Any], number: int, images: int) -> list[set[Pairs]]:
    """Of one stage, by image."""
    listed = stored.get(str(number))
    if not listed or any(len(matching) != images for matching in listed):
        raise ValueError(f"matching of layer {number} is no list of matchings, each of {images} images")
    return [{frozenset(zip(*matching[image], strict=True)) for matching in listed} for image in range(images)]

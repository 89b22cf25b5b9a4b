"""Queries made by hand: boxes with a label, an objectness and looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from streamseg.queries import MaskGeometry, Queries
from streamseg.vocabulary import Vocabulary

SIZE_HW = (128, 192)
CHANNELS = 16
VOCABULARY = Vocabulary.parse("car; person; dog; grass:stuff; sky:stuff").with_background(Vocabulary.parse("cup; sea"))
CAR, PERSON, DOG, GRASS, SKY, CUP, SEA = range(7)
SURE = 8.0


@dataclass(frozen=True)
class Box:
    """A query: rows and columns of its mask in pixels, what it is called, and what it looks like."""

    top: int
    left: int
    height: int
    width: int
    label: int = CAR
    looks: int = 0
    objectness: float = 0.9
    probability: float = 0.9
    void: float = 0.1


def made(boxes: Sequence[Box], *, vocabulary: Vocabulary = VOCABULARY, scene: int = 0) -> Queries:
    """One frame."""
    count, classes = len(boxes), len(vocabulary.all_categories)
    logits = torch.full((count, SIZE_HW[0] // 4, SIZE_HW[1] // 4), -SURE)
    probabilities = torch.zeros(count, classes)
    for query, box in enumerate(boxes):
        rows = slice(max(0, box.top) // 4, max(0, box.top + box.height) // 4)
        columns = slice(max(0, box.left) // 4, max(0, box.left + box.width) // 4)
        logits[query, rows, columns] = SURE
        probabilities[query] = (1 - box.probability) / (classes - 1)
        probabilities[query, box.label] = box.probability
    embedding = torch.stack([looks(box.looks) for box in boxes]) if boxes else torch.zeros(0, CHANNELS)
    return Queries(
        vocabulary=vocabulary,
        geometry=MaskGeometry(SIZE_HW, SIZE_HW, SIZE_HW),
        slots=torch.arange(count),
        mask_logits=logits,
        class_log_scores=probabilities.log(),
        void_probability=torch.tensor([box.void for box in boxes]),
        training_void_probability=torch.tensor([1 - box.objectness for box in boxes]),
        in_vocabulary_embedding=embedding,
        out_of_vocabulary_embedding=2 * embedding,
        clip_valid=torch.ones(count, dtype=torch.bool),
        query_embedding=embedding,
        pixel_feature=embedding,
        global_clip_embedding=looks(100 + scene),
    )


def looks(number: int) -> Tensor:
    """(CHANNELS,) of unit length; different numbers are nearly orthogonal."""
    return F.normalize(torch.randn(CHANNELS, generator=torch.Generator().manual_seed(number)), dim=0)


def assert_same(first: Any, second: Any, where: str = "") -> None:
    """Nested values are equal, arrays and floats bit for bit."""
    if isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_same(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for position, pair in enumerate(zip(first, second, strict=True)):
            assert_same(*pair, f"{where}[{position}]")
    elif isinstance(first, np.ndarray):
        assert first.dtype == second.dtype, where
        np.testing.assert_array_equal(first, second, err_msg=where)
    else:
        assert first == second, where


def through_json(state: dict[str, Any]) -> dict[str, Any]:
    """What is left of a state that was written as JSON beside plain arrays."""
    import json

    arrays: list[npt.NDArray[Any]] = []

    def out(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            arrays.append(value)
            return {"array": len(arrays) - 1}
        if isinstance(value, dict):
            return {key: out(item) for key, item in value.items()}
        return [out(item) for item in value] if isinstance(value, list | tuple) else value

    def back(value: Any) -> Any:
        if isinstance(value, dict):
            return arrays[value["array"]] if value.keys() == {"array"} else {k: back(v) for k, v in value.items()}
        return [back(item) for item in value] if isinstance(value, list) else value

    restored: dict[str, Any] = back(json.loads(json.dumps(out(state), allow_nan=False)))
    return restored

"""Words and things of the world as vectors, so that a scripted segmenter can be asked with any vocabulary.

Every word has a random direction. "red striped car" is its noun and, with less weight, what is said about it; so a red
car is nearer to "red car" than to "car", and nearer to "car" than to "fish". One further coordinate stands for void.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
import torch

from ..fcclip.classifier import TextClassifier
from ..vocabulary import Vocabulary
from ..world.names import COLORS, PATTERNS, SHAPES, STUFF, Named
from ..world.seeds import generator

__all__ = ["EMBEDDING_DIM", "VOID", "WORD_DIM", "phrase", "text_classifier", "unit"]

WORD_DIM = 63
EMBEDDING_DIM = WORD_DIM + 1  # void is the last
ADJECTIVE_WEIGHT = 0.6

Vector = npt.NDArray[np.float64]

VOID = np.eye(EMBEDDING_DIM)[-1]


def unit(vector: Vector) -> Vector:
    """Of length 1."""
    scaled: Vector = vector / np.linalg.norm(vector)
    return scaled


@cache
def phrase(text: str) -> Vector:
    """(WORD_DIM,) of unit length; synonyms of the world's words have the same."""
    words, adjectives = text.split(), _names(COLORS) | _names(PATTERNS)
    described = [word for word in words[:-1] if word in adjectives]
    noun = " ".join(words[len(described) :])
    vector = _direction((_names(SHAPES) | _names(STUFF)).get(noun, noun))
    for word in described:
        vector = vector + ADJECTIVE_WEIGHT * _direction(adjectives[word])
    return unit(vector)


@cache
def text_classifier(vocabulary: Vocabulary) -> TextClassifier:
    """A vocabulary, background included, as the real class step takes it."""
    categories = vocabulary.all_categories
    rows = [np.append(phrase(name), 0.0) for category in categories for name in category.names]
    return TextClassifier(
        torch.tensor(np.stack(rows), dtype=torch.float32),
        tuple(len(category.names) for category in categories),
        torch.ones(len(categories), dtype=torch.bool),
    )


@cache
def _direction(word: str) -> Vector:
    return unit(generator("word", word).normal(size=WORD_DIM))


@cache
def _names(named: tuple[Named, ...]) -> dict[str, str]:
    """Every name and synonym, and what it stands for."""
    return {name: entry.name for entry in named for name in entry.names}

"""The built-in vocabularies of the world, which are files, against the names that they are written from.

To write them anew: `world_vocabulary(kind).save("streamseg/data/vocabularies/NAME.json")`.
"""

import pytest

from streamseg.vocabulary import Vocabulary, seen_mask
from streamseg.world.names import SHAPES, STUFF, shape_exposure, world_vocabulary


@pytest.mark.parametrize("kind", ["shapes", "colors", "training"])
def test_files_equal_the_names(kind: str) -> None:
    expected = world_vocabulary(kind)  # type: ignore[arg-type]
    assert Vocabulary.load(expected.name) == expected


def test_seen_follows_the_split() -> None:
    world, training = Vocabulary.load("world"), Vocabulary.load("world-training")
    expected = [shape_exposure(shape.name) == "seen" for shape in SHAPES] + [True] * len(STUFF)
    assert seen_mask(world.categories, training) == expected
    assert 0 < expected.count(False) < len(SHAPES)

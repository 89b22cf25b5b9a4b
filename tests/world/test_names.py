"""What there is, what it is called, and which of it training never meets."""

from collections import Counter

import pytest

from streamseg.errors import ConfigError
from streamseg.vocabulary import Vocabulary
from streamseg.world.names import (
    COLORS,
    PATTERNS,
    SHAPES,
    STUFF,
    UNSEEN_SHAPES,
    Composition,
    compositions,
    exposure,
    pair_exposure,
    pool,
    shape_exposure,
    training_vocabularies,
    world_vocabulary,
)

EVERYTHING = (*SHAPES, *COLORS, *PATTERNS, *STUFF)


def names_of(vocabulary: Vocabulary) -> list[str]:
    return [name for category in vocabulary.categories for name in category.names]


def test_no_word_means_two_things() -> None:
    counts = Counter(name for named in EVERYTHING for name in named.names)
    assert [name for name, count in counts.items() if count > 1] == []
    assert all(name == name.casefold().strip() for name in counts)


def test_every_composition_is_there_once() -> None:
    assert len(compositions()) == len(set(compositions())) == len(SHAPES) * len(COLORS) * len(PATTERNS) == 1632


def test_a_plain_pattern_goes_without_saying() -> None:
    assert Composition("car", "red", "striped").text == "red striped car"
    assert Composition("car", "red", "plain").text == "red car"


# What is held out.


def test_a_fifth_of_the_compositions_of_seen_shapes_is_held_out() -> None:
    of_seen_shapes = [kind for kind in compositions() if shape_exposure(kind.shape) == "seen"]
    held_out = [kind for kind in of_seen_shapes if exposure(kind) != "seen"]
    assert 0.2 <= len(held_out) / len(of_seen_shapes) < 0.3
    assert {exposure(kind) for kind in held_out} == {"clip-only", "never"}


def test_whole_shapes_are_held_out() -> None:
    unseen = [shape.name for shape in SHAPES if shape_exposure(shape.name) != "seen"]
    assert sorted(unseen) == sorted(UNSEEN_SHAPES)
    assert len(unseen) >= 4
    for kind in compositions():
        if kind.shape in unseen:
            assert exposure(kind) == shape_exposure(kind.shape)


def test_the_clip_meets_most_of_what_is_held_out_but_not_all() -> None:
    held_out = [kind for kind in compositions() if exposure(kind) != "seen"]
    never = [kind for kind in held_out if exposure(kind) == "never"]
    assert 0.3 < len(never) / len(held_out) < 0.6
    assert {shape_exposure(shape) for shape in UNSEEN_SHAPES} == {"clip-only", "never"}


@pytest.mark.parametrize("shape", [shape.name for shape in SHAPES if shape.name not in UNSEEN_SHAPES])
def test_every_seen_shape_misses_some_colours_and_meets_most(shape: str) -> None:
    pairs = Counter(pair_exposure(shape, color.name) for color in COLORS)
    assert pairs["seen"] >= 8
    assert pairs["clip-only"] + pairs["never"] >= 2


@pytest.mark.parametrize("color", [color.name for color in COLORS])
def test_every_colour_misses_some_shapes_and_meets_most(color: str) -> None:
    pairs = Counter(pair_exposure(shape.name, color) for shape in SHAPES if shape.name not in UNSEEN_SHAPES)
    assert pairs["seen"] >= 15
    assert pairs["clip-only"] + pairs["never"] >= 2


def test_a_pair_is_as_exposed_as_its_most_exposed_pattern() -> None:
    order = ("seen", "clip-only", "never")
    for shape in SHAPES:
        for color in COLORS:
            exposures = [exposure(Composition(shape.name, color.name, pattern.name)) for pattern in PATTERNS]
            assert pair_exposure(shape.name, color.name) == min(exposures, key=order.index)


# Pools.


def test_pools_split_everything() -> None:
    parts = [set(pool("seen")), set(pool("unseen")), set(pool("unseen-shapes"))]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(pool("all")) == len(compositions())


def test_what_each_pool_holds() -> None:
    assert {exposure(kind) for kind in pool("seen")} == {"seen"}
    assert {exposure(kind) for kind in pool("clip")} == {"seen", "clip-only"}
    assert {kind.shape for kind in pool("unseen")}.isdisjoint(UNSEEN_SHAPES)
    assert {kind.shape for kind in pool("unseen-shapes")} == set(UNSEEN_SHAPES)
    assert set(pool("seen")) < set(pool("clip")) < set(pool("all"))


def test_an_unknown_pool_names_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"'novel', expected one of all, seen, clip, unseen, unseen-shapes"):
        pool("novel")  # type: ignore[arg-type]


# Vocabularies.


def test_sizes_of_the_vocabularies() -> None:
    assert len(world_vocabulary("shapes").categories) == len(SHAPES) + len(STUFF) == 46
    assert len(world_vocabulary("colors").categories) == len(SHAPES) * len(COLORS) + len(STUFF) == 420
    shapes, pairs = training_vocabularies()
    assert len(shapes.categories) == len(SHAPES) - len(UNSEEN_SHAPES) + len(STUFF) == 41
    seen_pairs = {(kind.shape, kind.color) for kind in pool("seen")}
    assert len(pairs.categories) == len(seen_pairs) + len(STUFF)
    training = world_vocabulary("training")
    assert len(training.categories) == len(shapes.categories) + len(seen_pairs)


@pytest.mark.parametrize("kind", ["shapes", "colors", "training"])
def test_vocabularies_name_nothing_twice_and_things_first(kind: str) -> None:
    vocabulary = world_vocabulary(kind)  # type: ignore[arg-type]
    names = names_of(vocabulary)
    assert len(names) == len(set(names))
    assert [category.id for category in vocabulary.categories] == list(range(1, len(vocabulary.categories) + 1))
    stuff = [category.label for category in vocabulary.categories if not category.isthing]
    assert stuff == [entry.name for entry in STUFF]
    assert [category.label for category in vocabulary.categories][-len(stuff) :] == stuff


def test_training_names_nothing_that_is_held_out() -> None:
    names = set(names_of(world_vocabulary("training")))
    for shape in SHAPES:
        assert names.isdisjoint(shape.names) == (shape.name in UNSEEN_SHAPES)
        for color in COLORS:
            spoken = {f"{name} {shape.name}" for name in color.names}
            assert names.isdisjoint(spoken) == (pair_exposure(shape.name, color.name) != "seen")


def test_training_is_the_union_of_what_batches_come_in() -> None:
    shapes, pairs = training_vocabularies()
    assert set(names_of(world_vocabulary("training"))) == set(names_of(shapes)) | set(names_of(pairs))


def test_pairs_are_said_with_the_colours_synonyms() -> None:
    by_label = {category.label: category.names for category in world_vocabulary("colors").categories}
    assert by_label["gray car"] == ("gray car", "grey car")
    assert by_label["red car"] == ("red car",)

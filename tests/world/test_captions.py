"""Captions: true, varied, reproducible, and read back as they were meant."""

import re

import numpy as np
import open_clip
import pytest

from streamseg.fcclip.text import VILD_TEMPLATES
from streamseg.world.captions import PROMPT_TEMPLATES, Meaning, caption, every_text, meaning
from streamseg.world.names import COLORS, PATTERNS, SHAPES, STUFF, compositions, world_vocabulary

EVERY_NAME = [name for named in (*SHAPES, *COLORS, *PATTERNS, *STUFF) for name in named.names]


def captions(count: int, seed: int = 0) -> list[str]:
    """Of random things and stuff."""
    rng = np.random.default_rng(seed)
    lines = []
    for index in range(count):
        thing = compositions()[rng.integers(len(compositions()))]
        background = STUFF[rng.integers(len(STUFF))].name
        lines.append(caption(background if index % 4 == 0 else thing, None if index % 3 == 0 else background, rng))
    return lines


def words(lines: list[str]) -> set[str]:
    return {word for line in lines for word in re.findall(r"[\w-]+", line.casefold())}


def test_every_caption_is_true() -> None:
    rng = np.random.default_rng(1)
    unsaid = dict.fromkeys(("color", "pattern", "background"), 0)
    for thing in compositions():
        said = meaning(caption(thing, "grass", rng))
        assert said.subject == thing.shape
        for attribute, truth in (("color", thing.color), ("pattern", thing.pattern), ("background", "grass")):
            found = getattr(said, attribute)
            assert found in (None, truth)
            unsaid[attribute] += found is None
    assert all(0.1 < count / len(compositions()) < 0.85 for count in unsaid.values()), unsaid


def test_stuff_stands_alone() -> None:
    rng = np.random.default_rng(2)
    for stuff in STUFF:
        for _ in range(20):
            assert meaning(caption(stuff.name, None, rng)) == Meaning(stuff.name)
            assert meaning(caption(stuff.name, "sky", rng)) == Meaning(stuff.name)


def test_no_background_is_said_where_none_is_known() -> None:
    rng = np.random.default_rng(3)
    assert all(meaning(caption(thing, None, rng)).background is None for thing in compositions())


def test_the_same_state_gives_the_same_lines() -> None:
    assert captions(50, seed=4) == captions(50, seed=4)
    assert captions(50, seed=4) != captions(50, seed=5)


def test_every_synonym_and_every_prompt_is_used() -> None:
    lines = captions(20_000)
    spoken = " ".join(lines)
    assert [name for name in EVERY_NAME if not re.search(rf"\b{name}\b", spoken)] == []
    for template in VILD_TEMPLATES:
        assert any(re.fullmatch(re.escape(template).replace(r"\{\}", ".+"), line) for line in lines), template


def test_prompts_are_those_of_the_text_encoder() -> None:
    assert PROMPT_TEMPLATES == VILD_TEMPLATES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a red striped car on grass", Meaning("car", "red", "striped", "grass")),
        ("This is a photo of a small grey lorry", Meaning("truck", "gray")),
        ("spotted violet sailing boat over the sea.", Meaning("sailboat", "purple", "dotted", "water")),
        ("a close-up of planks", Meaning("wooden floor")),
        ("a ring in front of bricks", Meaning("ring", background="brick wall")),
    ],
)
def test_meaning(text: str, expected: Meaning) -> None:
    assert meaning(text) == expected


def test_a_line_about_nothing_of_this_world() -> None:
    with pytest.raises(ValueError, match="'a photo of a carpet' names neither"):
        meaning("a photo of a carpet")


def test_every_text_covers_captions_and_vocabularies() -> None:
    tokenizer = open_clip.get_tokenizer("RN50")
    known = set(tokenizer(list(every_text()), 77).unique().tolist())
    names = [
        name for kind in ("shapes", "colors", "training") for c in world_vocabulary(kind).categories for name in c.names
    ]
    prompts = [template.format(name) for name in names for template in VILD_TEMPLATES]
    assert set(tokenizer(captions(3000) + prompts, 77).unique().tolist()) <= known
    assert not set(tokenizer(["a zebra"], 77).unique().tolist()) <= known
    assert words(captions(3000)) <= words(list(every_text()))


def test_captions_fit_into_a_short_context() -> None:
    tokens = open_clip.get_tokenizer("RN50")(captions(3000), 77)
    assert int(tokens.argmax(-1).max()) + 1 <= 32

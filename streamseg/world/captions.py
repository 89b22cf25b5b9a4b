"""What a caption says about a crop, and what it leaves unsaid.

A CLIP learns words from captions that describe a picture in many ways, most of them incomplete: "a red striped car on
grass", "This is a photo of a small automobile", "the lawn". `caption` writes such a line, `meaning` reads it back, so
that a contrastive loss knows which captions are true of which pictures, and which leave it open.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..prompts import VILD_TEMPLATES
from .names import COLORS, PATTERNS, SHAPES, STUFF, Composition, Named

__all__ = ["CAPTION_TEMPLATES", "PROMPT_TEMPLATES", "Meaning", "caption", "every_text", "meaning"]

PROMPT_TEMPLATES = VILD_TEMPLATES  # a trained model will be asked through these, so captions use them too

# `{}` is a noun phrase, with its article where it needs one.
CAPTION_TEMPLATES: tuple[str, ...] = (
    "{}",
    "{}.",
    "a picture of {}",
    "an image of {}.",
    "a close-up of {}",
    "a drawing of {}.",
    "here is {}",
    "this shows {}",
)
PLACES: tuple[str, ...] = ("on {}", "over {}", "against {}", "in front of {}", "with {} behind it")
ARTICLES: tuple[str, ...] = ("", "the", "one")

SAY_COLOR, SAY_PATTERN, SAY_PLAIN, SAY_BACKGROUND = 0.7, 0.6, 0.3, 0.25
USE_PROMPT, USE_SYNONYM, USE_OTHER_ORDER, USE_INDEFINITE_ARTICLE = 0.5, 0.35, 0.15, 0.6


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a caption says, in first names; None is left unsaid.

    Attributes:
        subject: a shape, or stuff where the caption names no shape.
        color, pattern: of the shape.
        background: the stuff around it.
    """

    subject: str
    color: str | None = None
    pattern: str | None = None
    background: str | None = None


def caption(subject: Composition | str, background: str | None, rng: np.random.Generator) -> str:
    """A line that is true of a crop, and need not be all that is true.

    Args:
        subject: the thing that the crop shows; or the name of stuff, where it shows nothing else.
        background: the name of the stuff behind a thing, if it is of one kind.
        rng: decides the wording; the same state gives the same line.
    """
    if isinstance(subject, str):
        phrase, countable = _spoken(_entry(STUFF, subject), rng), False
    else:
        phrase, countable = _noun_phrase(subject, rng), True
    place = "" if background is None or not countable or rng.random() >= SAY_BACKGROUND else _place(background, rng)
    if rng.random() < USE_PROMPT:
        return _pick(PROMPT_TEMPLATES, rng).format(phrase + place)
    return _pick(CAPTION_TEMPLATES, rng).format(_with_article(phrase, countable, rng) + place)


def meaning(text: str) -> Meaning:
    """What a line of `caption` says; wording and synonyms make no difference.

    Raises:
        ValueError: it names neither a shape nor stuff.
    """
    found: dict[str, str] = {}
    for match in _known_words().finditer(text.casefold()):
        kind, name = _kinds_and_names()[match.group()]
        found.setdefault(kind, name)
    if "shape" in found:
        return Meaning(found["shape"], found.get("color"), found.get("pattern"), found.get("stuff"))
    if "stuff" in found:
        return Meaning(found["stuff"])
    raise ValueError(f"the caption {text!r} names neither a shape nor stuff of this world")


def every_text() -> Iterator[str]:
    """Lines that hold, between them, each word of every caption, of every vocabulary of the world and of the prompts.

    Tokenizers work word by word, so the tokens of these lines are all that a text encoder of this world ever reads.
    """
    names = [name for named in (*SHAPES, *COLORS, *PATTERNS, *STUFF) for name in named.names]
    yield from names
    for template in (*PROMPT_TEMPLATES, *CAPTION_TEMPLATES, *PLACES):
        yield template.format(names[0])
    yield " ".join((*ARTICLES, "a", "an"))


def _noun_phrase(thing: Composition, rng: np.random.Generator) -> str:
    """'red striped car' with some of it left out or said in other words; plain goes without saying, mostly."""
    words = []
    if rng.random() < SAY_COLOR:
        words.append(_spoken(_entry(COLORS, thing.color), rng))
    if rng.random() < (SAY_PLAIN if thing.pattern == "plain" else SAY_PATTERN):
        words.append(_spoken(_entry(PATTERNS, thing.pattern), rng))
    if rng.random() < USE_OTHER_ORDER:
        words.reverse()
    return " ".join((*words, _spoken(_entry(SHAPES, thing.shape), rng)))


def _place(background: str, rng: np.random.Generator) -> str:
    return " " + _pick(PLACES, rng).format(_spoken(_entry(STUFF, background), rng))


def _with_article(phrase: str, countable: bool, rng: np.random.Generator) -> str:
    if countable and rng.random() < USE_INDEFINITE_ARTICLE:
        return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
    article = _pick(ARTICLES if countable else ARTICLES[:2], rng)
    return f"{article} {phrase}".strip()


def _spoken(named: Named, rng: np.random.Generator) -> str:
    if named.synonyms and rng.random() < USE_SYNONYM:
        return _pick(named.synonyms, rng)
    return named.name


def _pick(choices: tuple[str, ...], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _entry(named: tuple[Named, ...], name: str) -> Named:
    return next(entry for entry in named if entry.name == name)


@cache
def _kinds_and_names() -> dict[str, tuple[str, str]]:
    """Each spoken name: what it is a name of, and the first name of that."""
    kinds = (("shape", SHAPES), ("color", COLORS), ("pattern", PATTERNS), ("stuff", STUFF))
    return {name: (kind, entry.name) for kind, named in kinds for entry in named for name in entry.names}


@cache
def _known_words() -> re.Pattern[str]:
    """Whole words, the longer name first: 'sailing boat', 'wooden floor'."""
    names = sorted(_kinds_and_names(), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b")

"""Options that several commands share, and what they mean together."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError, VocabularyError
from ..vocabulary import BUILTIN_VOCABULARIES, TRAINING_VOCABULARY, Vocabulary

if TYPE_CHECKING:
    from ..fcclip.spec import ModelSpec

__all__ = [
    "WORLD",
    "BackgroundOption",
    "ClassesOption",
    "JsonOption",
    "ModelOption",
    "QuietOption",
    "choose_vocabulary",
    "chosen_spec",
    "fraction",
    "one_of",
    "whole_number",
]

BACKGROUNDS = ("auto", "none")
WORLD = "world"  # the demo models' default vocabulary


def whole_number(option: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.strip().isdecimal() or int(text) < 1:
            raise ConfigError(f"{option} is {text!r}, expected a whole number of at least 1")
        return int(text)

    return parse


def fraction(option: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise ConfigError(f"{option} is {text!r}, expected a number from 0 to 1")
        return value

    return parse


def one_of(option: str, choices: Sequence[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            nearest = get_close_matches(text, choices, n=1, cutoff=0.4)
            hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
            raise ConfigError(f"{option} is {text!r}{hint}, expected one of {', '.join(choices)}")
        return text

    return parse


ClassesOption = Annotated[
    str | None,
    typer.Option(
        help="What to look for, in your own words: ';' between categories, ',' before synonyms, ':stuff' or ':thing' "
        "at the end of a category if need be.",
        metavar='"CAR; PERSON; SKY:STUFF"',
    ),
]
BackgroundOption = Annotated[
    str | None,
    typer.Option(
        help=f"Words that compete with yours and become void: 'auto' adds those of {TRAINING_VOCABULARY} ({WORLD} for "
        "demo) to --classes and to files without a background of their own; 'none' adds nothing, so that your words "
        "share every pixel. Default: auto.",
        metavar="auto|none",
        parser=one_of("--background", BACKGROUNDS),
    ),
]
ModelOption = Annotated[str | None, typer.Option(help="See `streamseg models`.", metavar="NAME")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]


def choose_vocabulary(
    classes: str | None, vocabulary: str | None, background: str | None = None, *, default: str = TRAINING_VOCABULARY
) -> Vocabulary:
    """The vocabulary that `--classes`, `--vocabulary` and `--background` ask for; without the first two, `default`.

    A few words alone would have to share all pixels among them, so words of the user's own get those of `default` as
    background, unless they bring a background or `background` is "none".
    """
    if classes is not None and vocabulary is not None:
        raise ConfigError("both --classes and --vocabulary are given, expected one of them: leave one out")
    own = True
    if classes is not None:
        if classes.strip().casefold() in BUILTIN_VOCABULARIES:
            name = classes.strip()
            raise VocabularyError(
                f"--classes {name!r} is the name of a built-in vocabulary: pass --vocabulary {name}, or write "
                f"{name + ':thing'!r} if it is what to look for"
            )
        words = Vocabulary.parse(classes)
    else:
        name = default if vocabulary is None else vocabulary
        words = Vocabulary.resolve(name)
        own = not any(part.strip().casefold() in BUILTIN_VOCABULARIES for part in name.split("+"))
    if background != "none" and own and not words.background:
        return words.with_background(Vocabulary.load(default))
    return words


def chosen_spec(model: str | None) -> "ModelSpec":
    from ..fcclip.spec import DEFAULT_MODEL, get_spec

    return get_spec(DEFAULT_MODEL if model is None else model)

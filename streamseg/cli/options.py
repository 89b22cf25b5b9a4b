"""Options that several commands share, and what they mean together."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..vocabulary import TRAINING_VOCABULARY

if TYPE_CHECKING:
    from ..fcclip.spec import ModelSpec

__all__ = [
    "WORLD",
    "BackgroundOption",
    "ClassesOption",
    "JsonOption",
    "ModelOption",
    "QuietOption",
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


def chosen_spec(model: str | None) -> "ModelSpec":
    from ..fcclip.spec import DEFAULT_MODEL, get_spec

    return get_spec(DEFAULT_MODEL if model is None else model)

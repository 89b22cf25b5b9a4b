"""The values of options: text to numbers, with one line for what cannot be one."""

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from ..errors import ConfigError

__all__ = ["fraction", "one_of", "positive", "seconds", "size", "whole_number"]

_SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")


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


def seconds(option: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        """Seconds, or minutes and hours in front of them: 90, 1:30, 0:01:30."""
        parts = text.split(":")
        try:
            value = sum(float(part) * 60.0**place for place, part in enumerate(reversed(parts)))
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf") or len(parts) > 3:
            raise ConfigError(f"{option} is {text!r}, expected seconds, such as 90 or 1:30")
        return value

    return parse


def positive(option: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            raise ConfigError(f"{option} is {text!r}, expected a number above 0")
        return value

    return parse


def size(option: str) -> Callable[[str], list[int]]:
    def parse(text: str) -> list[int]:
        match = _SIZE.fullmatch(text.lower())
        if match is None or "0" in match.groups():
            raise ConfigError(f"{option} is {text!r}, expected WIDTHxHEIGHT in pixels, such as 1280x720")
        return [int(match[2]), int(match[1])]

    return parse

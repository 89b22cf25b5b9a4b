"""Settings as a YAML file that explains itself: values from the settings, words from the docstrings of their classes.

A setting's name, meaning and default have one home, the dataclass; config files and `--dry-run` are written from it.
"""

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import yaml

from ..parsing import to_plain

__all__ = ["commented_yaml", "meanings"]

WIDTH = 100
_ENTRY = re.compile(r"([a-z_][a-z_0-9, ]*): (.*)")


def commented_yaml(settings: Any, replaced: Mapping[str, Any] | None = None) -> str:
    """A dataclass of settings as YAML, each key under what it means; `parsing.from_mapping` reads it back.

    Args:
        settings: a dataclass, whose fields may be dataclasses and tuples of them.
        replaced: plain values to show for some fields at the top, instead of their own.
    """
    return "\n".join(_section(settings, 0, replaced or {})) + "\n"


def meanings(cls: type) -> dict[str, str]:
    """What the docstring's "Attributes" say of each field."""
    text = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in textwrap.dedent(text).splitlines():
        match = _ENTRY.fullmatch(line) if not line.startswith(" ") else None
        if match:
            names = [name.strip() for name in match[1].split(",")]
        for name in names:
            found[name] = match[2] if match else f"{found[name]} {line.strip()}".strip()
    return found


def _section(settings: Any, depth: int, replaced: Mapping[str, Any]) -> Iterator[str]:
    known = meanings(type(settings))
    before = ""
    for field in fields(settings):
        value = getattr(settings, field.name)
        meaning = _meaning(known.get(field.name, ""), value)
        if meaning and meaning != before and field.name != "kind":
            yield from [""] * (depth == 0)
            yield from _comment(meaning, depth)
        before = meaning
        if field.name in replaced:
            yield from _plain(field.name, replaced[field.name], depth)
        elif is_dataclass(value):
            yield f"{'  ' * depth}{field.name}:"
            yield from _section(value, depth + 1, {})
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            yield f"{'  ' * depth}{field.name}:"
            for item in value:
                yield from _item(item, depth + 1)
        else:
            yield from _plain(field.name, to_plain(settings)[field.name], depth)


def _meaning(text: str, value: Any) -> str:
    """A section explains itself."""
    return inspect.cleandoc(type(value).__doc__ or "").splitlines()[0] if is_dataclass(value) else text


def _item(settings: Any, depth: int) -> Iterator[str]:
    """An entry of a list of sections."""
    lines = list(_section(settings, depth + 1, {}))
    first = next(i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#"))
    lines[first] = f"{'  ' * depth}- {lines[first].strip()}"
    return iter(lines)


def _plain(name: str, value: Any, depth: int) -> Iterator[str]:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    yield f"{'  ' * depth}{name}: {text.removesuffix('...' + chr(10)).strip()}"


def _comment(text: str, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for line in textwrap.wrap(text[:1].upper() + text[1:], WIDTH - len(indent)):
        yield f"{indent}# {line}"

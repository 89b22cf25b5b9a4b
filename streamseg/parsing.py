"""From plain values, as YAML and the command line give them, to frozen dataclasses: strictly.

Every key must be known and every value of its field's type; a message says where, what was found and what was expected.
The dataclass is the one home of names, types and defaults.
"""

import types
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from .errors import ConfigError

__all__ = ["apply_overrides", "flatten", "from_mapping", "read_yaml", "require", "to_plain"]

T = TypeVar("T")


def read_yaml(path: Path | str) -> dict[str, Any]:
    """A YAML file with one mapping; ConfigError where it is anything else."""
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read config {path}: {error.strerror}; check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"config {path} is not YAML ({reason}); expected lines such as `batch_size: 16`") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"config {path} holds {_shown(document)}, expected lines such as `batch_size: 16`")
    return document


def apply_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`values` with `key=value` texts applied; dots go into sections (`optimizer.lr=2e-4`), values are read as YAML."""
    result = dict(values)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"override {override!r}: expected KEY=VALUE, such as optimizer.lr=2e-4")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ConfigError(f"override {override!r}: its value is not YAML; quote it as in key='\"text\"'") from None
        _set(result, key.strip().split("."), value, override)
    return result


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """An instance of the dataclass `cls`.

    Args:
        cls: its fields' types may be int, float, bool, str, Literal, tuple[X, ...], other such dataclasses, unions of
            those; of several dataclasses in a union, the one whose `kind` has the value's `kind` as default is taken.
            A text may stand for a dataclass: for one in a union it is its `kind`, for one with a classmethod
            `from_text` what that makes of it.
        values: by field name; fields left out keep their defaults.
        where: what messages put in front of a key.

    Raises:
        ConfigError: an unknown key, a missing one, or a value of the wrong type.
    """
    hints = get_type_hints(cls)
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            meant = _meant(str(key), known, hints)
            hint = f"did you mean {meant!r}? " if meant else ""
            raise ConfigError(f"unknown setting {where}{key}: {hint}known are {', '.join(known)}")
    for field in fields(cls):  # type: ignore[arg-type]
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"setting {where}{field.name} is missing: it has no default")
    return cls(**{key: _convert(hints[key], value, f"{where}{key}") for key, value in values.items()})


def to_plain(settings: Any) -> dict[str, Any]:
    """A dataclass as nested dicts, lists and plain values: what YAML and JSON write, and `from_mapping` reads back."""
    return {field.name: _plain(getattr(settings, field.name)) for field in fields(settings)}


def require(condition: bool, name: str, value: object, expected: str) -> None:
    """For `__post_init__` of settings: ConfigError where a value is out of its range."""
    if not condition:
        raise _wrong(name, value, expected)


def flatten(values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Nested dicts to one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{where}{key}.") if isinstance(value, Mapping) else {f"{where}{key}": value}
    return flat


def _set(target: dict[str, Any], keys: list[str], value: Any, override: str) -> None:
    for position, key in enumerate(keys[:-1]):
        section = target.get(key)
        if section is not None and not isinstance(section, Mapping):
            raise ConfigError(f"override {override!r}: {'.'.join(keys[: position + 1])} is a value, not a section")
        target[key] = dict(section or {})
        target = target[key]
    target[keys[-1]] = value


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(get_args(hint), value, where)
    if origin is Literal:
        if value not in get_args(hint) or isinstance(value, bool):
            raise _wrong(where, value, f"one of {', '.join(map(str, get_args(hint)))}")
        return value
    if origin is tuple:
        return _convert_tuple(get_args(hint), value, where)
    if is_dataclass(hint):
        if isinstance(value, str) and hasattr(hint, "from_text"):
            return hint.from_text(value)
        if not isinstance(value, Mapping):
            raise _wrong(where, value, f"a section with its own keys, such as {where}.{fields(hint)[0].name}")
        return from_mapping(hint, value, f"{where}.")  # type: ignore[arg-type]
    return _convert_plain(hint, value, where)


def _convert_union(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in hints:
        return None
    chosen = [hint for hint in hints if hint is not type(None)]
    if len(chosen) > 1:
        by_kind = {field.default: hint for hint in chosen for field in fields(hint) if field.name == "kind"}
        if isinstance(value, str):
            value = {"kind": value}
        kind = value.get("kind") if isinstance(value, Mapping) else None
        if kind not in by_kind:
            raise _wrong(f"{where}.kind", kind, f"one of {', '.join(map(str, by_kind))}{_nearest(kind, by_kind)}")
        chosen = [by_kind[kind]]
    return _convert(chosen[0], value, where)


def _convert_tuple(hints: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong(where, value, "a list")
    if hints[-1] is Ellipsis:
        hints = hints[:1] * len(value)
    if len(hints) != len(value):
        raise _wrong(where, value, f"a list of {len(hints)}")
    return tuple(_convert(hint, item, f"{where}[{i}]") for i, (hint, item) in enumerate(zip(hints, value, strict=True)))


def _convert_plain(hint: Any, value: Any, where: str) -> Any:
    if hint is float:
        return _convert_float(value, where)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        expected = {int: "a whole number", bool: "true or false", str: "text"}[hint]
        raise _wrong(where, value, expected)
    return value


def _convert_float(value: Any, where: str) -> float:
    if isinstance(value, str):  # YAML takes 1e-4 for text: it wants a point and a sign
        try:
            return float(value)
        except ValueError:
            raise _wrong(where, value, "a number") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(where, value, "a number")
    return float(value)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_plain(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _wrong(where: str, value: Any, expected: str) -> ConfigError:
    return ConfigError(f"setting {where} is {_shown(value)}, expected {expected}")


def _meant(key: str, known: Sequence[str], hints: Mapping[str, Any]) -> str | None:
    """The setting that looks like `key`: one of `known`, or one in a section of theirs."""
    deeper = {
        field.name: f"{name}.{field.name}"
        for name in known
        if is_dataclass(hints[name])
        for field in fields(hints[name])
    }
    nearest = get_close_matches(key, known, n=1) or get_close_matches(key, deeper, n=1)
    return deeper.get(nearest[0], nearest[0]) if nearest else None


def _nearest(value: Any, known: Collection[Any]) -> str:
    nearest = get_close_matches(str(value), map(str, known), n=1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

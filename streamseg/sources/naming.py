"""Names of streams: unique, readable, the same every time, and safe as names of folders."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from ..errors import ConfigError
from .address import HIDDEN, Address, redact

__all__ = ["stream_names"]

LONGEST = 64  # characters; folders and files of a stream add their own to it
RESERVED = ("run.json", "run.log", "metrics.json")  # files that lie beside the folders of streams

_NAME = re.compile(r"\w[\w.-]*")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def stream_names(addresses: Sequence[Address], given: Sequence[str | None] = ()) -> list[str]:
    """A name for each stream.

    Args:
        addresses: of the streams, in order.
        given: names that the user chose; None, or missing at the end, where a name is to be made.

    Raises:
        ConfigError: a chosen name cannot name a folder, or stands twice.
    """
    chosen = [*given, *[None] * (len(addresses) - len(given))]
    taken: set[str] = set()
    for name in chosen:
        if name is not None:
            _check(name, taken)
            taken.add(name.casefold())
    return [
        _unique(_made(address), taken) if name is None else name
        for address, name in zip(addresses, chosen, strict=True)
    ]


def _check(name: str, taken: set[str]) -> None:
    if not _NAME.fullmatch(name) or len(name) > LONGEST or name.casefold() in RESERVED:
        safe = _safe(redact(name))
        raise ConfigError(
            f"stream name {redact(name)!r} cannot name a folder, expected at most {LONGEST} letters, digits, '-', '_' "
            f"and '.', such as {safe!r}"
        )
    if name.casefold() in taken:
        raise ConfigError(f"stream name {name!r} stands twice, expected names that differ: rename one of the streams")


def _unique(name: str, taken: set[str]) -> str:
    """`name`, or `name-2` and so on where that is taken (file systems may not know capitals apart)."""
    candidate, number = name, 1
    while candidate.casefold() in taken or candidate.casefold() in RESERVED:
        number += 1
        candidate = f"{name}-{number}"
    taken.add(candidate.casefold())
    return candidate


def _made(address: Address) -> str:
    """A name from what the user wrote; variables stand for themselves, so that no value of theirs is shown."""
    kind, location = address.kind, address.location
    if kind in ("http", "rtsp"):
        return _safe(_of_url(_VARIABLE.sub(r"\1", address.shown)))
    if kind == "camera":
        return _safe(Path(location).name.replace("video", "cam") if location.startswith("/dev/video") else location)
    if kind == "pipe":
        return "stdin" if location == "-" else _safe(Path(location).stem)
    if kind == "world":
        return "world"
    if kind == "glob":
        plain = [part for part in Path(location).parts[:-1] if not re.search(r"[*?\[/]", part)]
        return _safe(plain[-1] if plain else "pictures")
    path = Path(location).resolve()
    return _safe(path.name if kind == "folder" else path.stem)


def _of_url(shown: str) -> str:
    """Host and path; neither user nor query."""
    parts = urlsplit(shown.replace(f"{HIDDEN}@", ""))
    path = PurePosixPath(unquote(parts.path))
    return f"{parts.hostname or ''}-{path.parent / path.stem}"


def _safe(text: str) -> str:
    """`text` as the name of a folder."""
    name = re.sub(r"[^\w.]+", "-", text).strip("-._")[:LONGEST].strip("-._")
    return name or "stream"

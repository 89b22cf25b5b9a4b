"""What a source's text means, and how it is shown without its passwords.

    street.mp4   clips/*.mp4   frames/   0   /dev/video2   rtsp://${USER}:${PASSWORD}@cam1/main   world:seed=7   -

`${NAME}` is replaced by the environment variable of that name. Whatever leaves this package as text (messages, logs,
names of streams) goes through `Address.shown`, `Address.clean`, `redact` or `redact_text` first.
"""

import glob
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from ..errors import ConfigError, SourceError
from .images import IMAGE_SUFFIXES
from .world import is_world

__all__ = ["HIDDEN", "STILL_SUFFIXES", "Address", "AddressKind", "parse_address", "redact", "redact_text"]

AddressKind = Literal["file", "image", "folder", "glob", "pipe", "camera", "http", "rtsp", "world"]

STILL_SUFFIXES = tuple(suffix for suffix in IMAGE_SUFFIXES if suffix != ".gif")
"""Files that are one picture; a GIF is a video."""

HIDDEN = "***"
"""What stands in the place of a password."""

SHORTEST_SECRET = 4  # shorter ones are hidden inside URLs only: elsewhere they may be part of any word

_SCHEMES: dict[str, AddressKind] = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LOCAL = re.compile(r"[./~]|file:")  # how a path begins that cannot be taken for a URL
_USER_INFO = re.compile(
    r"\A(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*:/{1,3}|(?![A-Za-z][A-Za-z0-9+.-]*:/))(?P<user>[^/?#@:]*([:@].*)?)@",
    re.DOTALL,
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_PARAMETER = re.compile(
    r"(?P<name>[\w.%-]*(?:pass|pwd|psw|token|secret|key|auth|sig|cred|user|usr|login|session|jwt)[\w.%-]*=)"
    r"(?P<value>[^&;#\s/?]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """What one source's text means.

    Attributes:
        kind: file, image, folder, glob, pipe (standard input or a named pipe), camera, http, rtsp or world.
        text: as the user wrote it; may hold a password.
        location: what is opened (a path, a device, a URL with its variables filled in); may hold a password.
    """

    kind: AddressKind
    text: str
    location: str

    @property
    def shown(self) -> str:
        """For people: as written, variables unexpanded, without passwords."""
        return self.text if self.kind in ("file", "image", "folder") else redact(self.text)

    def clean(self, text: str) -> str:
        """Any text, such as a library's message about this source, without what this address keeps secret."""
        text = text.replace(self.location, self.shown)
        for secret in self._secrets():
            text = text.replace(secret, HIDDEN)
        return redact_text(text)

    def _secrets(self) -> list[str]:
        """Passwords and values of variables, the longest first, as written and percent-decoded."""
        found = {os.environ.get(name, "") for name in _VARIABLE.findall(self.text)}
        for part in (_USER_INFO.match(self.location), *_PARAMETER.finditer(self.location)):
            if part is not None and self.kind in ("http", "rtsp"):
                value = part.groupdict().get("user") or part.groupdict().get("value") or ""
                found.update((*value.partition(":")[::2], *re.split(r"[:/?#@]", value)))
        found |= {unquote(secret) for secret in found}
        return sorted((secret for secret in found if len(secret) >= SHORTEST_SECRET), key=lambda s: (-len(s), s))

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"Address({self.kind}, {self.shown!r})"


def parse_address(text: str) -> Address:
    """What a source's text means.

    Raises:
        ConfigError: it is empty, names an unknown scheme, or a variable that is not set.
        SourceError: it is a path, and there is nothing.
    """
    if not text.strip():
        raise ConfigError("a source is empty, expected a file, folder, glob, URL, camera number, world:... or -")
    if text == "-":
        return Address("pipe", text, text)
    if os.path.lexists(text):
        return _parse_path(text, text)
    location = _expand(text)
    if is_world(location):
        return Address("world", text, location)
    if location.isdecimal() and location.isascii():
        return Address("camera", text, f"/dev/video{int(location)}")
    scheme = _SCHEME.match(location)
    return _parse_path(text, location) if scheme is None else _parse_url(text, location, scheme[1].lower())


def redact(url: str) -> str:
    """A URL without user and password, and without the values of parameters such as `password=` and `token=`.

    Everything up to the last `@` is taken for user and password once they can have begun, since a password may hold
    any character; rather too much is hidden than too little.
    """
    if _LOCAL.match(url):
        return url
    hidden = _USER_INFO.sub(lambda match: f"{match['scheme']}{HIDDEN}@", url, count=1)
    if not _SCHEME.match(url):
        return hidden
    return _PARAMETER.sub(lambda match: f"{match['name']}{HIDDEN}", hidden)


def redact_text(text: str) -> str:
    """Any text with every URL in it redacted."""
    return _URL.sub(lambda match: redact(match[0]), text)


def _expand(text: str) -> str:
    """Variables filled in. An error names the variable, and shows the text as it was written: no values."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ConfigError(
                f"source {redact(text)!r} needs the environment variable {match[1]}, which is not set: export it first"
            )
        return os.environ[match[1]]

    return _VARIABLE.sub(value, text)


def _parse_url(text: str, location: str, scheme: str) -> Address:
    if scheme == "file":
        parts = urlsplit(location)
        if parts.netloc not in ("", "localhost"):
            raise ConfigError(
                f"source {redact(text)!r} names the host {parts.netloc!r}, expected file:///PATH: files are read here"
            )
        return _parse_path(text, unquote(parts.path))
    if scheme not in _SCHEMES:
        raise ConfigError(
            f"source {redact(text)!r} begins with {scheme}://, expected {', '.join(f'{s}://' for s in _SCHEMES)} or "
            "file://"
        )
    if not _host(location):
        raise ConfigError(f"source {redact(text)!r} names no host, expected {scheme}://HOST/PATH")
    return Address(_SCHEMES[scheme], text, location)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # brackets that are no IPv6 address
        return None


def _parse_path(text: str, location: str) -> Address:
    if location.startswith("~/"):
        location = os.path.expanduser(location)
    try:
        mode = os.stat(location).st_mode
    except (OSError, ValueError) as error:
        if glob.has_magic(location):
            return Address("glob", text, location)
        reason = "no such file" if not isinstance(error, PermissionError) else "no permission to look at"
        raise SourceError(
            f"{reason}: {redact(text)!r}, expected a video, picture, folder, glob, URL, camera number, world:... or "
            "-: check the path"
        ) from None
    return Address(_path_kind(location, mode), text, location)


def _path_kind(location: str, mode: int) -> AddressKind:
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISCHR(mode):
        return "camera"
    if stat.S_ISFIFO(mode):
        return "pipe"
    return "image" if Path(location).suffix.lower() in STILL_SUFFIXES else "file"

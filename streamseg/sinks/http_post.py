"""One HTTP POST within a time limit that holds for all of it: names, handshake, request and reply.

The standard library's time-outs hold for single reads, so a server that sends a byte now and then would never run into
one. Here every read gets what is left of the whole. Errors never show more of an address than its host: the rest of it,
like the headers, may be a secret.
"""

import base64
import io
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from .. import __version__
from ..errors import ConfigError

__all__ = ["Endpoint", "PostError", "Poster", "Reply"]

MAX_REPLY_BYTES = 1 << 16  # what is read of a reply, so that the connection can be used again
VARIABLE = re.compile(r"\$\{(\w+)\}")


class PostError(Exception):
    """There was no reply; the message says why in a few words."""


class Reply(NamedTuple):
    """What a server said.

    Attributes:
        status: HTTP status.
        retry_after: that header, if there was one.
    """

    status: int
    retry_after: str | None


@dataclass(frozen=True, slots=True, repr=False)
class Endpoint:
    """Where to send to. Shown, it is its host alone."""

    secure: bool
    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, url: str, headers: Sequence[str] = (), environment: Mapping[str, str] = os.environ) -> "Endpoint":
        """From settings; `${NAME}` is an environment variable.

        Raises:
            ConfigError: no http address, a header that is none, or a variable that is not set.
        """
        try:
            parts = urlsplit(_expand(url, "url", environment).strip())
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f]", parts.geturl()):
            raise ConfigError("webhook.url is no web address, expected one such as https://example.org/frames")
        secure = parts.scheme == "https"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        pairs = [_header(each, environment) for each in headers]
        if parts.username is not None:
            pairs.append(("Authorization", _basic(parts.username, parts.password or "")))
        return cls(secure, host, port or (443 if secure else 80), path, tuple(pairs))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == (443 if self.secure else 80) else f":{self.port}"
        return f"{'https' if self.secure else 'http'}://{host}{port}"

    def __repr__(self) -> str:
        return f"Endpoint({str(self)!r})"


class Poster:
    """Sends to one endpoint, over one connection as long as the server keeps it.

    Args:
        endpoint: where to.
        clock: seconds that only grow.
    """

    def __init__(self, endpoint: Endpoint, clock: Callable[[], float] = time.monotonic) -> None:
        self.endpoint = endpoint
        self._clock = clock
        self._connection: _Connection | None = None

    def post(self, body: bytes, seconds: float) -> Reply:
        """Send JSON and wait for the reply.

        Args:
            body: the document.
            seconds: time for all of it; looking up the host's name is up to the system.

        Raises:
            PostError: there was no whole reply.
        """
        deadline = _Deadline(self._clock, self._clock() + seconds)
        used = self._connection is not None
        try:
            return self._attempt(body, deadline)
        except (ConnectionResetError, BrokenPipeError) as error:
            if not used:  # else the server has only closed a connection that was idle
                raise PostError(_reason(error)) from None
        except (OSError, HTTPException) as error:
            raise PostError(_reason(error)) from None
        try:
            return self._attempt(body, deadline)
        except (OSError, HTTPException) as error:
            raise PostError(_reason(error)) from None

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _attempt(self, body: bytes, deadline: "_Deadline") -> Reply:
        whole = False
        try:
            if self._connection is None:
                self._connection = _Connection(self.endpoint)
            connection = self._connection
            connection.deadline = deadline
            connection.request("POST", self.endpoint.path, body, self._headers())
            response = connection.getresponse()
            with suppress(OSError, HTTPException):  # the status says it all
                response.read(MAX_REPLY_BYTES)
            whole = response.isclosed() and not response.will_close
            return Reply(response.status, response.getheader("Retry-After"))
        finally:
            if not whole:
                self.close()

    def _headers(self) -> dict[str, str]:
        standard = {"Content-Type": "application/json", "User-Agent": f"streamseg/{__version__}"}
        given = dict(self.endpoint.headers)
        taken = {name.lower() for name in given}
        return {name: value for name, value in standard.items() if name.lower() not in taken} | given


@dataclass(slots=True)
class _Deadline:
    """When an attempt has to be over."""

    clock: Callable[[], float]
    at: float

    def left(self) -> float:
        """Seconds; TimeoutError where none are left."""
        seconds = self.at - self.clock()
        if seconds <= 0:
            raise TimeoutError
        return seconds


class _Connection(HTTPConnection):
    """A connection whose every step keeps the deadline of the current attempt."""

    deadline: _Deadline

    def __init__(self, endpoint: Endpoint) -> None:
        self.default_port = 443 if endpoint.secure else 80
        super().__init__(endpoint.host, endpoint.port)
        self._context = ssl.create_default_context() if endpoint.secure else None

    def connect(self) -> None:
        sock = self._first_reachable()
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                sock.settimeout(self.deadline.left())
                sock = self._context.wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise
        self.sock: Any = _TimedSocket(sock, self)

    def _first_reachable(self) -> socket.socket:
        """A host may have several addresses."""
        problem: OSError = ConnectionError()
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self.deadline.left())
                sock.connect(address)
                return sock
            except OSError as error:
                sock.close()
                problem = error
        raise problem


class _TimedSocket:
    """What `http.client` uses of a socket."""

    def __init__(self, sock: socket.socket, connection: _Connection) -> None:
        self._sock = sock
        self._connection = connection

    def sendall(self, data: Any) -> None:
        self._sock.settimeout(self._connection.deadline.left())  # for all of it
        self._sock.sendall(data)

    def recv_into(self, buffer: Any) -> int:
        self._sock.settimeout(self._connection.deadline.left())
        return self._sock.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Received(self))

    def close(self) -> None:
        self._sock.close()


class _Received(io.RawIOBase):
    """The bytes that a socket receives."""

    def __init__(self, sock: _TimedSocket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._sock.recv_into(buffer)


def _expand(text: str, what: str, environment: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise ConfigError(f"webhook.{what} names ${{{match[1]}}}, which is not set: export {match[1]}=...")
        return environment[match[1]]

    return VARIABLE.sub(value, text)


def _header(line: str, environment: Mapping[str, str]) -> tuple[str, str]:
    name, colon, value = _expand(line, "headers", environment).partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(r"[^\x20-\x7e\t]", value):
        shown = line.partition(":")[0] if colon else "a line without a colon"
        raise ConfigError(f'webhook.headers holds {shown!r}, expected lines such as "Authorization: Bearer ${{TOKEN}}"')
    return name, value


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode("ascii")


def _reason(error: Exception) -> str:
    """A few words, without addresses."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "unknown host"
    if isinstance(error, ssl.SSLError):
        return f"no secure connection ({error.reason or type(error).__name__})"
    if isinstance(error, OSError):
        return error.strerror or "the connection was closed"
    return "the answer broke off, or is no HTTP"

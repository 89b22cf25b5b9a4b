"""A Hugging Face Hub on 127.0.0.1, with the accidents of the real one.

It answers as the Hub does for large files: HEAD and GET on `/ORG/NAME/resolve/REVISION/FILE` give a redirect with the
file's hash and size, and the content comes from another host, with ranges.
"""

import hashlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

COMMIT = "0123456789abcdef0123456789abcdef01234567"

Accident = Literal["cut", "reset", "stall", "corrupt", "500", "403", "longer"]


@dataclass
class FakeHub:
    """What it holds, what goes wrong, and what it was asked.

    Attributes:
        files: (repository, file name) -> content.
        accidents: taken from the front, one per content request; when it is empty, all goes well.
        resolve_status: answer look-ups with this HTTP status instead.
        honours_range: answer ranges with ranges, rather than with the whole file.
        requests: (method, path, Range header) of all requests, in order.
        authorizations: the Authorization header of each request, in order.
    """

    files: dict[tuple[str, str], bytes]
    accidents: list[Accident] = field(default_factory=list)
    resolve_status: int | None = None
    error_code: str | None = None
    honours_range: bool = True
    plain_server: bool = False
    stall_seconds: float = 2.0
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    url: str = ""
    content_url: str = ""

    @property
    def ranges(self) -> list[str | None]:
        """The Range header of each content request."""
        return [ranged for method, path, ranged in self.requests if method == "GET" and path.startswith("/content/")]

    def lookup(self, path: str) -> bytes | None:
        repo, _, rest = path.lstrip("/").partition("/resolve/")
        return self.files.get((repo, rest.partition("/")[2]))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class QuietServer(ThreadingHTTPServer):
    """A client that hangs up in mid-answer is part of the play, and no reason to print a traceback."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def serve(hub: FakeHub) -> Iterator[FakeHub]:
    """Run `hub` for the length of a with-block; `hub.url` is its endpoint."""

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = QuietServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    hub.content_url = f"http://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        del format, args

    def _answer(self) -> None:
        self.hub.requests.append((self.command, self.path, self.headers.get("Range")))
        self.hub.authorizations.append(self.headers.get("Authorization"))
        if self.path.startswith("/content/"):
            self._content()
        elif self.hub.resolve_status is not None:
            self._reply(self.hub.resolve_status, {"X-Error-Code": self.hub.error_code} if self.hub.error_code else {})
        elif (content := self.hub.lookup(self.path)) is None:
            self._reply(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            self._resolve(content)

    def _resolve(self, content: bytes) -> None:
        headers = {
            "Location": f"{self.hub.content_url}/content/{sha256(content)}",
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{sha256(content)}"',
            "X-Linked-Size": str(len(content)),
        }
        if self.hub.plain_server:
            self._reply(200, {"ETag": '"x"'})
        else:
            self._reply(302, headers)

    def _content(self) -> None:
        wanted = self.path.removeprefix("/content/")
        content = next(data for data in self.hub.files.values() if sha256(data) == wanted)
        accident = self.hub.accidents.pop(0) if self.hub.accidents else None
        if accident in ("500", "403"):
            self._reply(int(accident), {})
            return
        if accident == "corrupt":
            content = content[:-1] + bytes([content[-1] ^ 1])
        if accident == "longer":
            content += b"more"
        start = self._start() if self.hub.honours_range else 0
        if start >= len(content) and start > 0:
            self._reply(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        part = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(part)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self._send(part, accident)

    def _send(self, part: bytes, accident: Accident | None) -> None:
        if accident not in ("cut", "reset", "stall"):
            self.wfile.write(part)
            return
        self.wfile.write(part[: len(part) // 2])
        self.wfile.flush()
        if accident == "stall":
            time.sleep(self.hub.stall_seconds)
        if accident == "reset":
            time.sleep(0.1)  # let the first half arrive: a reset discards what is under way
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _start(self) -> int:
        ranged = self.headers.get("Range")
        return int(ranged.removeprefix("bytes=").partition("-")[0]) if ranged else 0

    def _reply(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

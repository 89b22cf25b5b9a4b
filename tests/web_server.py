"""A web server on 127.0.0.1 that answers as told, with the accidents of real ones."""

import json
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = int | str
"""An HTTP status, or "429:3" (with Retry-After), "hang", "drip", "reset", "half", "garbage", "large", "closing"."""


@dataclass
class WebServer:
    """What it will answer (the last answer stands for ever), and what it was sent."""

    answers: list[Answer]
    url: str = ""
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def next_answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def serve(answers: Sequence[Answer] = (200,)) -> Iterator[WebServer]:
    state = WebServer(list(answers))
    server = _Server(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}/frames"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        state.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # clients that hang up are no news
            super().handle_error(request, client_address)


def _handler(state: WebServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.bodies.append(json.loads(body))
            state.headers.append(dict(self.headers))
            state.paths.append(self.path)
            state.connections.add(self.client_address)
            self._answer(state.next_answer())

        def _answer(self, answer: Answer) -> None:
            if isinstance(answer, int):
                self._reply(answer, b"{}")
            elif answer[0].isdigit():
                status, _, wait = answer.partition(":")
                self._reply(int(status), b"later", {"Retry-After": wait})
            else:
                getattr(self, f"_{answer}")()

        def _reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _hang(self) -> None:
            state.over.wait()

        def _drip(self) -> None:
            """A byte now and then, so that no single read ever waits for long."""
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not state.over.wait(0.05):
                self.wfile.write(b"x")

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()

        def _half(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
            self.close_connection = True

        def _garbage(self) -> None:
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            self.close_connection = True

        def _large(self) -> None:
            self._reply(200, b"x" * 1_000_000)

        def _closing(self) -> None:
            """A server that says nothing, and yet closes the connection after its answer."""
            self._reply(200, b"{}")
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    return Handler

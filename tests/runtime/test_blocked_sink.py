"""A sink that blocks holds its own stream up, and no other one."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from streamseg.frames import FrameResult
from streamseg.testing import ScriptedSegmenter
from streamseg.testing.timed import halves
from tests.runtime.small_runs import prepared

PATIENCE_SECONDS = 120
FRAMES = 160
SOURCE = f"world:seed=5,seconds={FRAMES / 10},fps=10,size=64x48"
WORDS = {"classes": "left; right", "background": "none"}


class HoldingServer(ThreadingHTTPServer):
    """Takes records, and answers for those of one stream only when it is let go."""

    daemon_threads = True

    def __init__(self, held: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.held = held
        self.let_go = threading.Event()
        self.records: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HoldingServer

    def do_POST(self) -> None:
        record = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if record["stream"] == self.server.held:
            self.server.let_go.wait(PATIENCE_SECONDS)
        self.server.records.append(record)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def holding(stream: str) -> Iterator[HoldingServer]:
    server = HoldingServer(stream)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Taken:
    """A run whose results are taken in a thread."""

    def __init__(self, job: Any) -> None:
        self.job = job
        self.results: list[FrameResult] = []
        self._thread = threading.Thread(target=lambda: self.results.extend(job.results()), daemon=True)
        self._thread.start()

    def wait_for(self, stream: str, count: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.job.totals()[stream].emitted < count:
            assert time.monotonic() < deadline, self.job.totals()
            time.sleep(0.02)

    def join(self) -> None:
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()


def run_with_one_blocked(output: Path, **given: Any) -> None:
    """Two recordings; the server takes the records of the second one, and never answers for the first."""
    with holding("world") as server:
        webhook = {"kind": "webhook", "url": server.url, "timeout_seconds": 3600, "total_seconds": 3600}
        segmenter = ScriptedSegmenter(halves)
        job = prepared(
            SOURCE, SOURCE, output=output, sinks=["jsonl", webhook], vocabulary=WORDS, segmenter=segmenter, **given
        )
        taken = Taken(job)
        taken.wait_for("world-2", FRAMES)
        assert job.totals()["world"].emitted < FRAMES
        server.let_go.set()
        taken.join()
        assert job.totals()["world"].emitted == FRAMES
        for stream in ("world", "world-2"):
            assert [one["frame"] for one in server.records if one["stream"] == stream] == list(range(FRAMES))


def test_in_one_process(tmp_path: Path) -> None:
    run_with_one_blocked(tmp_path / "out")

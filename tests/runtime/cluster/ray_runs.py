"""Runs on Ray over small worlds, troubled while they go, against the same runs in one process."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamseg.frames import FrameResult
from streamseg.runtime.cluster.coordinator import Coordinator
from streamseg.runtime.cluster.run import RayRun
from streamseg.runtime.cluster.watching import Watched
from tests.runtime.small_runs import prepared, segmenter_for

PATIENCE_SECONDS = 120
SINKS = ["jsonl", "png", "tracks"]


def contents(folder: Path) -> dict[str, bytes]:
    """All that a run has written, without what says when."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("run.json", "commit.npz")
    }


def on_ray(*sources: str, **given: Any) -> RayRun:
    job = prepared(*sources, runtime="ray", **given)
    assert isinstance(job, RayRun)
    return job


def local(output: Path, *sources: str, **given: Any) -> dict[str, bytes]:
    """What a run in one process writes."""
    for _ in prepared(*sources, output=output, sinks=SINKS, **given).results():
        pass
    return contents(output)


def wait_for(condition: Callable[[], object], what: str = "it") -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {PATIENCE_SECONDS} s"
        time.sleep(0.02)


class Going:
    """A run that goes on in a thread while a test makes trouble."""

    def __init__(self, job: RayRun) -> None:
        self.job = job
        self.results: list[FrameResult] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        try:
            self.results.extend(self.job.results())
        except Exception as error:
            self.error = error

    @property
    def coordinator(self) -> Coordinator:
        coordinator = self.job._coordinator
        assert coordinator is not None
        return coordinator

    def emitted(self, stream: str = "world") -> int:
        return self.job.totals()[stream].emitted

    def wait_until_emitted(self, count: int, stream: str = "world") -> None:
        wait_for(lambda: self.emitted(stream) >= count or not self._thread.is_alive(), f"frame {count}")

    def decoder(self, stream: str = "world") -> Watched:
        wait_for(lambda: stream in self.coordinator.streams, "the stream")
        return self.coordinator.streams[stream].decoder

    def signal(self, process: Watched, number: signal.Signals) -> int:
        """Send a signal to a process; its number."""
        wait_for(lambda: process.pid is not None, process.name)
        pid = process.pid
        assert pid is not None
        os.kill(pid, number)
        return pid

    def finish(self) -> None:
        """To the end; the error of the run, if it has one."""
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), f"the run has not ended: {self.job.statuses()}"
        if self.error is not None:
            raise self.error


def check_accounting(job: RayRun) -> None:
    for totals in job.totals().values():
        assert totals.in_flight == 0
        assert totals.decoded == totals.emitted + sum(totals.dropped.values())


__all__ = [
    "SINKS",
    "Going",
    "check_accounting",
    "contents",
    "local",
    "on_ray",
    "segmenter_for",
    "wait_for",
]

"""Runs cameras on Ray, kills processes meanwhile, and counts what is left: see `soak.py`."""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Set
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import cycle, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from ..config.run import read_settings
from ..errors import StreamsegError
from ..pipeline.plan import plan_run
from ..runs.folder import RECORDS, RunFolder
from ..runs.reader import read_records
from ..runtime.cluster.run import RayRun
from ..runtime.run import prepare_run
from ..testing.rtsp_server import RtspServer, require_programs
from .drift import Drift, fit_drift
from .soak import KINDS, Death, Soak, SoakOptions, StreamCount
from .soak_watch import Samples, Series, descendants, medians

__all__ = ["run_soak"]

SAMPLE_SECONDS = 2.0
SETTLING = 0.25  # share of each life that does not count: libraries, the first frames, the allocator's pools
BIN_SECONDS = 15.0
START_SECONDS = 120.0  # for the first records of all streams
TAIL_BYTES = 1 << 16  # holds the last record


def run_soak(options: SoakOptions) -> Soak:
    """Run it to its end.

    Raises:
        ConfigError: there is no RTSP server on this machine.
        StreamsegError: the run failed, or began too slowly.
    """
    require_programs()
    with ExitStack() as stack:
        server = stack.enter_context(RtspServer("--fps", str(options.fps), "--size", options.size))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="streamseg-soak-")))
        others = descendants(os.getpid())  # the cameras
        return Soaking(options, _job(options, server.url(), folder), folder, others).run()


def _job(options: SoakOptions, url: str, folder: Path) -> RayRun:
    given = {
        "sources": [{"url": url, "name": f"camera-{number}"} for number in range(1, options.streams + 1)],
        "vocabulary": {"vocabulary": "world"},
        "model": {"name": "demo", "device": "cpu", "short_side": options.short_side},
        "torch_threads": 1,
        "output": str(folder),
        "runtime": "ray",
    }
    job = prepare_run(plan_run(read_settings(given=given)), overwrite=True, progress=False, deliver=False)
    assert isinstance(job, RayRun)
    return job


class Soaking:
    """One soak that goes on.

    Args:
        options: what is asked for.
        job: the run, prepared.
        folder: of the run.
        others: processes that do not belong to it.
    """

    def __init__(self, options: SoakOptions, job: RayRun, folder: Path, others: Set[int] = frozenset()) -> None:
        self._options = options
        self._job = job
        self._folder = folder
        self._samples = Samples(lambda: {"driver": os.getpid(), **job.processes()}, lambda: job.stored_bytes, others)
        self._deaths: list[Death] = []
        self._died_at = datetime.now(UTC)
        self._began = 0.0
        self._ended = threading.Event()
        self._failure: Exception | None = None

    def run(self) -> Soak:
        """To its end."""
        thread = threading.Thread(target=self._go, name="run")
        thread.start()
        try:
            self._wait_for_everybody()
            self._trouble()
            seconds = time.monotonic() - self._began
        finally:
            self._job.stop()
            thread.join()
        if self._failure is not None:
            raise self._failure
        return self._result(seconds)

    def _go(self) -> None:
        try:
            for _ in self._job.results():
                pass
        except Exception as error:
            self._failure = error
        finally:
            self._ended.set()

    def _wait_for_everybody(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while None in self._last_captures():
            if time.monotonic() > deadline or self._ended.wait(0.2):
                raise self._failure or StreamsegError(f"not every camera had a record within {START_SECONDS:.0f} s")

    def _trouble(self) -> None:
        """Kill somebody now and then, and watch."""
        options, victims = self._options, cycle(KINDS)
        self._began = time.monotonic()
        while (now := time.monotonic() - self._began) < 60 * options.minutes:
            self._samples.take()
            self._note_recovery(now)
            if options.kill_every and now >= options.kill_every * (1 + len(self._deaths)):
                self._kill(next(victims), now)
            if self._ended.wait(SAMPLE_SECONDS):
                return

    def _kill(self, kind: str, now: float) -> None:
        found = [number for name, number in sorted(self._job.processes().items()) if name.split()[0] == kind]
        chance = random.Random(f"{self._options.seed} {len(self._deaths)}")
        if found:
            os.kill(chance.choice(found), signal.SIGKILL)
        self._died_at = datetime.now(UTC)
        self._deaths.append(Death(kind, now, None))

    def _note_recovery(self, now: float) -> None:
        """Whether every camera has a record of a frame from after the last death."""
        if not self._deaths or self._deaths[-1].back_seconds is not None:
            return
        captures = self._last_captures()
        if all(captured is not None and captured > self._died_at for captured in captures):
            death = self._deaths[-1]
            self._deaths[-1] = Death(death.kind, death.at_seconds, now - death.at_seconds)

    def _last_captures(self) -> list[datetime | None]:
        return [last_capture(self._folder / name / RECORDS) for name in self._job.plan.names]

    def _result(self, seconds: float) -> Soak:
        samples = self._samples
        round_seconds = len(KINDS) * self._options.kill_every or BIN_SECONDS
        return Soak(
            options=self._options,
            seconds=seconds,
            cores=samples.cores,
            streams=tuple(self._count(name) for name in self._job.plan.names),
            deaths=tuple(self._deaths),
            memory={kind: _drift(samples.lives(kind)) for kind in ("driver", *KINDS)},
            whole=_drift({"whole": medians(samples.whole, round_seconds)}),
            store=_drift({"store": samples.store}),
            store_most=max(held for _, held in samples.store),
        )

    def _count(self, name: str) -> StreamCount:
        places = [(record["epoch"], record["frame"]) for record in read_records(RunFolder.open(self._folder), name)]
        ordered = all(before < after for before, after in pairwise(places))
        return StreamCount(name, self._job.totals()[name].to_dict(), len(places), ordered)


def last_capture(path: Path) -> datetime | None:
    """When the frame of a file's last whole record was taken; None where there is none yet."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = file.read().splitlines(keepends=True)
    except OSError:
        return None
    whole = [line for line in lines if line.startswith(b"{") and line.endswith(b"\n")]
    return datetime.fromisoformat(json.loads(whole[-1])["time"]) if whole else None


def _drift(lives: dict[object, Series]) -> Drift | None:
    return fit_drift(lives, settling=SETTLING, bin_seconds=BIN_SECONDS)

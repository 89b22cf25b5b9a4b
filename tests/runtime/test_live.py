"""Live input through the local runtime: cameras that outpace the model, hang, go away and come back."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamseg.config.run import read_settings
from streamseg.frames import Frame, FrameResult
from streamseg.pipeline.plan import RunPlan, plan_run
from streamseg.runtime.local import LocalRun
from streamseg.runtime.run import prepare_run
from streamseg.sources.base import Kind, Position, Skipped, SourceInfo, Stop, Wanted
from streamseg.testing import ScriptedSegmenter, masks_by_color
from tests.rtsp_server import RtspServer, require_rtsp_server

PATIENCE_SECONDS = 60.0
PICTURE = np.zeros((32, 48, 3), np.uint8)
PICTURE[8:24, 8:24] = (255, 0, 0)


class Camera:
    """Frames as fast as they are taken, until told to hang; what it does is up to `script`."""

    kind: Kind = "live"
    status = "streaming"

    def __init__(self, name: str, script: Callable[["Camera", Stop, int], Iterator[int | None]]) -> None:
        self.stream_id = name
        self.heartbeat = time.monotonic()
        self.script = script

    def info(self) -> SourceInfo:
        return SourceInfo("live")

    def frames(self, stop: Stop, *, wanted: Wanted, after: Position | None = None) -> Iterator[Frame | Skipped]:
        first = 0 if after is None else after.index + 1
        epoch = 0 if after is None else after.epoch
        for index in self.script(self, stop, first):
            self.heartbeat = time.monotonic()
            if index is None:
                continue
            if wanted(index, None) != "keep":
                yield Skipped(index, "max_fps")
                continue
            yield Frame(PICTURE, index, self.stream_id, epoch, captured_at=datetime.now(UTC), clock="arrival")


def endless(camera: Camera, stop: Stop, first: int) -> Iterator[int | None]:
    del camera
    index = first
    while not stop.wait(0.001):
        yield index
        index += 1


def live_run(camera_script: Any, output: Path | None = None, *, resume: bool = False, **given: Any) -> LocalRun:
    """One camera called `cam0`, under the runtime's real stages."""
    plan = plan_run(
        read_settings(
            given={
                "sources": [{"url": "rtsp://127.0.0.1:1/live", "name": "cam0"}],
                "vocabulary": {"classes": "red; green", "background": "none"},
                "output": None if output is None else str(output),
                **given,
            }
        )
    )
    scripted = _Scripted(plan, camera_script)
    return prepare_run(scripted, segmenter=ScriptedSegmenter(masks_by_color), resume=resume)  # type: ignore[arg-type]


class _Scripted(RunPlan):
    """A plan whose cameras follow a script."""

    def __init__(self, plan: RunPlan, script: Any) -> None:
        for name in ("settings", "spec", "streams"):
            object.__setattr__(self, name, getattr(plan, name))
        object.__setattr__(self, "_script", script)

    __slots__ = ("_script",)

    def open(self, stream: Any) -> Any:
        return Camera(stream.name, self._script)


def take(job: LocalRun, until: Callable[[list[FrameResult]], bool]) -> list[FrameResult]:
    """Results until a condition holds; then the run is stopped."""
    taken: list[FrameResult] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    results = job.results()
    for result in results:
        taken.append(result)
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s"
        if until(taken):
            break
    results.close()
    return taken


def check_accounting(job: LocalRun) -> None:
    for totals in job.totals().values():
        assert totals.in_flight == 0
        assert totals.decoded == totals.emitted + sum(totals.dropped.values())


def test_a_camera_that_outpaces_the_model_loses_its_oldest_frames_and_each_is_counted(tmp_path: Path) -> None:
    job = live_run(endless, tmp_path, sinks=["jsonl", "tracks"])
    seen: list[float] = []

    def slow(taken: list[FrameResult]) -> bool:
        time.sleep(0.02)  # a consumer that holds everything up
        seen.append(0)
        return len(taken) == 20

    taken = take(job, slow)
    check_accounting(job)
    totals = job.totals()["cam0"]
    assert totals.dropped["late"] > 0
    records = [json.loads(line) for line in (tmp_path / "cam0" / "records.jsonl").read_text().splitlines()]
    indices = [record["frame"] for record in records]
    assert indices == sorted(set(indices))
    # Every gap between two records is explained by the second one.
    gaps = sum(b - a - 1 for a, b in pairwise(indices))
    assert gaps <= sum(sum(record["dropped"].values()) for record in records)
    assert {record["clock"] for record in records} == {"arrival"}
    assert all(record["latency_seconds"] >= 0 and record["time"].endswith("Z") for record in records)
    assert all(result.captured_at is not None for result in taken)
    # A camera's run has no later part that would write the tracks that were alive.
    assert (tmp_path / "cam0" / "tracks.jsonl").read_text().count("\n") == 1


def test_a_reader_that_hangs_is_given_up_and_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hanging = threading.Event()
    calls: list[int] = []

    def script(camera: Camera, stop: Stop, first: int) -> Iterator[int | None]:
        calls.append(first)
        if len(calls) > 1:
            yield from endless(camera, stop, first)
            return
        yield from range(5)
        hanging.wait(PATIENCE_SECONDS)  # as a read in a library does, whatever it was asked
        yield 5

    limits = {"connect_timeout_seconds": 0.1, "read_timeout_seconds": 0.1, "watchdog_seconds": 0.3}
    job = live_run(script, tmp_path, live=limits)
    try:
        taken = take(job, lambda taken: taken[-1].epoch > 0)
    finally:
        hanging.set()
    assert taken[-1].epoch == 1
    assert taken[-1].index >= 5
    assert len(calls) == 2
    ids = [(result.epoch, result.index) for result in taken]
    assert ids == sorted(set(ids))
    assert "cam0: the reader hangs, and is left behind" in caplog.text  # nobody waits for it once more


def test_a_camera_run_goes_on_in_a_new_epoch_and_keeps_what_was_there(tmp_path: Path) -> None:
    take(live_run(endless, tmp_path, sinks=["jsonl", "tracks", "png"]), lambda taken: len(taken) == 5)
    path = tmp_path / "cam0" / "records.jsonl"
    before = path.read_text()
    job = live_run(endless, tmp_path, resume=True, sinks=["jsonl", "tracks", "png"])
    taken = take(job, lambda taken: len(taken) == 5)
    assert path.read_text().startswith(before)
    last = json.loads(before.splitlines()[-1])
    assert taken[0].epoch == last["epoch"] + 1
    assert taken[0].index > last["frame"]
    assert (tmp_path / "cam0" / "tracks.jsonl").read_text().count("\n") == 2


@pytest.fixture(scope="module")
def rtsp() -> None:
    require_rtsp_server()


def run_in_thread(job: LocalRun) -> tuple[list[FrameResult], threading.Thread]:
    taken: list[FrameResult] = []
    thread = threading.Thread(target=lambda: taken.extend(job.results()), daemon=True)
    thread.start()
    return taken, thread


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s"
        time.sleep(0.01)


@pytest.mark.usefixtures("rtsp")
def test_two_cameras_one_of_which_goes_away_and_comes_back(tmp_path: Path) -> None:
    quick = {"connect_timeout_seconds": 4.0, "read_timeout_seconds": 4.0, "max_backoff_seconds": 0.5}
    with RtspServer() as steady, RtspServer() as flaky:
        settings = read_settings(
            given={
                "sources": [{"url": steady.url(), "name": "steady"}, {"url": flaky.url(), "name": "flaky"}],
                "vocabulary": {"classes": "red; green; blue", "background": "none"},
                "live": quick,
                "output": str(tmp_path),
            }
        )
        job = prepare_run(plan_run(settings), segmenter=ScriptedSegmenter(masks_by_color))
        taken, thread = run_in_thread(job)

        def epochs(name: str) -> set[int]:
            return {result.epoch for result in list(taken) if result.stream_id == name}

        wait_for(lambda: bool(epochs("steady")) and bool(epochs("flaky")))
        flaky.off()
        wait_for(lambda: "streaming" not in job.statuses()["flaky"])
        count = len([result for result in list(taken) if result.stream_id == "steady"])
        wait_for(lambda: len([r for r in list(taken) if r.stream_id == "steady"]) > count + 5)
        flaky.on()
        wait_for(lambda: max(epochs("flaky")) > 0)
        job.stop()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    check_accounting(job)
    assert epochs("steady") == {0}
    manifest = json.loads((tmp_path / "run.json").read_text())
    assert set(manifest["streams"]) == {"steady", "flaky"}

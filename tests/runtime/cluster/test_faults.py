"""Processes die, hang and block: what was promised is kept, by real processes that really die."""

import os
import signal
from pathlib import Path
from unittest.mock import Mock

import pytest

from streamseg.config.run import read_settings
from streamseg.errors import StreamsegError
from streamseg.pipeline.plan import plan_run
from streamseg.runtime.cluster.segmenting import Assignment, SegmentingWorker
from streamseg.runtime.cluster.watching import Watched
from streamseg.testing import TroubledSegmenter
from tests.runtime.cluster.ray_runs import (
    SINKS,
    Going,
    check_accounting,
    contents,
    local,
    on_ray,
    segmenter_for,
    wait_for,
)
from tests.runtime.small_runs import FRAMES, SOURCE

pytestmark = [pytest.mark.usefixtures("ray_cluster"), pytest.mark.filterwarnings("ignore")]

KILLED_AT = 12
SLOW = 0.05  # seconds a call, so that a fault comes in the middle
OTHER = SOURCE.replace("seed=5", "seed=6")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the run in one process writes, which nobody disturbs."""
    return local(tmp_path_factory.mktemp("local") / "out", SOURCE, OTHER)


def disturbed(output: Path, **given: object) -> Going:
    """Two streams on Ray, slowly."""
    segmenter = TroubledSegmenter(segmenter_for(SOURCE, OTHER), call_seconds=SLOW)
    job = on_ray(SOURCE, OTHER, output=output, sinks=SINKS, segmenter=segmenter, commit_seconds=0.3, **given)
    going = Going(job)
    going.wait_until_emitted(KILLED_AT)
    return going


def check_undisturbed(going: Going, output: Path, expected: dict[str, bytes]) -> None:
    """Every record once, in order, and all files as if nothing had happened."""
    for stream in ("world", "world-2"):
        assert [result.index for result in going.results if result.stream_id == stream] == list(range(FRAMES))
        assert going.emitted(stream) == FRAMES
    assert contents(output) == expected
    assert going.job.state == "finished"
    check_accounting(going.job)


def test_everybody_is_killed_one_after_the_other(tmp_path: Path, expected: dict[str, bytes]) -> None:
    going = disturbed(tmp_path)
    pid = going.signal(going.decoder(), signal.SIGKILL)
    going.wait_until_emitted(KILLED_AT + 4)
    going.signal(going.coordinator.emitters[0], signal.SIGKILL)
    going.wait_until_emitted(KILLED_AT + 8)
    going.signal(going.coordinator.workers[0], signal.SIGKILL)
    going.finish()
    check_undisturbed(going, tmp_path, expected)
    assert going.decoder().pid != pid
    assert going.coordinator.streams["world"].lease in (2, 3)  # the worker may die before the emitter is missed


def test_a_worker_without_its_model_says_so() -> None:
    """As after a restart that the coordinator has not seen yet: it will place the stream again."""
    plan = plan_run(read_settings(given={"sources": [SOURCE], "model": {"name": "demo"}}))
    worker = SegmentingWorker(plan, lambda: pytest.fail("nobody asked for the model"), 1)
    assert worker.serve(Mock(spec=Assignment)) is False
    worker.stop()


def test_a_stream_refused_by_a_worker_is_placed_again_under_the_same_lease(tmp_path: Path) -> None:
    """The worker dies and comes back without its model, between two rounds of the coordinator."""
    job = on_ray(SOURCE, output=tmp_path, segmenter=segmenter_for(SOURCE))
    coordinator = job._coordinator
    assert coordinator is not None

    def followed() -> bool:
        coordinator.round(1.0)
        return coordinator.streams["world"].worker == 0

    try:
        coordinator.add(job._away.streams[0])
        wait_for(followed, "the worker")
        coordinator.pause("world", True)
        worker = coordinator.workers[0]
        behind_its_back = Watched(worker.name, worker.actor, worker.patience_seconds)
        coordinator.round(10.0)  # nothing is asked of anybody now
        before = worker.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: asked(behind_its_back) not in (None, before), "another worker")
        coordinator.pause("world", False)
        coordinator.round(0.0)  # too short for the new one to be seen
        assert (coordinator.streams["world"].worker, coordinator.streams["world"].lease) == (None, 1)
        wait_for(followed, "the worker")
        assert coordinator.streams["world"].lease == 2
    finally:
        job.leave()


def asked(process: Watched) -> int | None:
    """The number of a process, after asking it how it is."""
    process.ask()
    process.hear()
    return process.pid


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_a_batch_costs_nothing(tmp_path: Path, expected: dict[str, bytes]) -> None:
    going = disturbed(tmp_path)
    pid = going.signal(going.coordinator.workers[0], signal.SIGKILL)
    going.finish()
    check_undisturbed(going, tmp_path, expected)
    assert going.coordinator.streams["world"].lease >= 2
    assert going.coordinator.workers[0].pid != pid


@pytest.mark.slow
def test_a_decoder_that_is_killed_goes_on_where_it_was(tmp_path: Path, expected: dict[str, bytes]) -> None:
    going = disturbed(tmp_path)
    going.signal(going.decoder(), signal.SIGKILL)
    going.finish()
    check_undisturbed(going, tmp_path, expected)
    assert going.coordinator.streams["world"].lease == 1


@pytest.mark.slow
def test_an_emitter_that_is_killed_loses_and_doubles_nothing(tmp_path: Path, expected: dict[str, bytes]) -> None:
    going = disturbed(tmp_path)
    going.signal(going.coordinator.emitters[0], signal.SIGKILL)
    going.finish()
    check_undisturbed(going, tmp_path, expected)


@pytest.mark.slow
def test_a_decoder_that_hangs_is_replaced_from_outside(tmp_path: Path, expected: dict[str, bytes]) -> None:
    limits = {"connect_timeout_seconds": 0.5, "read_timeout_seconds": 0.5, "watchdog_seconds": 1.0}
    going = disturbed(tmp_path, live=limits)
    going.signal(going.decoder(), signal.SIGSTOP)
    going.wait_until_emitted(FRAMES, "world-2")
    going.finish()
    check_undisturbed(going, tmp_path, expected)


@pytest.mark.slow
def test_a_frame_that_crashes_its_worker_again_and_again_ends_the_run(tmp_path: Path) -> None:
    segmenter = TroubledSegmenter(segmenter_for(SOURCE), crashing=[("world", 7)])
    going = Going(on_ray(SOURCE, output=tmp_path, segmenter=segmenter, ray={"max_restarts": 1}))
    with pytest.raises(StreamsegError, match=r"worker 0 died 2 times without a result .*: its machine may lack"):
        going.finish()
    assert going.job.state == "failed"


@pytest.mark.slow
def test_a_frame_that_raises_is_reported_and_the_stream_goes_on(tmp_path: Path) -> None:
    segmenter = TroubledSegmenter(segmenter_for(SOURCE), poisoned=[("world", 5)])
    job = on_ray(SOURCE, output=tmp_path, segmenter=segmenter)
    results = list(job.results())
    assert [result.index for result in results if result.status == "failed"] == [5]
    assert results[5].error == "RuntimeError: a poisoned frame"
    assert len(results) == FRAMES
    assert job.totals()["world"].failed == 1


@pytest.mark.slow
def test_a_stream_whose_frames_all_fail_ends_alone(tmp_path: Path) -> None:
    segmenter = TroubledSegmenter(segmenter_for(SOURCE, OTHER), poisoned=[("world", index) for index in range(FRAMES)])
    going = Going(on_ray(SOURCE, OTHER, output=tmp_path, segmenter=segmenter, max_failures=3))
    with pytest.raises(StreamsegError, match="world: 3 frames in a row failed: RuntimeError: a poisoned frame"):
        going.finish()
    assert going.emitted("world-2") == FRAMES
    assert going.job.state == "stopped"
    check_accounting(going.job)

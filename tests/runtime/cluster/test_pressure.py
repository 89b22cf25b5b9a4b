"""More comes in than can be taken, or somebody does not move: memory stays as it is, and the others go on."""

import signal
from pathlib import Path
from typing import Any

import pytest

from streamseg.benchmark.soak_watch import own_memory_bytes
from streamseg.config.run import read_settings
from streamseg.pipeline.plan import plan_run
from streamseg.runtime.cluster.run import RayRun
from streamseg.runtime.run import prepare_run
from streamseg.testing import ScriptedSegmenter, TimedSegmenter, TroubledSegmenter
from streamseg.testing.timed import halves
from tests.rtsp_server import RtspServer, require_rtsp_server
from tests.runtime.cluster.ray_runs import Going, check_accounting, on_ray, segmenter_for
from tests.runtime.small_runs import FRAMES, SOURCE
from tests.runtime.test_blocked_sink import run_with_one_blocked

pytestmark = [pytest.mark.usefixtures("ray_cluster"), pytest.mark.filterwarnings("ignore")]

CAMERA_FPS = 20
SLOWER = 4  # times slower than the camera is the model
FRAME_BYTES = 3 * 640 * 480
MOST_FRAMES = 24  # on their way at once: in front of the decoder's door, on the way, in the worker's lane, in the model
LONGER = SOURCE.replace("seconds=4", "seconds=12")
LONGER_FRAMES = 3 * FRAMES


def watch(camera: RtspServer, output: Path) -> Going:
    values = {
        "sources": [{"url": camera.url(), "name": "cam"}],
        "vocabulary": {"classes": "left; right", "background": "none"},
        "model": {"name": "demo"},
        "torch_threads": 1,
        "output": str(output),
        "runtime": "ray",
        "commit_seconds": 0.5,
    }
    segmenter: Any = TimedSegmenter(ScriptedSegmenter(halves), call_seconds=SLOWER / CAMERA_FPS)
    job = prepare_run(plan_run(read_settings(given=values)), segmenter=segmenter)
    assert isinstance(job, RayRun)
    return Going(job)


@pytest.mark.slow
def test_a_camera_that_is_much_too_fast_fills_no_memory(tmp_path: Path) -> None:
    require_rtsp_server()
    with RtspServer("--size", "640x480", "--fps", str(CAMERA_FPS)) as camera:
        going = watch(camera, tmp_path)
        going.wait_until_emitted(15, "cam")
        before = memory(going.job)
        stored = [going.job.stored_bytes]
        for count in range(20, 100, 5):
            going.wait_until_emitted(count, "cam")
            stored.append(going.job.stored_bytes)
        after = memory(going.job)
        going.job.stop()
        going.finish()
    check_accounting(going.job)
    dropped = going.job.totals()["cam"].dropped
    assert dropped["late"] > 100  # of each four frames three: much more than may be anywhere
    assert 0 < max(stored) <= MOST_FRAMES * FRAME_BYTES
    assert after - before <= MOST_FRAMES * FRAME_BYTES
    latest = [result.latency_seconds for result in going.results[15:]]
    assert max(seconds for seconds in latest if seconds is not None) <= MOST_FRAMES * SLOWER / CAMERA_FPS


def memory(job: RayRun) -> int:
    """Of all processes, without the object store."""
    return sum(own_memory_bytes(number) or 0 for number in job.processes().values())


@pytest.mark.slow
def test_a_sink_that_blocks_holds_up_its_own_stream_alone(tmp_path: Path) -> None:
    run_with_one_blocked(tmp_path / "out", runtime="ray")


@pytest.mark.slow
def test_others_go_on_while_a_decoder_hangs(tmp_path: Path) -> None:
    """Nobody replaces it: the watchdog is slower than the other stream takes."""
    segmenter = TroubledSegmenter(segmenter_for(LONGER, LONGER), call_seconds=0.02)
    going = Going(on_ray(LONGER, LONGER, output=tmp_path, segmenter=segmenter, live={"watchdog_seconds": 600.0}))
    going.wait_until_emitted(8)
    going.signal(going.decoder(), signal.SIGSTOP)
    going.wait_until_emitted(LONGER_FRAMES, "world-2")
    held = going.emitted()
    going.signal(going.decoder(), signal.SIGCONT)
    going.finish()
    assert held < LONGER_FRAMES
    assert going.emitted() == LONGER_FRAMES
    check_accounting(going.job)

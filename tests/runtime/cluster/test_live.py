"""Cameras under Ray: the newest frames count, and what is lost is counted with its reason."""

import json
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from streamseg.config.run import read_settings
from streamseg.pipeline.plan import plan_run
from streamseg.runtime.cluster.run import RayRun
from streamseg.runtime.run import prepare_run
from tests.cli.quick_run import QuickSegmenter
from tests.http_camera import FPS, HttpCamera, serve
from tests.runtime.cluster.ray_runs import Going, check_accounting, wait_for

pytestmark = [pytest.mark.usefixtures("ray_cluster"), pytest.mark.filterwarnings("ignore")]

SLOWER = 4  # times slower than the camera is the model


def watch(camera: HttpCamera, output: Path, **given: Any) -> Going:
    values = {
        "sources": [{"url": f"{camera.url}/mjpeg", "name": "cam"}],
        "vocabulary": {"classes": "left; right", "background": "none"},
        "model": {"name": "demo"},
        "output": str(output),
        "sinks": ["jsonl", "tracks"],
        "runtime": "ray",
        "commit_seconds": 0.5,
        **given,
    }
    job = prepare_run(plan_run(read_settings(given=values)), segmenter=QuickSegmenter(SLOWER / FPS))  # type: ignore[arg-type]
    assert isinstance(job, RayRun)
    return Going(job)


@pytest.mark.slow
def test_a_camera_that_is_too_fast_loses_frames_and_survives_everybody(tmp_path: Path) -> None:
    with serve(HttpCamera()) as camera:
        going = watch(camera, tmp_path)
        going.wait_until_emitted(6, "cam")
        going.signal(going.coordinator.workers[0], signal.SIGKILL)
        wait_for(lambda: going.job.totals()["cam"].dropped.get("worker_lost"), "the loss")
        count = going.emitted("cam")
        going.wait_until_emitted(count + 3, "cam")
        first = len(going.results)
        going.signal(going.decoder("cam"), signal.SIGKILL)
        wait_for(lambda: going.results[-1].epoch == 1, "another epoch")
        going.wait_until_emitted(going.emitted("cam") + 3, "cam")
        going.job.stop()
        going.finish()
    check_accounting(going.job)
    dropped = going.job.totals()["cam"].dropped
    assert dropped["late"] > 0
    assert dropped["worker_lost"] > 0
    records = [json.loads(line) for line in (tmp_path / "cam" / "records.jsonl").read_text().splitlines()]
    places = [(record["epoch"], record["frame"]) for record in records]
    assert places == sorted(set(places))
    assert {epoch for epoch, _ in places} == {0, 1}
    assert all(later > earlier for (_, earlier), (_, later) in pairwise(places))
    # Tracks went on from the last commit, under the same identities.
    ids = {segment.id for result in going.results[:first] for segment in result.segments}
    assert ids == {1, 2}
    # Nothing piles up: a frame is hardly older than what the model takes for those that wait in front of it.
    assert max(record["latency_seconds"] for record in records[2:6]) < 20 * SLOWER / FPS

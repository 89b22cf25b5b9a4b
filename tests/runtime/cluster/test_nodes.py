"""Machines are lost and added: several Ray nodes, each with processes of its own, on this one machine."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamseg.config.run import read_settings
from streamseg.pipeline.plan import plan_run
from streamseg.runtime.cluster.deployed import StreamStatus
from streamseg.runtime.cluster.deployment import Deployment
from streamseg.runtime.run import deploy_run
from streamseg.sources.world import parse_world
from streamseg.testing import TroubledSegmenter, WorldSegmenter
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

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SOURCES = [SOURCE.replace("seed=5", f"seed={seed}") for seed in (5, 6, 7, 8)]
NAMES = ["world", "world-2", "world-3", "world-4"]
LONG = "world:seed=5,seconds=600,fps=10,size=160x96,difficulty=0.4"
SOON = {
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 5,
}  # a node that is lost is noticed in seconds
SLOW = 0.05
ADDED = [f"added-{number}" for number in range(30)]


class Nodes:
    """A head, where results are written, and machines with a GPU each, so that each gets a worker."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        quiet = {"include_dashboard": False, "_system_config": SOON}
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0, **quiet})
        self.others = [self.add(), self.add()]

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self) -> Any:
        return self.cluster.add_node(num_cpus=1, num_gpus=1)

    def of(self, process: int) -> Any:
        """The node that a process belongs to: its raylet is the parent; None for the head."""
        parent = int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])
        raylets = {node.all_processes["raylet"][0].process.pid: node for node in self.others}
        return raylets.get(parent)

    def lose(self, node: Any) -> None:
        """SIGKILL for all that runs there."""
        self.others.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """In the place of the cluster that other tests share, which is made again behind."""
    ray = pytest.importorskip("ray", reason="needs ray")
    from streamseg.runtime.cluster.joining import join

    shared = ray.is_initialized()
    ray.shutdown()
    nodes = Nodes()
    yield nodes
    ray.shutdown()
    nodes.cluster.shutdown()
    if shared:
        join(None)


def test_recordings_on_a_node_that_is_lost_go_on_elsewhere(nodes: Nodes, tmp_path: Path) -> None:
    expected = local(tmp_path / "local", *SOURCES)
    segmenter = TroubledSegmenter(segmenter_for(*SOURCES), call_seconds=SLOW)
    cluster = {"address": nodes.address, "num_workers": 2}
    job = on_ray(*SOURCES, output=tmp_path / "ray", sinks=SINKS, segmenter=segmenter, commit_seconds=0.3, ray=cluster)
    going = Going(job)
    for name in NAMES:
        going.wait_until_emitted(8, name)
    streams = going.coordinator.streams
    moved = [name for name in NAMES if streams[name].worker == 0]
    lost = nodes.of(job.processes()["worker 0"])
    assert lost is not None
    assert nodes.of(job.processes()["worker 1"]) is not lost
    nodes.lose(lost)
    going.finish()
    assert len(moved) == 2
    assert all(streams[name].lease >= 2 for name in moved)
    for name in NAMES:
        assert [result.index for result in going.results if result.stream_id == name] == list(range(FRAMES))
    assert contents(tmp_path / "ray") == expected
    assert job.state == "finished"
    check_accounting(job)


def test_a_node_that_is_added_takes_streams_on(nodes: Nodes, tmp_path: Path) -> None:
    deployment = deployed(nodes, tmp_path / "out", "first", "second")
    wait_for(lambda: {stream.worker for stream in deployment.streams()} == {0, 1}, "a stream on each worker")
    wait_for_frames(deployment, "first", "second")
    nodes.lose(nodes.of(process_of("worker 0")))
    wait_for(lambda: {stream.worker for stream in deployment.streams()} == {1}, "both streams on the other worker")
    wait_for_frames(deployment, "first", "second")
    added = nodes.add()
    nodes.others.append(added)
    wait_for(lambda: answers("worker 0", "prepare"), "the worker on the new node, with its model")
    assert nodes.of(process_of("worker 0")) is added
    wait_for(lambda: new_stream(deployment).worker == 0, "a new stream on the new node")
    names = [stream.name for stream in deployment.streams()]
    wait_for_frames(deployment, *names)
    deployment.stop()
    deployment.close()
    for name in names:
        lines = (tmp_path / "out" / name / "records.jsonl").read_text().splitlines()
        found = [json.loads(line)["frame"] for line in lines]
        assert found == list(range(len(found)))


def new_stream(deployment: Deployment) -> StreamStatus:
    """One more, when it is on a worker."""
    (name,) = deployment.add(LONG, name=ADDED[len(deployment.streams())])
    wait_for(lambda: stream(deployment, name).worker is not None, "a worker")
    return stream(deployment, name)


def deployed(nodes: Nodes, output: Path, *names: str) -> Deployment:
    known = dict.fromkeys((*names, *ADDED), parse_world(LONG))
    values = {
        "sources": [{"url": LONG, "name": name} for name in names],
        "vocabulary": {"vocabulary": "world"},
        "model": {"name": "demo"},
        "torch_threads": 1,
        "output": str(output),
        "runtime": "ray",
        "ray": {"address": nodes.address, "detach": True, "num_workers": 2},
    }
    segmenter: Any = TroubledSegmenter(WorldSegmenter(known), call_seconds=SLOW)
    return deploy_run(plan_run(read_settings(given=values)), segmenter=segmenter)


def stream(deployment: Deployment, name: str) -> StreamStatus:
    return next(stream for stream in deployment.streams() if stream.name == name)


def wait_for_frames(deployment: Deployment, *names: str) -> None:
    for name in names:
        before = stream(deployment, name).totals.emitted
        wait_for(lambda name=name, before=before: stream(deployment, name).totals.emitted >= before + 5, name)


def asked(actor: str, method: str) -> Any:
    import ray

    return ray.get(getattr(ray.get_actor(actor, namespace="streamseg"), method).remote(), timeout=60)


def answers(actor: str, method: str) -> bool:
    from ray.exceptions import RayError

    try:
        return asked(actor, method) is not None
    except RayError:
        return False


def process_of(actor: str) -> int:
    return int(asked(actor, "report").incarnation.split("-")[-2])

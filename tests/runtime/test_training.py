"""Training on Ray: the same run as without, errors as they are, and a clear word where Ray is missing."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streamseg.errors import ConfigError, SourceError
from streamseg.runtime.training import train_on_ray
from streamseg.training.launch import launch
from streamseg.training.settings import load_settings
from tests.conftest import REPOSITORY
from tests.training.small_runs import losses, write_config


def test_without_ray_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"--runtime ray needs Ray Train .*: pip install 'ray\[train\]'"):
        train_on_ray(load_settings(write_config(tmp_path)))


@pytest.fixture
def with_ray() -> None:
    """Ray, to which nobody has connected yet."""
    pytest.importorskip("ray.train.torch", reason="needs ray[train]")
    import ray

    ray.shutdown()


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster that runs already, whose machines know the package."""
    utils = pytest.importorskip("ray.cluster_utils", reason="needs ray[train]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        running = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
        yield running.address
        running.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("with_ray")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_workers_share_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths may be relative, and the run goes on without Ray where it stopped."""
    settings = load_settings(write_config(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert train_on_ray(replace(settings, output="run"), workers=2)
    alone = replace(settings, output=str(tmp_path / "alone"))
    assert launch(alone)
    found, expected = losses(tmp_path / "run"), losses(tmp_path / "alone")
    assert found.keys() == expected.keys()
    for step, line in expected.items():
        assert found[step] == pytest.approx(line, rel=2e-3, abs=2e-3), step
    assert launch(replace(settings, steps=5), resume=True)
    assert list(losses(tmp_path / "run")) == [1, 2, 3, 4, 5]


@pytest.mark.slow
@pytest.mark.usefixtures("with_ray")
@pytest.mark.filterwarnings("ignore")
def test_ray_hands_over_our_own_errors(tmp_path: Path, cluster: str) -> None:
    settings = load_settings(write_config(tmp_path))
    (tmp_path / "data" / "panoptic.json").unlink()
    with pytest.raises(SourceError, match=r"panoptic\.json"):
        train_on_ray(settings, address=cluster)


@pytest.mark.slow
@pytest.mark.usefixtures("with_ray")
@pytest.mark.filterwarnings("ignore")
def test_a_signal_stops_a_ray_run_with_its_state_saved(tmp_path: Path, cluster: str) -> None:
    settings = load_settings(write_config(tmp_path, steps=100_000))
    lines = tmp_path / "run" / "metrics.jsonl"
    over = threading.Event()

    def interrupt() -> None:
        while not over.is_set() and not (lines.exists() and lines.read_text().count("\n") >= 2):
            time.sleep(0.1)
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        assert not train_on_ray(settings, address=cluster)
    finally:
        over.set()
        thread.join()
    assert len(list((tmp_path / "run" / "checkpoints").glob("step-*.pt"))) == 1

"""Ray gives what one process gives, byte for byte: records, maps, tracks, videos."""

from pathlib import Path
from typing import Any

import pytest

from streamseg.config.run import read_settings
from streamseg.pipeline.plan import plan_run
from streamseg.runtime.run import prepare_run
from tests.runtime.cluster.ray_runs import contents

pytestmark = [pytest.mark.usefixtures("ray_cluster"), pytest.mark.filterwarnings("ignore")]

CLIPS = ("01_dog.mp4", "04_coffee.mp4", "05_default_juggle.mp4", "bedroom.mp4")
WORLDS = ("world:seed=11,difficulty=0.2", "world:seed=12,difficulty=0.6", "world:seed=13,difficulty=0.9,size=320x180")


def run(runtime: str, sources: list[str], output: Path, **given: Any) -> dict[str, bytes]:
    values = {
        "sources": sources,
        "model": {"name": "demo", "device": "cpu"},
        "vocabulary": {"vocabulary": "world"},
        "sinks": ["jsonl", "png", "tracks", "video"],
        "torch_threads": 2,
        "output": str(output),
        "runtime": runtime,
        **given,
    }
    indices: dict[str, list[int]] = {}
    for result in prepare_run(plan_run(read_settings(given=values)), progress=False).results():
        indices.setdefault(result.stream_id, []).append(result.index)
    assert all(found == sorted(set(found)) for found in indices.values())
    assert len(indices) == len(sources)
    return contents(output)


def check_agreement(sources: list[str], folder: Path, **given: Any) -> None:
    expected = run("local", sources, folder / "local", **given)
    assert len(expected) > 3 * len(sources)
    assert run("ray", sources, folder / "ray", **given) == expected


def test_both_runtimes_agree_on_two_worlds_at_once(tmp_path: Path) -> None:
    sources = [f"{source},seconds=4,fps=5" for source in ("world:seed=1,size=256x144", "world:seed=2,size=256x144")]
    check_agreement(sources, tmp_path, selection={"stride": 2, "start_seconds": 0.5})


@pytest.mark.slow
def test_both_runtimes_agree_on_worlds(tmp_path: Path) -> None:
    check_agreement([f"{world},seconds=3" for world in WORLDS], tmp_path, selection={"max_frames": 30})


@pytest.mark.slow
def test_both_runtimes_agree_on_the_shared_clips(tmp_path: Path, shared_dir: Path) -> None:
    sources = [str(shared_dir / "data" / "videos" / clip) for clip in CLIPS]
    check_agreement(sources, tmp_path, selection={"max_frames": 16})


@pytest.mark.slow
def test_a_run_that_was_begun_in_one_process_goes_on_under_ray(tmp_path: Path) -> None:
    source = "world:seed=4,size=160x96,seconds=4,fps=5"
    expected = run("local", [source], tmp_path / "whole")
    values = {
        "sources": [source],
        "output": str(tmp_path / "parts"),
        "torch_threads": 2,
        "model": {"name": "demo", "device": "cpu"},
    }
    values |= {"vocabulary": {"vocabulary": "world"}, "sinks": ["jsonl", "png", "tracks", "video"]}
    results = prepare_run(plan_run(read_settings(given=values)), progress=False).results()
    for result in results:
        if result.index == 5:
            break
    results.close()
    job = prepare_run(plan_run(read_settings(given={**values, "runtime": "ray"})), resume=True, progress=False)
    assert [result.index for result in job.results()][-1] == 19
    found = contents(tmp_path / "parts")
    names = [name for name in expected if "overlay" not in name]
    assert {name: found[name] for name in names} == {name: expected[name] for name in names}

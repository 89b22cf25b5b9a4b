"""The pipeline benchmark: its figures are what their names say. How large they are is not tested: machines differ."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from streamseg.benchmark import command
from streamseg.benchmark.machine import allocated_bytes, peak_memory_bytes, resident_bytes
from streamseg.benchmark.pipeline import WARM_UP, benchmark_pipeline, pipeline_settings
from streamseg.benchmark.pipeline_clip import FPS, looped, world_clip
from streamseg.benchmark.pipeline_memory import SAMPLE_FRAMES, measure_growth, slope
from streamseg.benchmark.pipeline_stages import Stopwatch
from streamseg.benchmark.tables import memory_table
from streamseg.errors import ConfigError
from streamseg.frames import Frame, FrameResult
from streamseg.pipeline.plan import plan_run
from streamseg.sources.address import parse_address
from streamseg.sources.base import everything
from streamseg.sources.open import open_source
from streamseg.testing import ScriptedSegmenter, masks_by_color

FRAMES = 2 * WARM_UP + 4
SMALL = (96, 160)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world_clip(FRAMES, SMALL, folder=tmp_path_factory.mktemp("clips"))


def frames_of(path: Path) -> list[Frame]:
    items = open_source(parse_address(str(path))).frames(threading.Event(), wanted=everything)
    return [item for item in items if isinstance(item, Frame)]


def test_clip_is_made_once_and_whole(clip: Path) -> None:
    made = clip.stat().st_mtime_ns
    frames = frames_of(clip)
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert frames[0].size_hw == SMALL
    assert open_source(parse_address(str(clip))).info().codec == "h264"
    assert world_clip(FRAMES, SMALL, folder=clip.parent) == clip
    assert clip.stat().st_mtime_ns == made
    assert [path.name for path in clip.parent.iterdir()] == [clip.name]


def test_loop_goes_on_in_time(clip: Path, tmp_path: Path) -> None:
    frames = frames_of(looped(clip, 3, tmp_path))
    times = [frame.pts_seconds for frame in frames]
    assert len(frames) == 3 * FRAMES
    assert times == [number / FPS for number in range(3 * FRAMES)]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Where others are at work, two threads that wait for each other take many times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_figures_are_consistent(clip: Path) -> None:
    settings = pipeline_settings("demo-untrained", clip, "jsonl,png", FRAMES)
    timing = benchmark_pipeline(settings, runs=1).to_dict()
    assert (timing["save"], timing["frames"], timing["size_hw"]) == ("jsonl,png", FRAMES, SMALL)
    assert timing["ratio"] == timing["ratio_low"] == timing["ratio_high"] > 0
    assert min(timing[name] for name in ("pipeline_fps", "segmenter_fps", "pipeline_cpu_ms", "segmenter_cpu_ms")) > 0
    parts = ("decode", "segment", "associate", "fuse", "record", "sink jsonl", "sink png", "commit")
    assert tuple(timing["stages"]) == parts
    assert all(milliseconds > 0 for milliseconds in timing["stages"].values())
    assert timing["peak_bytes"] > 50_000_000
    assert isinstance(vars(FrameResult)["from_map"], classmethod)  # the stopwatch has left


def test_stopwatch_counts_calls_and_restores() -> None:
    class Owner:
        @classmethod
        def name(cls) -> str:
            return cls.__name__

    watch = Stopwatch()
    with watch.watching("name", Owner, "name"):
        assert [Owner.name() for _ in range(3)] == ["Owner"] * 3
    assert len(watch.seconds["name"]) == 3
    assert Owner().name() == "Owner"
    assert len(watch.seconds["name"]) == 3


def test_slope_is_that_of_the_settled_part() -> None:
    settled = [(frame, 1_000_000 + 50 * frame) for frame in range(1000, 4001, 100)]
    filling = [(frame, 1000 * frame) for frame in range(100, 1000, 100)]
    growth = slope([*filling, *settled])
    assert growth.frames == 4000
    assert growth.bytes_per_1000_frames == pytest.approx(50_000)
    assert growth.last_bytes == pytest.approx(1_200_000, abs=1)
    assert growth.first_bytes < growth.last_bytes
    assert growth.quarter_bytes == (1_050_000, 1_100_000, 1_150_000, 1_200_000)


@pytest.fixture
def painted() -> Any:
    """Masks by colour: a segmenter that is fast enough for long runs."""
    return ScriptedSegmenter(masks_by_color)


def test_growth_is_measured_over_as_many_frames_as_asked(clip: Path, painted: Any) -> None:
    frames = 10 * SAMPLE_FRAMES
    resident, allocated = measure_growth(plan_run(pipeline_settings("demo", clip, "jsonl", FRAMES)), painted, frames)
    assert resident.frames == frames
    assert resident.first_bytes > 10_000_000
    assert resident.last_bytes < 10 * resident_bytes()
    assert allocated is not None
    assert 1_000_000 < allocated.last_bytes < resident.last_bytes


def test_what_cannot_be_measured_is_refused(clip: Path, painted: Any) -> None:
    with pytest.raises(ConfigError, match=f"frames is {WARM_UP}, expected more than"):
        pipeline_settings("demo", clip, "jsonl", WARM_UP)
    plan = plan_run(pipeline_settings("demo", clip, "jsonl", FRAMES))
    with pytest.raises(ConfigError, match="long is 5, expected at least"):
        measure_growth(plan, painted, 5)
    world = plan_run(pipeline_settings("demo", "world:seed=1,seconds=2,size=160x96", "jsonl", FRAMES))
    with pytest.raises(ConfigError, match=r"source is 'world:.*', expected a file"):
        measure_growth(world, painted, 1000)


def test_resident_memory_is_at_most_its_peak() -> None:
    assert 10_000_000 < resident_bytes() <= peak_memory_bytes()


def test_what_is_allocated_counts_until_it_is_given_back() -> None:
    before = allocated_bytes()
    assert before is not None
    small, large = ([bytes(size) for _ in range((32 << 20) // size)] for size in (4 << 10, 4 << 20))
    held = allocated_bytes()
    assert held is not None
    assert held - before >= 64 << 20
    del small, large
    after = allocated_bytes()
    assert after is not None
    assert after - before < 1 << 20


def test_command_writes_table_and_figures(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "pipeline"
    arguments = ["pipeline", "--model", "demo-untrained", "--source", str(clip), "--frames", str(FRAMES)]
    arguments += ["--threads", "1"]
    assert command.main([*arguments, "--save", "jsonl", "--runs", "1", "--output", str(output)]) == 0
    (row,) = json.loads(output.with_suffix(".json").read_text())["pipeline"]
    assert (row["model"], row["save"]) == ("demo-untrained", "jsonl")
    table = output.with_suffix(".md").read_text()
    assert "| demo-untrained | jsonl | 96x160 |" in table
    head, line, cells = table.strip().splitlines()[-3:]
    assert head.count("|") == line.count("|") == cells.count("|")
    assert table.strip() == capsys.readouterr().out.strip()


@pytest.mark.usefixtures("one_thread")
def test_memory_is_measured_with_all_sinks_at_once(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = 10 * SAMPLE_FRAMES
    arguments = [
        "memory",
        "--model",
        "demo-untrained",
        "--source",
        str(clip),
        "--frames",
        str(FRAMES),
        "--long",
        str(long),
    ]
    assert command.main([*arguments, "--save", "jsonl", "jsonl,png", "--only", "jsonl,png"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["save"], found["resident"]["frames"]) == ("jsonl,png", long)
    (row,) = memory_table([found]).splitlines()[2:]
    assert row.startswith(f"| demo-untrained | jsonl,png | 96x160 | {long} | ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "demmo"], "unknown model 'demmo'"),
        (["--only", "jpeg2000"], "jpeg2000"),
    ],
)
def test_wrong_calls_get_one_line(
    arguments: list[str], expected: str, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["pipeline", "--source", str(clip), *arguments]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1

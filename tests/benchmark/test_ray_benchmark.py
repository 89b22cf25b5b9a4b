"""The benchmarks of the Ray runtime: their figures are what their names say. How large they are is not tested."""

import json
import signal
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamseg.benchmark import command
from streamseg.benchmark.drift import Drift
from streamseg.benchmark.ray_latency import Latency, Part
from streamseg.benchmark.ray_overhead import Overhead
from streamseg.benchmark.ray_streams import Batching, Fairness, benchmark_batching
from streamseg.benchmark.ray_table import ray_table
from streamseg.benchmark.ray_window import common_window
from streamseg.benchmark.soak import KINDS, Death, Soak, SoakOptions, StreamCount
from streamseg.benchmark.soak_run import last_capture, run_soak
from streamseg.benchmark.soak_table import soak_table
from streamseg.benchmark.soak_watch import Samples, descendants, medians, own_memory_bytes, processor_seconds
from streamseg.errors import ConfigError, StreamsegError
from streamseg.frames import Frame
from streamseg.testing import ScriptedSegmenter, TimedSegmenter
from streamseg.testing.timed import halves, read_calls
from streamseg.vocabulary import Vocabulary
from tests.rtsp_server import require_rtsp_server

PART = Part(0.05, 0.07)
ROWS: list[dict[str, Any]] = [
    {"part": "overhead", **Overhead("jsonl", (720, 1280), 150, 5, 0.8, 0.75, 0.84, 12.0, 9.6, 150.0, 180.0).to_dict()},
    {"part": "fairness", **Fairness("144x256", 8, 0.97, 21.0, 30.0).to_dict()},
    {"part": "latency", **Latency(10, 0.5, "640x480", 300, {"late": 2}, PART, {"model": PART}).to_dict()},
    {"part": "batching", **Batching(16, 16, 0.2, 0.93, 74.4, 15.8, 30.0).to_dict()},
]
TOTALS = {"decoded": 10, "emitted": 7, "failed": 0, "dropped": {"late": 3}, "in_flight": 0, "tracks": 1}


def test_tables_have_a_cell_for_every_column() -> None:
    lines = ray_table(ROWS).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "**0.80** (0.75-0.84)" in lines[2]
    assert "late 2; median / 95th percentile, ms: model 50 / 70" in lines[4]


def test_a_window_begins_with_the_last_stream_and_ends_with_the_first() -> None:
    early = [("a", float(number)) for number in range(1, 51)]
    late = [("b", 10.0 + 2 * number) for number in range(1, 41)]  # has got going at 14
    window = common_window(sorted(early + late, key=lambda mark: mark[1]), ["a", "b"], warm_up=2)
    assert window.seconds == 36
    assert window.results == {"a": 36, "b": 18}
    assert window.fairness == 0.5
    assert window.fps == 1.5


def test_windows_that_do_not_meet_are_refused() -> None:
    with pytest.raises(StreamsegError, match="stream b has 1 results, expected more than 2"):
        common_window([("a", 1.0), ("a", 2.0), ("a", 3.0), ("b", 2.0)], ["a", "b"], warm_up=2)
    marks = [("a", float(number)) for number in range(5)] + [("b", float(number)) for number in range(5, 10)]
    with pytest.raises(StreamsegError, match="had ended before another one had got going"):
        common_window(marks, ["a", "b"], warm_up=2)


def test_calls_take_their_time_and_leave_a_trace(tmp_path: Path) -> None:
    trace = tmp_path / "calls.jsonl"
    segmenter = TimedSegmenter(ScriptedSegmenter(halves), call_seconds=0.05, trace=trace)
    words = Vocabulary.parse("left; right")
    frames = [Frame(np.zeros((8, 8, 3), np.uint8), index, "cam", 1) for index in range(3)]
    assert [len(queries) for queries in segmenter.segment(frames, words)] == [2, 2, 2]
    segmenter.segment(frames[:1], words)
    calls = list(read_calls(trace))
    assert [call.frames for call in calls] == [(("cam", 1, 0), ("cam", 1, 1), ("cam", 1, 2)), (("cam", 1, 0),)]
    assert all(call.ended - call.began >= 0.05 for call in calls)
    assert segmenter.identity() == {"model": "scripted"}


def test_own_memory_and_time_of_processes() -> None:
    import os

    assert (own_memory_bytes(os.getpid()) or 0) > 10_000_000
    assert (processor_seconds(os.getpid()) or 0) > 0.1
    assert own_memory_bytes(2**22 + 1) is None
    assert processor_seconds(2**22 + 1) is None


def test_children_and_grandchildren_belong_to_a_process() -> None:
    import os
    import subprocess

    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout is not None
        grandchild = int(shell.stdout.readline())
        assert {shell.pid, grandchild} <= descendants(os.getpid())
        assert descendants(shell.pid) == {grandchild}
        os.kill(grandchild, signal.SIGKILL)


def test_a_short_gap_does_not_touch_a_median() -> None:
    series = [(float(second), 5.0 if second % 10 else 0.0) for second in range(25)]
    assert medians(series, 10.0) == [(4.5, 5.0), (14.5, 5.0)]
    assert medians([], 10.0) == []


def test_samples_tell_lives_apart() -> None:
    import os

    samples = Samples(lambda: {"worker 0": os.getpid(), "decoder of cam": 2**22 + 1}, lambda: 7)
    samples.take()
    samples.take()
    assert [len(series) for series in samples.lives("worker").values()] == [2]
    assert samples.lives("decoder") == {}
    assert [held for _, held in samples.store] == [7, 7]
    assert all(
        size >= own > 0
        for (_, size), (_, own) in zip(samples.whole, samples.lives("worker")["worker 0", os.getpid()], strict=True)
    )
    assert samples.cores >= 0


def test_the_last_capture_is_that_of_the_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    assert last_capture(path) is None
    path.write_text('{"time":"2026-01-02T03:04:05Z"}\n{"time":"2026-01-02T03:04:06Z"}\n{"time":"2026-')
    assert last_capture(path) == datetime.fromisoformat("2026-01-02T03:04:06Z")


def soak() -> Soak:
    drift = Drift(1e8, 10.0, -5.0, 25.0, 4, 40)
    return Soak(
        SoakOptions(),
        1800.0,
        0.3,
        (StreamCount("camera-1", TOTALS, 7, True),),
        (Death("worker", 60.0, 9.0), Death("worker", 240.0, 7.0), Death("decoder", 120.0, None)),
        {"worker": drift, "emitter": None},
        whole=drift,
        store=replace(drift, low=1.0),
        store_most=1e6,
    )


def test_a_soak_is_told_in_tables() -> None:
    table = soak_table([json.loads(json.dumps(soak().to_dict()))])
    assert "| camera-1 | 10 | 7 | late 3 | 7 | yes | **yes** |" in table
    assert "| worker | 2 | 8 / 9 |" in table
    assert "| decoder | 1 | - |" in table
    assert "| a worker | 4 | 100.00 | +0.04 (-0.02 to +0.09) | **yes** |" in table
    assert "| all processes together | 4 | 100.00 | +0.04 (-0.02 to +0.09) | **yes** |" in table
    assert "| the object store | 4 | 100.00 | +0.04 (+0.00 to +0.09) | **no** |" in table


def test_a_soak_without_deaths_says_so() -> None:
    undisturbed = replace(soak(), options=SoakOptions(kill_every=0), deaths=())
    table = soak_table([json.loads(json.dumps(undisturbed.to_dict()))])
    assert "2 frames a second, nobody is killed;" in table
    assert "killed | times" not in table


@pytest.mark.parametrize(
    "changed", [{"decoded": 11}, {"in_flight": 1, "decoded": 11}, {"emitted": 8, "decoded": 11}, {"dropped": {}}]
)
def test_counts_that_do_not_add_up_are_seen(changed: dict[str, Any]) -> None:
    assert StreamCount("cam", TOTALS, 7, True).balanced
    assert not StreamCount("cam", {**TOTALS, **changed}, 7, True).balanced


def test_what_makes_no_sense_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="kill_every is -1, expected seconds, or 0 for no deaths"):
        SoakOptions(kill_every=-1)
    assert command.main(["soak", "--streams", "0", "--only", "soak"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_short_soak() -> None:
    require_rtsp_server()
    found = run_soak(SoakOptions(minutes=0.75, streams=2, kill_every=10, size="160x120"))
    assert [death.kind for death in found.deaths][:3] == list(KINDS)
    assert all(stream.balanced and stream.in_order for stream in found.streams)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_batching_is_measured() -> None:
    figures = benchmark_batching(streams=2, max_batch=2, call_seconds=0.1, frames=100)
    assert 0 < figures.share <= 1.05
    assert 1 <= figures.batch <= 2
    assert figures.fps == pytest.approx(figures.share * 20)

"""The numbers of a run, each of them worked out by hand."""

import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from streamseg.errors import ConfigError
from streamseg.frames import FrameResult
from streamseg.runs.folder import RECORDS
from streamseg.runs.stats import run_stats
from streamseg.runs.time_series import BINS, TimeSeries
from streamseg.sinks.files import encode_panoptic_png
from tests.runs.made_runs import OTHER_WORDS, SIZE_HW, Named, failed, make_run, result

PIXELS = SIZE_HW[0] * SIZE_HW[1]
A, B, SKY = 1, 2, 9


def stats_of(tmp_path: Path, *frames: FrameResult, **more: Any) -> dict[str, Any]:
    run = make_run(tmp_path / "run", {"cam": frames}, **more)
    stats: dict[str, Any] = run_stats(run).to_dict()["streams"]["cam"]
    return stats


def car(x: int = 10, y: int = 5, width: int = 6, height: int = 4) -> Named:
    return "car", (x, y, width, height)


def test_segments_void_and_categories(tmp_path: Path) -> None:
    sky: Named = ("sky", (0, 0, 30, 5))
    stats = stats_of(tmp_path, result(0, {SKY: sky, A: car(), B: car(20, 10, 4, 5)}), result(1, {SKY: sky}))
    assert stats["records"] == 2
    assert stats["segments_per_frame"] == {"mean": 2.0, "things": 1.0, "stuff": 1.0, "most": 3}
    assert stats["void_share"] == pytest.approx(1 - (150 + 24 + 20 + 150) / 2 / PIXELS, abs=1e-6)
    sky_row, car_row = stats["categories"]
    assert sky_row["label"] == "sky"
    assert sky_row["area_share"] == 0.25
    assert (sky_row["segments"], sky_row["tracks"], sky_row["isthing"]) == (2, 1, False)
    assert car_row["area_share"] == pytest.approx(44 / 2 / PIXELS, abs=1e-6)
    assert (car_row["segments"], car_row["tracks"], car_row["isthing"]) == (2, 2, True)


def test_what_only_moves_does_not_flicker(tmp_path: Path) -> None:
    stats = stats_of(tmp_path, *(result(index, {A: car(2 + 3 * index, 2 + index)}) for index in range(6)))
    assert stats["flicker"] == {"all": 0.0, "things": 0.0, "stuff": None, "compared": 5}
    assert stats["area_jitter"] == {"all": 0.0, "things": 0.0, "stuff": None, "compared": 4}


def test_flicker_is_one_minus_iou_after_the_shift(tmp_path: Path) -> None:
    # 6 wide, then 4 wide and moved by 3 (left edge 4, right edge 2): 4 of 6 columns lie over each other.
    stats = stats_of(tmp_path, result(0, {A: car(10, 5, 6, 4)}), result(1, {A: car(14, 5, 4, 4)}))
    assert stats["flicker"]["things"] == pytest.approx(1 - 4 / 6, abs=1e-6)


def test_what_leaves_the_picture_does_not_flicker(tmp_path: Path) -> None:
    leaves = [result(index, {A: car(max(0, 4 - 2 * index), 5, min(6, 10 - 2 * index), 4)}) for index in range(5)]
    assert stats_of(tmp_path, *leaves)["flicker"]["things"] == 0.0


def test_area_jitter_is_the_distance_from_steady_growth(tmp_path: Path) -> None:
    steady = [result(index, {A: car(8, 5, 1 << index, 4)}) for index in range(4)]  # 4, 8, 16, 32 pixels
    stats = stats_of(tmp_path / "steady", *steady)
    assert stats["area_jitter"]["things"] == pytest.approx(0, abs=1e-6)
    jumps = [result(index, {A: car(8, 5, width, 4)}) for index, width in enumerate((4, 8, 4, 8))]
    stats = stats_of(tmp_path / "jumps", *jumps)
    assert stats["area_jitter"]["things"] == pytest.approx(math.log(2), abs=1e-6)
    assert stats["area_jitter"]["compared"] == 2


def test_failed_frames_are_counted_and_part_what_they_stand_between(tmp_path: Path) -> None:
    stats = stats_of(tmp_path, result(0, {A: car()}), failed(1), result(2, {A: car(2, 2, 10, 10)}))
    assert (stats["records"], stats["failed"]) == (3, 1)
    assert stats["flicker"]["compared"] == 0
    assert stats["tracks"]["returns"] == 0
    assert stats["churn"]["births"] == stats["churn"]["deaths"] == 0
    assert stats["segments_per_frame"]["mean"] == 1.0


def test_births_deaths_and_returns(tmp_path: Path) -> None:
    there = {A: (0, 1, 2, 3, 4, 5, 6, 7), B: (2, 3, 6), 3: (4,), 4: (5, 6, 7)}
    frames = [
        result(index, {id_: car(6 * id_ - 4, 2, 3, 3) for id_, indices in there.items() if index in indices})
        for index in range(8)
    ]
    stats = stats_of(tmp_path, *frames)
    assert stats["tracks"]["things"] == 4
    assert stats["tracks"]["returns"] == 1  # B, in frame 6
    assert stats["churn"]["births"] == 3  # not A, which is there from the beginning
    assert stats["churn"]["deaths"] == 2  # B and 3; A and 4 are there at the end
    assert stats["seconds"] == 0.7
    assert stats["churn"]["per_second"] == pytest.approx(5 / 0.7, abs=1e-6)
    assert stats["churn"]["per_100_frames"] == 62.5
    assert stats["tracks"]["short_share"] == 0.75  # B, 3 and 4
    assert stats["tracks"]["mean_frames"] == (8 + 3 + 1 + 3) / 4
    assert stats["tracks"]["longest_frames"] == 8
    lengths = {entry["from_frames"]: entry["tracks"] for entry in stats["tracks"]["lengths"]}
    assert {begin: count for begin, count in lengths.items() if count} == {1: 1, 2: 2, 5: 1}
    assert stats["tracks"]["lengths"][-1] == {"from_frames": 1000, "to_frames": None, "tracks": 0}


def test_stuff_has_tracks_of_its_own_and_no_churn(tmp_path: Path) -> None:
    sky: Named = ("sky", (0, 0, 30, 5))
    stats = stats_of(tmp_path, *(result(index, {SKY: sky} if index % 2 else {A: car()}) for index in range(4)))
    assert (stats["tracks"]["things"], stats["tracks"]["stuff"]) == (1, 1)
    assert stats["churn"]["births"] == 0
    assert stats["churn"]["deaths"] == 1  # the car is not in the last frame


def test_a_scene_cut_is_nobodys_fault(tmp_path: Path) -> None:
    frames = [result(0, {A: car()}), result(1, {A: car()}), result(2, {B: car(2, 2)}, events=("scene_cut",))]
    stats = stats_of(tmp_path, *frames, result(3, {B: car(2, 2)}))
    assert stats["events"] == {"scene_cut": 1}
    assert stats["churn"]["births"] == stats["churn"]["deaths"] == 0
    sky: Named = ("sky", (0, 0, 30, 5))
    other: Named = ("sky", (0, 10, 30, 3))
    cut = result(1, {SKY: other}, events=("scene_cut",))
    assert stats_of(tmp_path / "stuff", result(0, {SKY: sky}), cut)["flicker"]["compared"] == 0


def test_what_was_lost_before_a_cut_died_all_the_same(tmp_path: Path) -> None:
    frames = [result(0, {A: car(), B: car(20)}), result(1, {A: car()}), result(2, {}, events=("scene_cut",))]
    assert stats_of(tmp_path, *frames)["churn"]["deaths"] == 1


def test_epochs_stand_alone(tmp_path: Path) -> None:
    frames = [result(index, {A: car(index % 3 * 5)}, epoch=index // 3) for index in range(6)]
    stats = stats_of(tmp_path, *frames)
    assert stats["epochs"] == 2
    assert stats["tracks"]["things"] == 2
    assert stats["churn"]["births"] == stats["churn"]["deaths"] == 0
    assert stats["flicker"]["compared"] == 4
    assert stats["seconds"] == 0.4  # nothing is known of the time between


def test_label_flips(tmp_path: Path) -> None:
    labels = ("car", "car", "person", "car", "car", "car")
    frames = [result(index, {A: (label, (10, 5, 6, 4)), B: car(20)}) for index, label in enumerate(labels)]
    frames.append(result(6, {A: ("vehicle", (10, 5, 6, 4)), B: car(20)}, words=OTHER_WORDS))
    stats = stats_of(tmp_path, *frames)
    assert stats["label_flips"]["count"] == 2  # other words are no flip
    assert stats["label_flips"]["per_track"] == 1.0
    assert stats["label_flips"]["per_track_minute"] == pytest.approx(2 / (2 * 0.6 / 60))
    flips = {entry["label"]: entry["label_flips_to"] for entry in stats["categories"]}
    assert flips == {"car": 1, "person": 1, "vehicle": 0}


def test_the_tracks_that_flicker_most(tmp_path: Path) -> None:
    frames = [
        result(index, {id_: car(5 * id_ - 4, 3, 4, 4 + index % 2 * (id_ - 1)) for id_ in range(1, 6)})
        for index in range(6)
    ]
    stats = stats_of(tmp_path, *frames, result(6, {1: car(1, 3, 4, 4)}))
    most = stats["most_flicker"]
    assert [entry["id"] for entry in most] == [5, 4, 3, 2, 1]
    # Odd heights grow by 4 rows at the lower edge alone: half of that counts as a shift.
    assert most[0]["flicker"] == pytest.approx(1 - 4 / 8, abs=1e-6)
    assert (most[0]["stream"], most[0]["epoch"], most[0]["first_frame"], most[0]["last_frame"]) == ("cam", 0, 0, 5)


def test_a_live_stream_has_drops_latency_and_its_own_time(tmp_path: Path) -> None:
    frames = [
        result(index, {A: car()}, live_seconds=2.0 * index, dropped={"late": index}, latency_seconds=0.1 * (index + 1))
        for index in range(4)
    ]
    stats = stats_of(tmp_path, *frames)
    assert stats["dropped"] == {"late": 6}
    assert stats["seconds"] == 6.0
    assert [stats["latency_seconds"][name] for name in ("p50", "p95", "p99")] == pytest.approx(
        [0.2, 0.4, 0.4], rel=0.03
    )


def test_totals_of_the_run_are_taken_where_it_has_ended(tmp_path: Path) -> None:
    totals = {"decoded": 12, "dropped": {"stride": 9}, "latency_seconds": {"p50": 1.0, "p95": 2.0, "p99": 3.0}}
    run = make_run(tmp_path / "run", {"a": [result(0, {})], "b": [result(0, {})]}, facts={"totals": totals})
    document = run_stats(run).to_dict()
    assert document["state"] == "finished"
    assert document["streams"]["a"]["latency_seconds"] == totals["latency_seconds"]
    assert document["overall"]["decoded"] == 24
    assert document["overall"]["dropped"] == {"stride": 18}
    assert document["overall"]["latency_seconds"] is None  # percentiles do not add up


def test_streams_add_up(tmp_path: Path) -> None:
    streams = {
        "a": [result(index, {A: car()}, stream="a") for index in range(3)],
        "b": [result(index, {A: car(), B: car(20)}, stream="b") for index in range(1)],
    }
    run = make_run(tmp_path / "run", streams)
    overall = run_stats(run).to_dict()["overall"]
    assert (overall["records"], overall["tracks"]["things"], overall["segments_per_frame"]["most"]) == (4, 3, 2)
    assert overall["segments_per_frame"]["mean"] == 5 / 4
    assert overall["categories"][0]["tracks"] == 3
    only = run_stats(run, ["b"]).to_dict()
    assert list(only["streams"]) == ["b"]
    assert only["overall"]["records"] == 1


def test_without_masks_everything_but_flicker_is_there(tmp_path: Path) -> None:
    frames = [result(index, {A: car()}) for index in range(3)]
    stats = stats_of(tmp_path, *frames, masks=False)
    assert stats["flicker"] == {"all": None, "things": None, "stuff": None, "compared": 0}
    assert stats["area_jitter"]["compared"] == 1


def test_flicker_comes_from_pngs_too(tmp_path: Path) -> None:
    frames = [result(0, {A: car(10, 5, 6, 4)}), result(1, {A: car(14, 5, 4, 4)})]
    run = make_run(tmp_path / "run", {"cam": frames}, masks=False)
    folder = run.stream("cam") / "epoch-0" / "panoptic"
    folder.mkdir(parents=True)
    for frame in frames:
        (folder / f"{frame.index:08d}.png").write_bytes(encode_panoptic_png(frame.panoptic))
    assert run_stats(run).to_dict()["overall"]["flicker"]["things"] == pytest.approx(1 / 3, abs=1e-6)


def test_times_that_nobody_knows(tmp_path: Path) -> None:
    frames = [result(index, {A: car()}, timed=False) for index in range(3)]
    assert stats_of(tmp_path / "rate", *frames)["seconds"] == 0.2  # the nominal rate
    stats = stats_of(tmp_path / "none", *frames, facts={"fps": None})
    assert stats["seconds"] is None
    assert stats["churn"]["per_second"] is None
    assert stats["churn"]["per_100_frames"] == 0.0


def test_an_empty_run_has_no_means(tmp_path: Path) -> None:
    stats = stats_of(tmp_path)
    assert stats["records"] == 0
    assert stats["void_share"] is None
    assert stats["segments_per_frame"]["mean"] is None
    json.dumps(stats, allow_nan=False)


def test_a_damaged_mask_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"cam": [result(0, {A: car()})]})
    path = run.stream("cam") / RECORDS
    record = json.loads(path.read_text())
    record["segments"][0]["mask"]["counts"] = "5"
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises(ConfigError, match="frame 0 of stream 'cam': a mask's counts do not cover 600 pixels"):
        run_stats(run)


def test_tracks_are_forgotten_after_a_minute(tmp_path: Path) -> None:
    """What is remembered is bounded by time, so one that comes back after an hour counts as another."""
    frames = [result(index, {A: car()} if index in (0, 4000) else {}) for index in range(0, 4001, 5)]
    stats = stats_of(tmp_path, *frames)
    assert stats["tracks"]["things"] == 2
    assert stats["tracks"]["returns"] == 0
    assert stats["churn"]["deaths"] == 1


def test_memory_does_not_grow_with_the_stream(tmp_path: Path) -> None:
    """Every frame has a track of its own, and the last minute holds as many of them in both runs."""

    def peak(count: int) -> int:
        frames = [result(10 * index, {index + 1: car()}) for index in range(count)]
        run = make_run(tmp_path / str(count), {"cam": frames}, masks=False)
        tracemalloc.start()
        run_stats(run)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(1800) < 1.3 * peak(600)


def test_a_series_keeps_its_means_while_its_bins_merge() -> None:
    series = TimeSeries(1.0)
    for second in range(4 * BINS):
        series.add(10.0 + second, second % 2)
    times, means = series.means()
    assert len(times) <= BINS
    assert series.bin_seconds == 4.0
    assert means == pytest.approx(0.5)
    assert times[0] == 12.0
    assert series.rates()[1] == pytest.approx(0.5)


def test_a_series_counts_quiet_time() -> None:
    series = TimeSeries(1.0)
    series.reach(0.0)
    series.add(2.5, 3)
    series.reach(4.0)
    times, rates = series.rates()
    assert times.tolist() == [0.5, 1.5, 2.5, 3.5]
    assert rates.tolist() == [0, 0, 3, 0]
    assert len(TimeSeries().rates()[0]) == len(TimeSeries().means()[0]) == 0

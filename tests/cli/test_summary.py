from collections.abc import Mapping
from pathlib import Path

import pytest

from streamseg.cli.summary import RESULTS, count_lines, loss_lines, result_lines
from streamseg.metrics import StreamCounters, StreamTotals
from streamseg.sinks.build import DEFAULTS


def totals(
    decoded: int = 0,
    emitted: int = 0,
    *,
    failed: int = 0,
    dropped: Mapping[str, int] | None = None,
    tracks: int = 0,
    latency: tuple[float, float, float] | None = None,
) -> StreamTotals:
    lost = dropped or {}
    return StreamTotals(decoded, emitted, failed, lost, decoded - emitted - sum(lost.values()), tracks, latency)


def test_a_stream_is_one_line_under_its_header() -> None:
    counts = {"street": totals(1200, 1200, tracks=31, latency=(0.0412, 0.052, 1.2))}
    assert count_lines(counts, 60.0, {}) == [
        "stream  decoded  emitted  dropped  tracks   fps  latency p50, p95, p99",
        "street    1,200    1,200        0      31  20.0  41, 52, 1200 ms",
    ]


def test_several_streams_have_a_sum_and_reasons() -> None:
    counts = {
        "street": totals(100, 50, dropped={"stride": 50}, tracks=3),
        "cam0": totals(30, 20, failed=2, dropped={"late": 7, "before_start": 1}, tracks=4),
    }
    lines = count_lines(counts, 10.0, {"street": 40})
    assert [line.split() for line in lines[1:4]] == [
        ["street", "100", "50", "50", "3", "1.0"],
        ["cam0", "30", "20", "8", "4", "2.0"],
        ["all", "130", "70", "58", "7", "3.0"],
    ]
    assert lines[4:] == [
        "street: dropped: 50 stride",
        "cam0: dropped: 1 before start, 7 late; failed: 2 of those emitted; still on their way: 2",
    ]
    assert len({len(line) for line in lines[1:4]}) == 1


def test_columns_stay_in_line_whatever_the_names() -> None:
    header, *rows = count_lines({"玄関カメラ": totals(1), "x": totals(2), "Straße": totals(3)}, 1.0, {})[:4]
    ends = {"玄関カメラ": 5}  # columns on the terminal beyond its characters
    at = header.index("decoded") + len("decoded")
    assert [row[at - 1 - ends.get(row.split()[0], 0)] for row in rows] == ["1", "2", "3"]


def test_nothing_done_has_no_rate() -> None:
    counters = StreamCounters()
    assert count_lines({"a": counters.totals()}, 5.0, {})[1].split() == ["a", "0", "0", "0", "0", "-"]
    assert count_lines({"a": totals(9, 9)}, 5.0, {"a": 9})[1].split()[-1] == "-"


def test_what_sinks_could_not_take() -> None:
    assert loss_lines({"cam": {"webhook": {"too slow": 3, "Connection refused": 1}}}) == [
        "cam: webhook lost 4 frames (1 Connection refused, 3 too slow)"
    ]


def test_results_are_those_that_are_there(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "epoch-0" / "panoptic").mkdir(parents=True)
        (tmp_path / name / "records.jsonl").write_text("{}\n")
        (tmp_path / name / "epoch-0" / "panoptic.json").write_text("{}")
        (tmp_path / name / "tracks.jsonl").touch()
    (tmp_path / "a" / "records.000001.jsonl").write_text("{}\n")
    lines = result_lines(tmp_path, ["a", "b"], ["jsonl", "png", "tracks", "video", "webhook"])
    assert [line.split("  ")[1] for line in lines] == [
        f"{tmp_path}/a/records.000001.jsonl and 2 more",
        f"{tmp_path}/a/epoch-0/panoptic and 1 more",
    ]


def test_every_kind_that_writes_files_is_known() -> None:
    assert set(RESULTS) == set(DEFAULTS) - {"stdout"}


@pytest.mark.parametrize("names", [[], ["gone"]])
def test_a_folder_without_results_lists_none(names: list[str], tmp_path: Path) -> None:
    assert result_lines(tmp_path, names, ["jsonl"]) == []

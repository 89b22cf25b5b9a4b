"""The local runtime: real sources, association, fusion and sinks; only the model is scripted."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from streamseg.errors import ConfigError, SinkError, StreamsegError
from streamseg.frames import Frame, FrameResult, json_schema
from streamseg.queries import Queries
from streamseg.runs.folder import RunFolder
from streamseg.testing import WorldSegmenter
from streamseg.vocabulary import Vocabulary
from tests.runtime.small_runs import FRAMES, SOURCE, prepared, segmenter_for


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def our_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread is not threading.main_thread()}


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Any:
    before = our_threads()
    yield
    assert our_threads() <= before


class Failing(WorldSegmenter):
    """Raises on some frames."""

    def __init__(self, base: WorldSegmenter, frames: Sequence[int], stream: str = "world") -> None:
        super().__init__(base.worlds)
        self.frames = set(frames)
        self.stream = stream

    def segment(self, frames: Sequence[Frame], vocabulary: Vocabulary | Sequence[Vocabulary]) -> list[Queries]:
        for frame in frames:
            if frame.stream_id == self.stream and frame.index in self.frames:
                raise RuntimeError("a poisoned\nframe")
        return super().segment(frames, vocabulary)


def test_every_frame_has_a_valid_record_and_all_pixels_a_segment_or_void(tmp_path: Path) -> None:
    job = prepared(output=tmp_path, sinks=["jsonl", "tracks"])
    results = list(job.results())
    assert [result.index for result in results] == list(range(FRAMES))
    records = lines(tmp_path / "world" / "records.jsonl")
    validator = jsonschema.Draft202012Validator(json_schema())
    for result, record in zip(results, records, strict=True):
        validator.validate(record)
        assert record == json.loads(result.to_json())
        ids, areas = np.unique(result.panoptic, return_counts=True)
        assert {segment.id: segment.area for segment in result.segments} == {
            int(id_): int(area) for id_, area in zip(ids, areas, strict=True) if id_
        }
        assert not {"time", "dropped", "latency_seconds"} & set(record)
    totals = job.totals()["world"]
    assert (totals.decoded, totals.emitted, totals.in_flight, dict(totals.dropped)) == (FRAMES, FRAMES, 0, {})
    shown = {segment.id for result in results for segment in result.segments}
    assert shown <= {row["id"] for row in lines(tmp_path / "world" / "tracks.jsonl")}
    manifest = RunFolder.open(tmp_path).manifest
    assert manifest["state"] == "finished"
    assert manifest["streams"]["world"]["totals"]["emitted"] == FRAMES


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        list(prepared(output=tmp_path / name, sinks=["jsonl", "tracks", "png"]).results())
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def contents(folder: Path) -> dict[str, bytes]:
    """All that a run has written, without what says when."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("run.json", "commit.npz")
    }


def test_without_a_folder_results_come_all_the_same() -> None:
    results = list(prepared().results())
    assert len(results) == FRAMES
    assert isinstance(results[0], FrameResult)


def test_streams_share_batches_and_keep_their_own_order_and_identities(tmp_path: Path) -> None:
    sources = (SOURCE, SOURCE.replace("seed=5", "seed=6"))
    segmenter = segmenter_for(*sources)
    job = prepared(*sources, output=tmp_path, segmenter=segmenter, batch={"max_batch": 4})
    found: dict[str, list[int]] = {}
    for result in job.results():
        found.setdefault(result.stream_id, []).append(result.index)
    assert found == {"world": list(range(FRAMES)), "world-2": list(range(FRAMES))}
    alone = tmp_path / "alone"
    list(prepared(sources[1], output=alone, segmenter=segmenter_for(sources[1])).results())
    together = (tmp_path / "world-2" / "records.jsonl").read_text()
    assert together.replace('"world-2"', '"world"') == (alone / "world" / "records.jsonl").read_text()


@pytest.mark.parametrize(
    ("selection", "expected", "dropped"),
    [
        ({"stride": 3}, list(range(0, FRAMES, 3)), {"stride": FRAMES - 14}),
        ({"max_fps": 5}, list(range(0, FRAMES, 2)), {"max_fps": FRAMES // 2}),
        ({"start_seconds": 1, "end_seconds": 2}, list(range(10, 20)), {"before_start": 10}),
        ({"max_frames": 7}, list(range(7)), {}),
    ],
)
def test_what_is_not_wanted_is_counted(
    selection: dict[str, Any], expected: list[int], dropped: dict[str, int], tmp_path: Path
) -> None:
    job = prepared(output=tmp_path, selection=selection)
    assert [result.index for result in job.results()] == expected
    totals = job.totals()["world"]
    assert totals.emitted == len(expected)
    assert totals.dropped == dropped
    assert totals.decoded == totals.emitted + sum(totals.dropped.values())
    assert totals.in_flight == 0


def test_a_frame_that_fails_is_reported_and_the_stream_goes_on(tmp_path: Path) -> None:
    job = prepared(output=tmp_path, segmenter=Failing(segmenter_for(SOURCE), [3, 4]))
    results = list(job.results())
    assert [result.index for result in results if result.status == "failed"] == [3, 4]
    assert results[3].error == "RuntimeError: a poisoned frame"
    assert len(results) == FRAMES
    assert job.totals()["world"].failed == 2


def test_one_bad_frame_of_a_batch_is_alone() -> None:
    sources = (SOURCE, SOURCE.replace("seed=5", "seed=6"))
    segmenter = Failing(segmenter_for(*sources), [5], "world-2")
    results = list(prepared(*sources, segmenter=segmenter, batch={"max_batch": 4}).results())
    assert [(r.stream_id, r.index) for r in results if r.status == "failed"] == [("world-2", 5)]
    assert len(results) == 2 * FRAMES


def test_a_stream_whose_frames_keep_failing_ends_alone(tmp_path: Path) -> None:
    sources = (SOURCE, SOURCE.replace("seed=5", "seed=6"))
    segmenter = Failing(segmenter_for(*sources), range(10, FRAMES), "world-2")
    job = prepared(*sources, segmenter=segmenter, output=tmp_path, max_failures=3)
    found: dict[str, list[int]] = {}

    def run() -> None:
        for result in job.results():
            found.setdefault(result.stream_id, []).append(result.index)

    with pytest.raises(StreamsegError, match="world-2: 3 frames in a row failed: RuntimeError: a poisoned frame"):
        run()
    assert found == {"world": list(range(FRAMES)), "world-2": list(range(13))}
    for totals in job.totals().values():
        assert totals.in_flight == 0
        assert totals.decoded == totals.emitted + sum(totals.dropped.values())
    manifest = RunFolder.open(tmp_path).manifest
    assert manifest["state"] == "stopped"
    assert "3 frames in a row" in manifest["streams"]["world-2"]["error"]


def test_leaving_the_loop_stops_the_run_and_loses_nothing_that_was_segmented(tmp_path: Path) -> None:
    job = prepared(output=tmp_path)
    results = job.results()
    for result in results:
        if result.index == 5:
            break
    results.close()
    written = [record["frame"] for record in lines(tmp_path / "world" / "records.jsonl")]
    assert written == list(range(len(written)))
    assert 6 <= len(written) < FRAMES
    totals = job.totals()["world"]
    assert totals.emitted == len(written)
    assert totals.in_flight == 0
    assert RunFolder.open(tmp_path).manifest["state"] == "stopped"


def test_an_error_in_a_stage_ends_the_run_with_that_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamseg.sinks.jsonl import JsonlSink

    write = JsonlSink.write

    def fail_later(self: JsonlSink, emission: Any) -> None:
        if emission.result.index == 8:
            raise SinkError("no space left")
        write(self, emission)

    monkeypatch.setattr(JsonlSink, "write", fail_later)
    job = prepared(output=tmp_path)
    found = []
    with pytest.raises(SinkError, match="no space left"):
        found.extend(result.index for result in job.results())
    assert [record["frame"] for record in lines(tmp_path / "world" / "records.jsonl")] == list(range(8))
    assert RunFolder.open(tmp_path).manifest["state"] == "failed"


def test_a_bug_in_the_tracker_ends_the_run_and_not_in_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    from streamseg.pipeline.tracker import Tracker

    def broken(*_: object) -> Any:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(Tracker, "step", broken)
    with pytest.raises(ZeroDivisionError, match="oops"):
        list(prepared().results())


@pytest.mark.parametrize("stop_after", [1, 6, 17])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(stop_after: int, tmp_path: Path) -> None:
    sinks = ["jsonl", "png", "masks", "tracks"]
    list(prepared(output=tmp_path / "whole", sinks=sinks).results())
    first = prepared(output=tmp_path / "parts", sinks=sinks).results()
    for result in first:
        if result.index + 1 == stop_after:
            break
    first.close()
    job = prepared(output=tmp_path / "parts", sinks=sinks, resume=True)
    rest = [result.index for result in job.results()]
    assert rest[-1] == FRAMES - 1
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert job.totals()["world"].decoded == job.totals()["world"].emitted == FRAMES
    again = prepared(output=tmp_path / "parts", sinks=sinks, resume=True)
    assert list(again.results()) == []
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


@pytest.mark.parametrize("selection", [{"max_frames": 12, "stride": 2}, {"max_fps": 4, "end_seconds": 3.5}])
def test_selections_count_from_the_runs_start(selection: dict[str, Any], tmp_path: Path) -> None:
    list(prepared(output=tmp_path / "whole", selection=selection).results())
    first = prepared(output=tmp_path / "parts", selection=selection).results()
    for _, _ in zip(range(5), first, strict=False):
        pass
    first.close()
    list(prepared(output=tmp_path / "parts", selection=selection, resume=True).results())
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_going_on_differently_is_refused_naming_what_differs(tmp_path: Path) -> None:
    first = prepared(output=tmp_path).results()
    next(first)
    first.close()
    with pytest.raises(ConfigError) as caught:
        prepared(output=tmp_path, resume=True, tracking={"method": "minvis"}, torch_threads=2)
    message = str(caught.value)
    assert "settings.tracking.method was 'streamseg', now 'minvis'" in message
    assert "torch_threads was 1, now 2" in message
    assert "--overwrite" in message


def test_an_earlier_run_is_kept_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    list(prepared(output=tmp_path, selection={"max_frames": 3}).results())
    with pytest.raises(ConfigError, match="holds an earlier run"):
        prepared(output=tmp_path)
    list(prepared(output=tmp_path, overwrite=True, selection={"max_frames": 2}).results())
    assert len(lines(tmp_path / "world" / "records.jsonl")) == 2


def test_a_run_that_never_committed_begins_anew(tmp_path: Path) -> None:
    list(prepared(output=tmp_path / "whole").results())
    first = prepared(output=tmp_path / "parts").results()
    next(first)
    first.close()
    (tmp_path / "parts" / "world" / "commit.npz").unlink()
    list(prepared(output=tmp_path / "parts", resume=True).results())
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")

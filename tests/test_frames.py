import copy
import json
import math
import pickle
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import jsonschema
import numpy as np
import pytest

from streamseg.errors import ConfigError
from streamseg.frames import EVENTS, Frame, FrameResult, Segment, json_schema
from streamseg.vocabulary import Vocabulary

VOCABULARY = Vocabulary.parse("car; sky:stuff", name="street")


@dataclass(frozen=True)
class Described:
    id: int
    category_id: int
    label: str
    isthing: bool
    score: float


CAR = Described(1, 0, "car", True, 0.93)
SKY = Described(3, 1, "sky", False, 0.5)


def picture(height: int = 4, width: int = 6) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.zeros((height, width, 3), np.uint8)


def frame(**changes: Any) -> Frame:
    return Frame(**{"rgb": picture(), "index": 123, "stream_id": "cam0"} | changes)


def ids() -> np.ndarray[Any, np.dtype[np.int32]]:
    """Sky above, a car of 2x3 pixels below, void around it."""
    panoptic = np.zeros((4, 6), np.int32)
    panoptic[:2] = 3
    panoptic[2:, 1:4] = 1
    return panoptic


def result(of: Frame | None = None, **options: Any) -> FrameResult:
    return FrameResult.from_map(of or frame(), ids(), [CAR, SKY], model="scripted", vocabulary=VOCABULARY, **options)


def live() -> FrameResult:
    moment = datetime(2026, 1, 31, 13, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    of = frame(pts_ticks=369000, time_base=Fraction(1, 90000), captured_at=moment, clock="rtcp", epoch=2)
    return result(of, events=("scene_cut",), dropped={"late": 2}, latency_seconds=0.081, states={1: ("tentative", 41)})


def check(line: str) -> Any:
    record = json.loads(line)
    jsonschema.Draft202012Validator(json_schema()).validate(record)
    return record


# Frames.


def test_frame_knows_its_size_and_time() -> None:
    at = frame(pts_ticks=1001, time_base=Fraction(1, 30000))
    assert at.size_hw == (4, 6)
    assert at.pts_seconds == Fraction(1001, 30000)
    assert frame().pts_seconds is None


def test_frame_is_read_only_and_shares_its_pixels() -> None:
    rgb = picture()
    held = Frame(rgb)
    assert not held.rgb.flags.writeable
    assert rgb.flags.writeable
    assert np.shares_memory(rgb, held.rgb)


def test_repr_shows_the_shape_and_no_pixels() -> None:
    assert repr(frame(pts_ticks=41, time_base=Fraction(1, 10))) == "Frame('cam0', 0:123 at 4.100 s, 4x6)"
    assert repr(result()) == "FrameResult('cam0', 0:123, 4x6, 2 segments)"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rgb": picture().astype(np.float32)}, r"float32 \(4, 6, 3\), expected a uint8 array"),
        ({"rgb": picture()[..., 0]}, r"uint8 \(4, 6\)"),
        ({"rgb": np.zeros((4, 6, 4), np.uint8)}, r"\(4, 6, 4\)"),
        ({"rgb": [[0]]}, "holds list"),
        ({"rgb": picture(0, 6)}, "no pixels"),
        ({"index": -1}, "-1, expected a whole number of at least 0"),
        ({"index": True}, "True, expected a whole number"),
        ({"index": 1.5}, "1.5"),
        ({"epoch": -1}, "epoch of stream 'cam0' is -1"),
        ({"stream_id": ""}, "stream_id is ''"),
        ({"pts_ticks": 3}, "without a time_base"),
        ({"pts_ticks": 3.5, "time_base": Fraction(1, 2)}, "pts_ticks is 3.5"),
        ({"time_base": 0.1}, "time_base is 0.1, expected a Fraction"),
        ({"time_base": Fraction(0)}, "above 0"),
        ({"captured_at": datetime(2026, 1, 1)}, "with a time zone"),
        ({"clock": "wall"}, "'wall', expected one of pts, arrival, rtcp"),
    ],
)
def test_wrong_frames_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        frame(**changes)


# Results.


def test_areas_and_boxes_are_measured() -> None:
    car, sky = result().segments
    assert (car.id, car.area, car.bbox) == (1, 6, (1, 2, 3, 2))
    assert (sky.id, sky.area, sky.bbox) == (3, 12, (0, 0, 6, 2))
    assert (car.state, car.age) == ("confirmed", 0)


def test_masks_are_those_of_the_map() -> None:
    held = result()
    assert not held.panoptic.flags.writeable
    assert (held.mask(1) == (ids() == 1)).all()
    assert held.segment(3).label == "sky"
    with pytest.raises(ConfigError, match="no segment 2, expected one of 1, 3"):
        held.mask(2)


def test_segments_and_void_add_up_to_the_frame() -> None:
    held = result()
    assert sum(segment.area for segment in held.segments) + int((held.panoptic == 0).sum()) == held.panoptic.size


def test_segments_without_pixels_are_left_out() -> None:
    segments = [CAR, SKY, Described(9, 0, "car", True, 0.4)]
    held = FrameResult.from_map(frame(), ids(), segments, model="scripted", vocabulary=VOCABULARY)
    assert [segment.id for segment in held.segments] == [1, 3]


def test_ids_nobody_described_are_refused() -> None:
    with pytest.raises(ConfigError, match="holds id 3, expected one of 1"):
        FrameResult.from_map(frame(), ids(), [CAR], model="scripted", vocabulary=VOCABULARY)


def test_the_largest_id_is_taken() -> None:
    big = np.full((2, 2), 2**24 - 1, np.int32)
    held = FrameResult.from_map(frame(), big, [replace(CAR, id=2**24 - 1)], model="m", vocabulary=VOCABULARY)
    assert held.segments[0].id == 2**24 - 1
    with pytest.raises(ConfigError, match="from 1 to 16777215"):
        FrameResult.from_map(frame(), big + 1, [replace(CAR, id=2**24)], model="m", vocabulary=VOCABULARY)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"id": 0}, "id of a segment is 0"),
        ({"category_id": -1}, "category_id of segment 1 is -1"),
        ({"label": ""}, "label of segment 1 is ''"),
        ({"isthing": 1}, "isthing of segment 1 is 1"),
        ({"score": math.nan}, "score of segment 1 is nan"),
        ({"score": math.inf}, "score of segment 1 is inf"),
        ({"score": 1.2}, "1.2, expected a number from 0 to 1"),
        ({"area": 0}, "area of segment 1 is 0"),
        ({"bbox": (0, 0, 0, 1)}, "bbox of segment 1"),
        ({"bbox": (0, 0, 1)}, "bbox of segment 1"),
        ({"state": "lost"}, "'lost', expected one of confirmed, tentative"),
        ({"age": -1}, "age of segment 1 is -1"),
    ],
)
def test_wrong_segments_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        replace(result().segments[0], **changes)


def test_rounding_past_one_is_a_score_of_one() -> None:
    assert replace(result().segments[0], score=1.00002).score == 1.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"panoptic": ids().astype(np.int64)}, "int64"),
        ({"status": "broken"}, "'broken', expected one of ok, failed"),
        ({"status": "failed"}, "expected an error and no segments"),
        ({"error": "boom"}, "status 'ok', error 'boom' and"),
        ({"events": ("explosion",)}, "'explosion', expected one of scene_cut"),
        ({"latency_seconds": math.nan}, "latency_seconds is nan"),
        ({"latency_seconds": math.inf}, "latency_seconds is inf"),
        ({"latency_seconds": -1.0}, "latency_seconds is -1.0"),
        ({"dropped": {"late": -1}}, "dropped as 'late' is -1"),
        ({"segments": (Segment(1, 0, "car", True, 0.5, 6, (1, 2, 3, 2)),) * 2}, "two segments with one id"),
    ],
)
def test_wrong_results_are_refused(changes: dict[str, Any], says: str) -> None:
    fields = {name: getattr(result(), name) for name in FrameResult.__dataclass_fields__ if name[0] != "_"}
    with pytest.raises(ConfigError, match=says):
        FrameResult(**fields | changes)


# Records.


def test_a_recorded_frame_holds_nothing_that_varies() -> None:
    record = check(result().to_json())
    assert list(record) == [
        "schema", "stream", "epoch", "frame", "status", "error", "pts", "pts_ticks", "time_base", "clock", "size",
        "model", "vocabulary", "segments", "events",
    ]  # fmt: skip
    assert (record["stream"], record["frame"], record["size"]) == ("cam0", 123, [4, 6])
    assert (record["pts"], record["pts_ticks"], record["time_base"], record["clock"]) == (None, None, None, "pts")
    assert record["vocabulary"] == {"name": "street", "version": 1}
    car, _ = record["segments"]
    assert car == {
        "id": 1, "category_id": 0, "label": "car", "isthing": True, "score": 0.93, "area": 6, "bbox": [1, 2, 3, 2],
        "state": "confirmed", "age": 0, "mask": {"size": [4, 6], "counts": car["mask"]["counts"]},
    }  # fmt: skip


def test_a_live_frame_says_when_it_was_taken() -> None:
    record = check(live().to_json())
    assert record["time"] == "2026-01-31T12:00:00.123456Z"
    assert (record["pts"], record["pts_ticks"], record["time_base"]) == (4.1, 369000, [1, 90000])
    assert (record["clock"], record["dropped"], record["latency_seconds"]) == ("rtcp", {"late": 2}, 0.081)
    assert record["events"] == ["scene_cut"]
    assert (record["segments"][0]["state"], record["segments"][0]["age"]) == ("tentative", 41)


def test_a_record_is_one_line_and_keeps_every_letter() -> None:
    named = replace(CAR, label='Straße\n"汽车"\u2028')
    held = FrameResult.from_map(frame(stream_id="caf\udce9.mp4"), ids(), [named, SKY], model="m", vocabulary=VOCABULARY)
    line = held.to_json()
    assert "\n" not in line
    record = check(line.encode().decode())
    assert record["segments"][0]["label"] == named.label
    assert record["stream"] == "caf\udce9.mp4"


def test_a_failed_frame_has_its_reason_and_no_segments() -> None:
    held = FrameResult.failed(frame(), "decoder: broken slice", model="m", vocabulary=VOCABULARY)
    record = check(held.to_json())
    assert (record["status"], record["error"], record["segments"]) == ("failed", "decoder: broken slice", [])
    assert not held.panoptic.any()
    assert "failed: decoder" in repr(held)


def test_masks_can_be_left_out() -> None:
    record = check(result().to_json(masks=False))
    assert all("mask" not in segment for segment in record["segments"])


@pytest.mark.parametrize("held", [result(), live()], ids=["recorded", "live"])
def test_reading_back_gives_the_same_result(held: FrameResult) -> None:
    again = FrameResult.from_json(held.to_json())
    assert (again.panoptic == held.panoptic).all()
    assert again.segments == held.segments
    assert again.captured_at == held.captured_at
    assert again.to_json() == held.to_json()


def test_reading_a_record_without_masks_takes_the_map() -> None:
    line = result().to_json(masks=False)
    assert (FrameResult.from_json(line, panoptic=ids()).mask(1) == (ids() == 1)).all()
    with pytest.raises(ConfigError, match="without masks"):
        FrameResult.from_json(line)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "not a frame record"),
        ("[1]", "not a frame record"),
        ('{"schema": "streamseg.frame/2"}', "'streamseg.frame/2', expected 'streamseg.frame/1'"),
        ('{"schema": "streamseg.frame/1"}', "no key 'segments'"),
        ("{}", "no key 'schema'"),
    ],
)
def test_other_lines_are_refused(line: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        FrameResult.from_json(line)


def test_results_survive_pickling_and_copying() -> None:
    for again in (pickle.loads(pickle.dumps(live())), copy.deepcopy(live())):
        assert again.to_json() == live().to_json()
        assert again.mask(1).sum() == 6


# The schema.


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_the_schema_lists_the_events_that_there_are() -> None:
    assert tuple(json_schema()["properties"]["events"]["items"]["enum"]) == EVENTS


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("events",), ["explosion"]),
        (("status",), "failed"),
        (("error",), "boom"),
        (("frame",), -1),
        (("size",), [4]),
        (("time_base",), [1]),
        (("time",), "yesterday"),
        (("clock",), "wall"),
        (("segments", 0, "id"), 0),
        (("segments", 0, "id"), 2**24),
        (("segments", 0, "score"), 1.1),
        (("segments", 0, "bbox"), [0, 0, 1]),
        (("segments", 0, "state"), "lost"),
        (("segments", 0, "mask"), {"size": [4, 6]}),
    ],
)
def test_the_schema_refuses_what_is_wrong(path: tuple[str | int, ...], value: Any) -> None:
    record = json.loads(live().to_json())
    inner = record
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json_schema()).validate(record)


@pytest.mark.parametrize("key", ["schema", "pts", "vocabulary", "segments"])
def test_the_schema_misses_what_is_missing(key: str) -> None:
    record = json.loads(result().to_json())
    del record[key]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json_schema()).validate(record)


def test_times_are_told_in_utc() -> None:
    at = datetime(2026, 6, 1, tzinfo=UTC)
    assert json.loads(result(frame(captured_at=at, clock="arrival")).to_json())["time"] == "2026-06-01T00:00:00.000000Z"

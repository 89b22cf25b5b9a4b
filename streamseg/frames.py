"""What goes in and what comes out: `Frame`, and for each frame one `FrameResult` with its `Segment`s.

A result is one line of JSON (`FrameResult.to_json`), described by the schema in `data/frame.schema.json`:

    {"schema": "streamseg.frame/1", "stream": "cam0", "epoch": 0, "frame": 123, "status": "ok", "error": null,
     "pts": 4.1, "pts_ticks": 369000, "time_base": [1, 90000], "clock": "pts", "size": [720, 1280],
     "model": "fcclip-convnext-large", "vocabulary": {"name": "coco", "version": 1},
     "segments": [{"id": 17, "category_id": 3, "label": "car", "isthing": true, "score": 0.93, "area": 1234,
                   "bbox": [x, y, w, h], "mask": {"size": [h, w], "counts": "..."}, "state": "confirmed", "age": 41}],
     "events": []}

Live input adds `time`, `dropped` and `latency_seconds`. Recorded input has none of them, so that two runs over one file
write the same bytes.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, Protocol, Self, get_args

import numpy as np
import numpy.typing as npt

from .errors import ConfigError
from .rle import decode_mask, encode_map, measure_map
from .vocabulary import Vocabulary

__all__ = [
    "EVENTS",
    "MAX_SEGMENT_ID",
    "SCHEMA",
    "Clock",
    "Described",
    "Frame",
    "FrameResult",
    "Segment",
    "State",
    "json_schema",
]

SCHEMA = "streamseg.frame/1"
MAX_SEGMENT_ID = 2**24 - 1
"""Ids have to fit the three bytes of a panoptic PNG."""

EVENTS = ("scene_cut", "vocabulary_changed")
"""All that `FrameResult.events` may hold."""

Clock = Literal["pts", "arrival", "rtcp"]
"""Where a frame's time comes from: the stream's own timestamps, its arrival here, or the camera's wall clock (RTCP)."""
State = Literal["confirmed", "tentative"]
Status = Literal["ok", "failed"]

SCORE_SLACK = 1e-4  # half-precision rounding may carry a probability this far past 1
SCORE_DIGITS = 6


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame:
    """One decoded picture and where it comes from.

    Attributes:
        rgb: (H, W, 3) uint8, read-only; pictures of one channel or with alpha have to be converted first.
        index: number of the frame in its source, from 0, counted before anything is skipped or dropped.
        stream_id: name of the stream.
        epoch: unbroken run of the stream, from 0.
        pts_ticks: presentation time in units of `time_base`; None where the source gives none.
        time_base: seconds per tick.
        captured_at: wall-clock time with a time zone, for live input; None for recorded input.
        clock: where the time comes from.
    """

    rgb: npt.NDArray[np.uint8]
    index: int = 0
    stream_id: str = "frames"
    epoch: int = 0
    pts_ticks: int | None = None
    time_base: Fraction | None = None
    captured_at: datetime | None = None
    clock: Clock = "pts"

    def __post_init__(self) -> None:
        rgb = self.rgb
        if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
            raise ConfigError(
                f"frame {self.index!r} holds {_describe(rgb)}, expected a uint8 array of shape (height, width, 3) in "
                "RGB order: convert it first"
            )
        if not rgb.size:
            raise ConfigError(f"frame {self.index!r} has no pixels: shape {rgb.shape}, expected at least 1x1")
        _check_place(self.stream_id, self.epoch, self.index)
        _check_time(self.pts_ticks, self.time_base, self.captured_at, self.clock)
        object.__setattr__(self, "rgb", _read_only(rgb))

    @property
    def size_hw(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rgb.shape[0], self.rgb.shape[1]

    @property
    def pts_seconds(self) -> Fraction | None:
        """Presentation time, exact."""
        return _seconds(self.pts_ticks, self.time_base)

    def __repr__(self) -> str:
        time = "" if self.pts_seconds is None else f" at {float(self.pts_seconds):.3f} s"
        return f"Frame({self.stream_id!r}, {self.epoch}:{self.index}{time}, {self.rgb.shape[0]}x{self.rgb.shape[1]})"


class Described(Protocol):
    """What has to be known of a segment besides its pixels."""

    @property
    def id(self) -> int: ...
    @property
    def category_id(self) -> int: ...
    @property
    def label(self) -> str: ...
    @property
    def isthing(self) -> bool: ...
    @property
    def score(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Segment:
    """One region of one frame.

    Attributes:
        id: of the track; the value of the segment's pixels in the panoptic map, 1 to 2^24 - 1.
        category_id, label, isthing: the vocabulary's category.
        score: 0 to 1.
        area: pixels.
        bbox: x, y, width, height in pixels.
        state: a track is tentative until it has been seen often enough.
        age: frames since the track was born, 0 in its first.
    """

    id: int
    category_id: int
    label: str
    isthing: bool
    score: float
    area: int
    bbox: tuple[int, int, int, int]
    state: State = "confirmed"
    age: int = 0

    def __post_init__(self) -> None:
        _check_int(self.id, "the id of a segment", 1, MAX_SEGMENT_ID)
        _check_int(self.category_id, f"the category_id of segment {self.id}", 0)
        if not isinstance(self.label, str) or not self.label:
            raise ConfigError(f"the label of segment {self.id} is {self.label!r}, expected a word")
        if not isinstance(self.isthing, bool):
            raise ConfigError(f"isthing of segment {self.id} is {self.isthing!r}, expected True or False")
        if not -SCORE_SLACK <= self.score <= 1 + SCORE_SLACK:  # false for NaN, too
            raise ConfigError(f"the score of segment {self.id} is {self.score!r}, expected a number from 0 to 1")
        _check_int(self.area, f"the area of segment {self.id}", 1)
        if len(self.bbox) != 4 or min(self.bbox[:2]) < 0 or min(self.bbox[2:]) < 1:
            raise ConfigError(f"the bbox of segment {self.id} is {self.bbox!r}, expected x, y, width, height in pixels")
        _check_choice(self.state, f"the state of segment {self.id}", get_args(State))
        _check_int(self.age, f"the age of segment {self.id}", 0)
        object.__setattr__(self, "score", min(1.0, max(0.0, float(self.score))))

    def to_dict(self) -> dict[str, Any]:
        """As in a record, but without the mask."""
        return {
            "id": self.id,
            "category_id": self.category_id,
            "label": self.label,
            "isthing": self.isthing,
            "score": round(self.score, SCORE_DIGITS),
            "area": self.area,
            "bbox": list(self.bbox),
            "state": self.state,
            "age": self.age,
        }


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FrameResult:
    """The open-vocabulary panoptic result of one frame.

    Attributes:
        panoptic: (H, W) int32, read-only: the id of every pixel's segment, 0 for void.
        segments: what the map holds, in ascending order of id; none where the frame failed.
        index, stream_id, epoch, pts_ticks, time_base, captured_at, clock: of the frame.
        model, vocabulary_name, vocabulary_version: what it was segmented with.
        status: "failed" where the frame was lost to an error.
        error: the reason, for a failed frame.
        events: of `EVENTS`.
        dropped: frames of this stream lost since its last record, by reason; live input only.
        latency_seconds: from capture to result; live input only.
    """

    panoptic: npt.NDArray[np.int32]
    segments: tuple[Segment, ...]
    index: int
    stream_id: str
    model: str
    vocabulary_name: str
    vocabulary_version: int
    epoch: int = 0
    status: Status = "ok"
    error: str | None = None
    pts_ticks: int | None = None
    time_base: Fraction | None = None
    captured_at: datetime | None = None
    clock: Clock = "pts"
    events: tuple[str, ...] = ()
    dropped: Mapping[str, int] | None = None
    latency_seconds: float | None = None
    _by_id: Mapping[int, Segment] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_place(self.stream_id, self.epoch, self.index)
        _check_time(self.pts_ticks, self.time_base, self.captured_at, self.clock)
        if not isinstance(self.panoptic, np.ndarray) or self.panoptic.dtype != np.int32 or self.panoptic.ndim != 2:
            raise ConfigError(
                f"a panoptic map is {_describe(self.panoptic)}, expected an int32 array of (height, width)"
            )
        _check_choice(self.status, "the status of a frame", get_args(Status))
        if (self.status == "failed") != (self.error is not None) or (self.status == "failed" and self.segments):
            raise ConfigError(
                f"frame {self.index}: status {self.status!r}, error {self.error!r} and {len(self.segments)} segments"
                ", expected an error and no segments if it failed, else no error"
            )
        for event in self.events:
            _check_choice(event, "an event", EVENTS)
        if self.latency_seconds is not None and not (0 <= self.latency_seconds < math.inf):
            raise ConfigError(f"latency_seconds is {self.latency_seconds!r}, expected a number of at least 0")
        for reason, count in (self.dropped or {}).items():
            _check_int(count, f"the number of frames dropped as {reason!r}", 0)
        by_id = {segment.id: segment for segment in sorted(self.segments, key=lambda segment: segment.id)}
        if len(by_id) != len(self.segments):
            raise ConfigError(f"frame {self.index} has two segments with one id, expected ids that are unique")
        object.__setattr__(self, "segments", tuple(by_id.values()))
        object.__setattr__(self, "_by_id", by_id)
        object.__setattr__(self, "panoptic", _read_only(self.panoptic))

    @classmethod
    def from_map(
        cls,
        frame: Frame,
        ids: npt.NDArray[np.int32],
        segments: Iterable[Described],
        *,
        model: str,
        vocabulary: Vocabulary,
        states: Mapping[int, tuple[State, int]] = MappingProxyType({}),
        events: tuple[str, ...] = (),
        dropped: Mapping[str, int] | None = None,
        latency_seconds: float | None = None,
    ) -> Self:
        """The result of a frame: areas and boxes are measured, segments that own no pixel are left out.

        Args:
            frame: the frame; its pixels are not kept.
            ids: (H, W) int32, at the frame's size or another one.
            segments: what each id means.
            model: name of the model.
            vocabulary: what the categories come from.
            states: state and age by id; a segment not named here is confirmed, with age 0.
            events, dropped, latency_seconds: see the class.

        Raises:
            ConfigError: the map holds an id that `segments` does not describe.
        """
        described = {segment.id: segment for segment in segments}
        extents = measure_map(ids)
        unknown = [id_ for id_ in extents if id_ not in described]
        if unknown:
            raise ConfigError(f"the panoptic map holds id {unknown[0]}, expected one of {_shorten(list(described))}")
        measured = []
        for id_, extent in extents.items():
            of = described[id_]
            state, age = states.get(id_, ("confirmed", 0))
            measured.append(
                Segment(
                    id_, of.category_id, of.label, of.isthing, of.score, extent.area, extent.bbox, state=state, age=age
                )
            )
        return cls(
            panoptic=ids,
            segments=tuple(measured),
            model=model,
            vocabulary_name=vocabulary.name,
            vocabulary_version=vocabulary.version,
            events=events,
            dropped=dropped,
            latency_seconds=latency_seconds,
            **_origin(frame),
        )

    @classmethod
    def failed(cls, frame: Frame, error: str, *, model: str, vocabulary: Vocabulary) -> Self:
        """The record of a frame that could not be segmented: all void, with the reason."""
        return cls(
            panoptic=np.zeros(frame.size_hw, np.int32),
            segments=(),
            model=model,
            vocabulary_name=vocabulary.name,
            vocabulary_version=vocabulary.version,
            status="failed",
            error=error,
            **_origin(frame),
        )

    @property
    def size_hw(self) -> tuple[int, int]:
        """(height, width) of the panoptic map."""
        return self.panoptic.shape[0], self.panoptic.shape[1]

    @property
    def pts_seconds(self) -> Fraction | None:
        """Presentation time, exact."""
        return _seconds(self.pts_ticks, self.time_base)

    def segment(self, segment_id: int) -> Segment:
        """The segment with this id; ConfigError where there is none."""
        if segment_id not in self._by_id:
            raise ConfigError(
                f"frame {self.index} has no segment {segment_id!r}, expected one of {_shorten(list(self._by_id))}"
            )
        return self._by_id[segment_id]

    def mask(self, segment_id: int) -> npt.NDArray[np.bool_]:
        """(H, W) bool, true on the pixels of one segment; ConfigError where there is no such segment."""
        mask: npt.NDArray[np.bool_] = self.panoptic == self.segment(segment_id).id
        return mask

    def plot(self, image: npt.NDArray[np.uint8] | Frame, **style: Any) -> npt.NDArray[np.uint8]:
        """The picture with masks, outlines and names drawn over it: (H, W, 3) uint8 RGB, a new array.

        `style` goes to `streamseg.sinks.render.draw_overlay`.
        """
        from .sinks.render import draw_overlay  # drawing needs OpenCV; the words do not

        rgb = image.rgb if isinstance(image, Frame) else image
        return draw_overlay(rgb, self.panoptic, self.segments, **style)

    def to_dict(self, *, masks: bool = True) -> dict[str, Any]:
        """The record as plain values; `masks=False` leaves the run lengths out."""
        encoded = encode_map(self.panoptic) if masks and self.segments else {}
        segments = []
        for segment in self.segments:
            entry = segment.to_dict()
            if masks:
                entry["mask"] = encoded[segment.id]
            segments.append(entry)
        pts = self.pts_seconds
        record: dict[str, Any] = {
            "schema": SCHEMA,
            "stream": self.stream_id,
            "epoch": self.epoch,
            "frame": self.index,
            "status": self.status,
            "error": self.error,
            "pts": None if pts is None else float(pts),
            "pts_ticks": self.pts_ticks,
            "time_base": None if self.time_base is None else list(self.time_base.as_integer_ratio()),
        }
        if self.captured_at is not None:
            record["time"] = _rfc3339(self.captured_at)
        record |= {
            "clock": self.clock,
            "size": list(self.size_hw),
            "model": self.model,
            "vocabulary": {"name": self.vocabulary_name, "version": self.vocabulary_version},
            "segments": segments,
            "events": list(self.events),
        }
        if self.dropped is not None:
            record["dropped"] = dict(self.dropped)
        if self.latency_seconds is not None:
            record["latency_seconds"] = round(self.latency_seconds, 6)
        return record

    def to_json(self, *, masks: bool = True) -> str:
        """The record as one line of JSON, without the line end."""
        text = json.dumps(self.to_dict(masks=masks), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        # A file name that is not valid text holds lone surrogates; their escapes are the same in JSON.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

    @classmethod
    def from_json(cls, line: str | bytes, *, panoptic: npt.NDArray[np.int32] | None = None) -> Self:
        """The inverse of `to_json`.

        Args:
            line: one record.
            panoptic: the map, for a record that was written without masks.

        Raises:
            ConfigError: the line is no record of this version, or lacks its masks.
        """
        try:
            record = json.loads(line)
            if record["schema"] != SCHEMA:
                raise ConfigError(f"record has schema {record['schema']!r}, expected {SCHEMA!r}")
            return cls._from_record(record, panoptic)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            reason = f"no key {error}" if isinstance(error, KeyError) else str(error)
            raise ConfigError(f"not a frame record ({reason}), expected one line of schema {SCHEMA!r}") from None

    @classmethod
    def _from_record(cls, record: Mapping[str, Any], panoptic: npt.NDArray[np.int32] | None) -> Self:
        segments = tuple(_segment(entry) for entry in record["segments"])
        if panoptic is None:
            panoptic = np.zeros(record["size"], np.int32)
            for entry in record["segments"]:
                if "mask" not in entry:
                    raise ConfigError(f"frame {record['frame']} was recorded without masks: give its map as panoptic=")
                panoptic[decode_mask(entry["mask"])] = entry["id"]
        return cls(
            panoptic=panoptic,
            segments=segments,
            index=record["frame"],
            stream_id=record["stream"],
            model=record["model"],
            vocabulary_name=record["vocabulary"]["name"],
            vocabulary_version=record["vocabulary"]["version"],
            epoch=record["epoch"],
            status=record["status"],
            error=record["error"],
            pts_ticks=record["pts_ticks"],
            time_base=None if record["time_base"] is None else Fraction(*record["time_base"]),
            captured_at=datetime.fromisoformat(record["time"]) if "time" in record else None,
            clock=record["clock"],
            events=tuple(record["events"]),
            dropped=record.get("dropped"),
            latency_seconds=record.get("latency_seconds"),
        )

    def __repr__(self) -> str:
        what = f"failed: {self.error}" if self.status == "failed" else f"{len(self.segments)} segments"
        height, width = self.panoptic.shape
        return f"FrameResult({self.stream_id!r}, {self.epoch}:{self.index}, {height}x{width}, {what})"


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) that every record satisfies."""
    schema: dict[str, Any] = json.loads(files(__package__).joinpath("data", "frame.schema.json").read_text("utf-8"))
    return schema


def _segment(entry: Mapping[str, Any]) -> Segment:
    names = ("id", "category_id", "label", "isthing", "score", "area", "state", "age")
    return Segment(**{name: entry[name] for name in names}, bbox=tuple(entry["bbox"]))


def _origin(frame: Frame) -> dict[str, Any]:
    names = ("index", "stream_id", "epoch", "pts_ticks", "time_base", "captured_at", "clock")
    return {name: getattr(frame, name) for name in names}


def _seconds(ticks: int | None, time_base: Fraction | None) -> Fraction | None:
    return None if ticks is None or time_base is None else ticks * time_base


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


# Checks.


def _check_place(stream_id: str, epoch: int, index: int) -> None:
    if not isinstance(stream_id, str) or not stream_id:
        raise ConfigError(f"stream_id is {stream_id!r}, expected a name")
    _check_int(epoch, f"the epoch of stream {stream_id!r}", 0)
    _check_int(index, f"the index of a frame of stream {stream_id!r}", 0)


def _check_time(ticks: int | None, time_base: Fraction | None, captured_at: datetime | None, clock: str) -> None:
    if ticks is not None:
        _check_int(ticks, "pts_ticks", None)
        if time_base is None:
            raise ConfigError(f"pts_ticks is {ticks} without a time_base: give the seconds per tick as a Fraction")
    if time_base is not None and (not isinstance(time_base, Fraction) or time_base <= 0):
        raise ConfigError(f"time_base is {time_base!r}, expected a Fraction above 0: the seconds per tick")
    if captured_at is not None and (not isinstance(captured_at, datetime) or captured_at.tzinfo is None):
        raise ConfigError(f"captured_at is {captured_at!r}, expected a datetime with a time zone, e.g. in UTC")
    _check_choice(clock, "the clock", get_args(Clock))


def _check_int(value: Any, what: str, lowest: int | None, highest: int | None = None) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and (lowest is None or value >= lowest) and (highest is None or value <= highest):
        return
    bounds = "" if lowest is None else f" of at least {lowest}" if highest is None else f" from {lowest} to {highest}"
    raise ConfigError(f"{what} is {value!r}, expected a whole number{bounds}")


def _check_choice(value: object, what: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{what} is {value!r}, expected one of {', '.join(choices)}")


def _describe(value: object) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def _shorten(ids: list[int]) -> str:
    if not ids:
        return "none: it is empty"
    return ", ".join(map(str, ids[:10])) + (", ..." if len(ids) > 10 else "")

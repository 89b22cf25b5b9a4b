"""How steady the results of a stream are over time, told from its records alone, in one pass.

Nothing here knows the truth; a result can be steady and wrong. All of it is about consecutive records, so runs compare
at one frame rate only.

Flicker of a track from one record to the next: 1 - IoU of its two masks, the first one moved as far as its box has
moved (`box_shift`), over the pixels that both frames can show. This is the temporal consistency of Liu et al.
(Efficient semantic video segmentation with per-frame inference, ECCV 2020), turned round and taken for each track, with
the shift of the box in the place of optical flow: 0 for what keeps its shape, however it moves.

Area jitter: |ln a1 - (ln a0 + ln a2) / 2| of the areas of a track in three consecutive records: how far the middle one
is off the steady growth between its neighbours.

A track is born with its first record and dies with its last. Births in the first record of an epoch, deaths in its
last, and both at a scene cut are not counted: they say nothing about the tracker. A label flips where a track has
another label than before under the same vocabulary. Pairs across a scene cut or a failed frame are left out.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..metrics import LatencyHistogram
from ..rle import Rle
from .clock import StreamClock
from .mask_runs import ColumnRuns, box_shift, overlaps
from .tally import Mean, Tally, TrackFlicker
from .time_series import TimeSeries

__all__ = ["StreamWatcher", "Timelines"]

SHORT_FRAMES = 5
FORGET_SECONDS = 60.0
FORGET_RECORDS = 1500  # where records have no time
SWEEP_RECORDS = 256

Record = Mapping[str, Any]
MasksOf = Callable[[Record], Mapping[int, Rle] | None]


@dataclass(slots=True)
class Timelines:
    """How a stream went, for plots; empty where records have no time."""

    things: TimeSeries = field(default_factory=TimeSeries)
    stuff: TimeSeries = field(default_factory=TimeSeries)
    void: TimeSeries = field(default_factory=TimeSeries)
    flicker: TimeSeries = field(default_factory=TimeSeries)
    churn: TimeSeries = field(default_factory=lambda: TimeSeries(1.0))


@dataclass(slots=True)
class _Track:
    """What is remembered of a track until it is over."""

    id: int
    isthing: bool
    first_frame: int
    first_seconds: float | None
    born: bool
    last_frame: int = 0
    last_seconds: float | None = None
    last_step: int = 0
    frames: int = 0
    confirmed: bool = False
    label: str = ""
    words: tuple[str, int] = ("", 0)
    log_areas: tuple[float, ...] = ()
    flicker: Mean = field(default_factory=Mean)
    cut_off: bool = False


@dataclass(frozen=True, slots=True)
class _Before:
    """The record before: boxes by id, and masks."""

    boxes: Mapping[int, Sequence[int]]
    runs: ColumnRuns


class StreamWatcher:
    """Takes the records of a stream in order. Memory is that of the tracks of the last minute.

    A thing that was not seen for a minute of the stream's time is over; should it come back, it counts as another one.

    Args:
        name: of the stream.
        clock: tells the time of its records.
        masks: run lengths of a record's segments by id; None where there are none, and no flicker then.
        latencies: where latencies are counted.
    """

    def __init__(
        self, name: str, clock: StreamClock, masks: MasksOf, latencies: Sequence[LatencyHistogram] = ()
    ) -> None:
        self.tally = Tally()
        self.timelines = Timelines()
        self._name = name
        self._clock = clock
        self._masks = masks
        self._latencies = latencies
        self._epoch: int | None = None
        self._seconds: float | None = None
        self._step = 0  # counts the records of an epoch that hold a result
        self._tracks: dict[int, _Track] = {}
        self._before: _Before | None = None
        self._linked = False  # the record before may be compared with

    def add(self, record: Record) -> None:
        """The next record; ConfigError where its masks are damaged."""
        if record["epoch"] != self._epoch:
            self._end_epoch()
            self._epoch = record["epoch"]
            self.tally.epochs += 1
        self._count(record)
        self._advance(self._clock.seconds(record))
        if record["status"] != "ok":
            self.tally.failed += 1
            self._before, self._linked = None, False
            return
        self._step += 1
        if "scene_cut" in record["events"]:
            self._cut()
        self._look(record)
        self._compare(record)
        self._linked = True
        if self._step % SWEEP_RECORDS == 0:
            self._forget()

    def finish(self) -> None:
        """The stream has no more records."""
        self._end_epoch()

    # Frames.

    def _count(self, record: Record) -> None:
        self.tally.records += 1
        self.tally.dropped.update(record.get("dropped") or {})
        self.tally.events.update(record["events"])
        for latencies in self._latencies if "latency_seconds" in record else ():
            latencies.add(record["latency_seconds"])

    def _advance(self, seconds: float | None) -> None:
        if seconds is not None:
            if self._seconds is not None:
                self.tally.seconds += max(0.0, seconds - self._seconds)
            self.timelines.churn.reach(seconds)
        self._seconds = seconds

    def _look(self, record: Record) -> None:
        segments = record["segments"]
        pixels = record["size"][0] * record["size"][1]
        things = sum(segment["isthing"] for segment in segments)
        void = 1 - sum(segment["area"] for segment in segments) / pixels
        self.tally.things += things
        self.tally.stuff += len(segments) - things
        self.tally.most_segments = max(self.tally.most_segments, len(segments))
        self.tally.void.add(void)
        if self._seconds is not None:
            self.timelines.things.add(self._seconds, things)
            self.timelines.stuff.add(self._seconds, len(segments) - things)
            self.timelines.void.add(self._seconds, void)
        for segment in segments:
            self._see(record, segment, pixels)

    # Tracks.

    def _see(self, record: Record, segment: Record, pixels: int) -> None:
        track = self._tracks.get(segment["id"])
        if track is None:
            track = self._new_track(record, segment)
        elif track.isthing and self._step - track.last_step > 1:
            self.tally.returns += 1
        self._name_it(track, record, segment)
        self._weigh(track, segment["area"])
        track.last_frame, track.last_seconds, track.last_step = record["frame"], self._seconds, self._step
        track.frames += 1
        track.confirmed |= segment["state"] == "confirmed"
        track.cut_off = False
        category = self.tally.category(segment["label"], segment["isthing"])
        category.segments += 1
        category.area += segment["area"] / pixels

    def _new_track(self, record: Record, segment: Record) -> _Track:
        born = self._step > 1 and "scene_cut" not in record["events"]
        track = _Track(segment["id"], segment["isthing"], record["frame"], self._seconds, born)
        self._tracks[track.id] = track
        if born and track.isthing:
            self.tally.births += 1
            self._churn(self._seconds)
        return track

    def _name_it(self, track: _Track, record: Record, segment: Record) -> None:
        words = (record["vocabulary"]["name"], record["vocabulary"]["version"])
        if track.frames and track.words == words and track.label != segment["label"] and track.isthing:
            self.tally.flips += 1
            self.tally.category(segment["label"], segment["isthing"]).flips += 1
        track.label, track.words = segment["label"], words

    def _weigh(self, track: _Track, area: int) -> None:
        goes_on = self._linked and track.last_step == self._step - 1
        areas = (*(track.log_areas if goes_on else ()), math.log(area))[-3:]
        if len(areas) == 3:
            self.tally.jitter[track.isthing].add(abs(areas[1] - (areas[0] + areas[2]) / 2))
        track.log_areas = areas

    def _compare(self, record: Record) -> None:
        """Flicker from the record before to this one."""
        masks = self._masks(record)
        if masks is None:
            self._before = None
            return
        size_hw = (record["size"][0], record["size"][1])
        boxes = {segment["id"]: segment["bbox"] for segment in record["segments"]}
        now = _Before(boxes, ColumnRuns.of(size_hw, masks))
        before, self._before = self._before, now
        if before is None or before.runs.size_hw != size_hw:
            return
        shared = [id_ for id_ in boxes if id_ in before.boxes]
        shifts = [box_shift(before.boxes[id_], boxes[id_], size_hw) for id_ in shared]
        for id_, overlap in zip(shared, overlaps(before.runs, now.runs, shared, shifts), strict=True):
            if overlap.iou is not None:
                self._flicker(self._tracks[id_], 1 - overlap.iou)

    def _flicker(self, track: _Track, flicker: float) -> None:
        track.flicker.add(flicker)
        self.tally.flicker[track.isthing].add(flicker)
        self.tally.category(track.label, track.isthing).flicker.add(flicker)
        if self._seconds is not None and track.isthing:
            self.timelines.flicker.add(self._seconds, flicker)

    def _cut(self) -> None:
        """The scene is another one: what was there until now is not compared, and may end without blame."""
        self._before, self._linked = None, False
        for track in self._tracks.values():
            track.cut_off |= track.last_step == self._step - 1

    # Ends.

    def _forget(self) -> None:
        for track in [track for track in self._tracks.values() if track.isthing and self._is_over(track)]:
            self._end(self._tracks.pop(track.id))

    def _is_over(self, track: _Track) -> bool:
        if self._seconds is None or track.last_seconds is None:
            return self._step - track.last_step > FORGET_RECORDS
        return self._seconds - track.last_seconds > FORGET_SECONDS

    def _end_epoch(self) -> None:
        for track in self._tracks.values():
            self._end(track)
        self._tracks = {}
        self._step = 0
        self._seconds, self._before, self._linked = None, None, False

    def _end(self, track: _Track) -> None:
        tally = self.tally
        tally.category(track.label, track.isthing).tracks += 1
        if track.flicker.value is not None:
            spot = (self._name, self._epoch or 0, track.id, track.label, track.first_frame, track.last_frame)
            tally.judge(TrackFlicker(track.flicker.value, *spot), track.flicker.count)
        if not track.isthing:
            tally.stuff_tracks += 1
            return
        tally.add_length(track.frames)
        tally.confirmed += track.confirmed
        tally.short += track.frames < SHORT_FRAMES
        if track.first_seconds is not None and track.last_seconds is not None:
            tally.track_seconds += max(0.0, track.last_seconds - track.first_seconds)
        if track.last_step < self._step and not track.cut_off:
            tally.deaths += 1
            self._churn(track.last_seconds)

    def _churn(self, seconds: float | None) -> None:
        if seconds is not None:
            self.timelines.churn.add(seconds, 1)

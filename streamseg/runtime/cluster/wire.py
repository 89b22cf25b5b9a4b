"""What travels between processes: frames in packs, results without what can be left behind.

Exceptions never travel themselves, since their context may hold a library's text with a camera's password; their words
do. Times of `time.monotonic` mean nothing on another machine, so they travel as wall-clock time.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ... import errors
from ...errors import StreamsegError
from ...frames import Frame, FrameResult
from ...sources.base import Position
from ...tracks import TrackRow
from ...vocabulary import Vocabulary
from ..emitter import Outgoing, TrackerState
from ..intake import Arrived
from ..reasons import reason_of

__all__ = [
    "NO_PICTURE",
    "Fault",
    "Pack",
    "PackedResult",
    "Parcel",
    "Place",
    "PulledFrame",
    "frame_of",
    "from_wall",
    "pack_result",
    "to_wall",
    "unpack_result",
]

NO_PICTURE = np.zeros((1, 1, 3), np.uint8)
NO_MAP = np.zeros((0, 0), np.int32)


@dataclass(frozen=True, slots=True)
class Fault:
    """An error in words.

    Attributes:
        kind: name of its class, where it is one of ours.
        text: one line.
    """

    kind: str
    text: str

    @classmethod
    def of(cls, error: Exception) -> "Fault":
        return cls(type(error).__name__ if isinstance(error, StreamsegError) else "StreamsegError", reason_of(error))

    def error(self) -> StreamsegError:
        """As it was; an error of another class than ours as `StreamsegError`."""
        known = getattr(errors, self.kind, None) if self.kind in errors.__all__ else None
        made: StreamsegError = (known or StreamsegError)(self.text)
        return made


@dataclass(frozen=True, slots=True)
class Place:
    """Where a decoder goes on; everything that it needs to know of what came before.

    Attributes:
        position: the last frame that was taken; None for the beginning.
        number: frames that were handed over so far.
        totals: counts of the decoder's side up to there, "decoded" and "dropped".
        origin_seconds, last_kept_seconds: see `Selection`.
    """

    position: Position | None = None
    number: int = 0
    totals: Mapping[str, Any] = field(default_factory=lambda: {"decoded": 0, "dropped": {}})
    origin_seconds: Fraction | None = None
    last_kept_seconds: Fraction | None = None

    @classmethod
    def after(cls, arrived: Arrived) -> "Place":
        """Behind a frame."""
        frame = arrived.frame
        return cls(
            Position(frame.index, frame.pts_ticks, frame.epoch),
            arrived.number + 1,
            arrived.totals,
            arrived.origin_seconds,
            arrived.last_kept_seconds,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """Frames that travel together, in order.

    Attributes:
        frames: with `arrived_at` as wall-clock time.
        ended: nothing comes after them.
        fault: why, where that is not simply the stream's end.
        totals: counts of the decoder's side, where the stream has ended.
    """

    frames: tuple[Arrived, ...]
    ended: bool = False
    fault: Fault | None = None
    totals: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PulledFrame(Arrived):
    """A frame in a worker.

    Attributes:
        key: of its lane.
        origin: the object that it came in (a Ray `ObjectRef`), and its place there: whoever needs its picture later
            takes it from there, so that pixels are written into shared memory once.
    """

    key: str = ""
    origin: tuple[Any, int] | None = None

    @property
    def lane(self) -> str:
        return self.key


@dataclass(frozen=True, slots=True, eq=False)
class PackedResult:
    """A result whose map is run lengths: a hundredth of its size, and quicker made than compressed.

    Attributes:
        rest: the result, with an empty map.
        size_hw: of the map.
        values, lengths: of its runs, row by row.
    """

    rest: FrameResult
    size_hw: tuple[int, int]
    values: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """A frame's results on their way to its emitter; see `Outgoing`.

    Attributes:
        result: without dropped frames and latency, which the emitter knows.
        arrived: the frame, without its pixels, `arrived_at` as wall-clock time.
        ended, replayed: see `Emission`.
        identities, state: see `Outgoing`.
        vocabulary: where it is another one than the parcel before had.
        origin: see `PulledFrame`; only where a sink draws on the picture.
    """

    result: PackedResult
    arrived: Arrived
    ended: tuple[TrackRow, ...]
    replayed: bool
    identities: int
    state: TrackerState | None
    vocabulary: Vocabulary | None
    origin: tuple[Any, int] | None

    @classmethod
    def of(cls, item: Outgoing, vocabulary: Vocabulary | None, *, picture: bool) -> "Parcel":
        arrived, emission = item.arrived, item.emission
        origin = arrived.origin if picture and isinstance(arrived, PulledFrame) else None
        return cls(
            result=pack_result(emission.result),
            arrived=without_pixels(arrived),
            ended=emission.ended,
            replayed=emission.replayed,
            identities=item.identities,
            state=item.state,
            vocabulary=vocabulary,
            origin=origin,
        )


def pack_result(result: FrameResult) -> PackedResult:
    """See `PackedResult`."""
    flat = result.panoptic.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1  # a tenth of the time that differences take
    starts = np.concatenate((np.zeros(min(1, len(flat)), np.int64), changes))
    lengths = np.diff(starts, append=len(flat)).astype(np.int32)
    return PackedResult(replace(result, panoptic=NO_MAP), result.size_hw, flat[starts], lengths)


def unpack_result(packed: PackedResult) -> FrameResult:
    """The inverse of `pack_result`."""
    panoptic = np.repeat(packed.values, packed.lengths).reshape(packed.size_hw)
    return replace(packed.rest, panoptic=panoptic)


def without_pixels(arrived: Arrived) -> Arrived:
    """For those who need a frame's place and time alone."""
    frame = replace(arrived.frame, rgb=NO_PICTURE)
    return to_wall(
        Arrived(
            frame,
            arrived.number,
            arrived.arrived_at,
            arrived.totals,
            arrived.origin_seconds,
            arrived.last_kept_seconds,
        )
    )


def to_wall(arrived: Arrived) -> Arrived:
    """On its way: its time as wall-clock time."""
    return replace(arrived, arrived_at=arrived.arrived_at - time.monotonic() + time.time())


def from_wall(arrived: Arrived) -> float:
    """Its `arrived_at`, as `time.monotonic` of this process; never in the future."""
    return min(0.0, arrived.arrived_at - time.time()) + time.monotonic()


def frame_of(pack: Pack, place: int) -> Frame:
    """One of a pack's frames."""
    return pack.frames[place].frame

"""When a picture was taken: the camera's own clock where it tells it, otherwise the moment its packet came in."""

import struct
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..frames import Clock

__all__ = ["Arrival", "Arrivals", "camera_time"]

REMEMBERED = 64  # packets; decoders hold fewer pictures back
BELIEVED = timedelta(seconds=60)
"""A camera whose clock is further off than this was never set, or is set to another time zone."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WALL_CLOCK = struct.Struct("=q")  # microseconds since 1970; begins FFmpeg's AVProducerReferenceTime


@dataclass(frozen=True, slots=True)
class Arrival:
    """Of one packet.

    Attributes:
        captured_at: wall clock, UTC.
        clock: whose.
        monotonic: `time.monotonic()` when it came in.
    """

    captured_at: datetime
    clock: Clock
    monotonic: float


class Arrivals:
    """Remembers the last packets' arrivals until their pictures come out of the decoder."""

    def __init__(self) -> None:
        self._by_pts: OrderedDict[int | None, Arrival] = OrderedDict()

    def note(self, pts: int | None, arrival: Arrival) -> None:
        self._by_pts[pts] = arrival
        self._by_pts.move_to_end(pts)
        if len(self._by_pts) > REMEMBERED:
            self._by_pts.popitem(last=False)

    def of(self, pts: int | None) -> Arrival:
        """Of the picture with this time; where it is not known, of the last packet."""
        return self._by_pts.get(pts) or next(reversed(self._by_pts.values()))


def camera_time(packet: Any, now: datetime) -> datetime | None:
    """When the camera says that it took this picture (RTCP sender reports); None where it does not, or cannot be right.

    Args:
        packet: of PyAV, from RTSP.
        now: our own wall clock.
    """
    if not packet.has_sidedata("prft"):
        return None
    (microseconds,) = WALL_CLOCK.unpack_from(bytes(packet.get_sidedata("prft")))
    try:
        told = EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None
    return told if abs(told - now) <= BELIEVED else None

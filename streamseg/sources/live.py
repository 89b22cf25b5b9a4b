"""Live input: RTSP and HTTP cameras, HLS, MJPEG and video devices, held for as long as anyone wants them.

A camera that goes away is waited for, one that is off at first, too. Each new connection is a new epoch, with a time of
its own; so is each new picture size. Frames that are not whole are counted, and not delivered.
"""

import logging
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..config.sources import DecodeSettings, LiveSettings
from ..errors import SourceError
from ..frames import Frame
from .address import Address
from .base import Kind, Position, Skipped, SourceInfo, Stop, Wanted
from .connection import Connection, connect
from .outage import OutageError
from .pacing import Pacer
from .pixels import upright
from .reconnect import Backoff, wait

__all__ = ["LiveSource"]

logger = logging.getLogger("streamseg.sources")


@dataclass(slots=True)
class Progress:
    """Where one iteration stands.

    Attributes:
        index: of the next frame.
        epoch: of the last one.
        known: the stream has delivered before, so an address that does not work any more is an outage.
        delivered: this iteration has had a picture.
        size_hw: of the last picture of this connection.
        held_since: when this connection had its first picture; `time.monotonic()`, as the next.
        lost_at: since when there are no pictures.
        attempts: in a row without a picture.
    """

    index: int = 0
    epoch: int = 0
    known: bool = False
    delivered: bool = False
    size_hw: tuple[int, int] | None = None
    held_since: float | None = None
    lost_at: float | None = None
    attempts: int = 0

    def count(self, size_hw: tuple[int, int]) -> int:
        """One more picture; its index. The first of a connection, and of a size, begins an epoch."""
        self.epoch += self.delivered and size_hw != self.size_hw
        self.size_hw = size_hw
        self.known = self.delivered = True
        self.index += 1
        return self.index - 1

    def arrive(self) -> float | None:
        """The first picture of a connection; for how many seconds there was none, where there should have been."""
        now = time.monotonic()
        away = None if self.lost_at is None else now - self.lost_at
        self.held_since, self.lost_at, self.attempts = now, None, 0
        return away

    def lose(self) -> float:
        """A connection is over, or never was; the seconds for which it held."""
        now = time.monotonic()
        held = 0.0 if self.held_since is None else now - self.held_since
        self.attempts += self.held_since is None
        self.held_since = self.size_hw = None
        self.lost_at = self.lost_at or now
        return held


class LiveSource:
    """A camera, or any other input without an end.

    A read that hangs all the same (time-outs of libraries are not to be relied on) shows in `heartbeat`. Whoever then
    gives this source up sets `stop`, and its iteration ends without a word if the read ever returns.

    Args:
        address: of kind "rtsp", "http" or "camera".
        stream_id: name of the stream.
        live: time-outs, transport, waits.
        decode: threads and hardware.
        chance: where the jitter of waits comes from; seeded with the stream's name if left out.
    """

    kind: Kind = "live"

    def __init__(
        self,
        address: Address,
        stream_id: str,
        live: LiveSettings | None = None,
        decode: DecodeSettings | None = None,
        *,
        chance: random.Random | None = None,
    ) -> None:
        self.address = address
        self.stream_id = stream_id
        self.status = "not connected yet"
        self.heartbeat = time.monotonic()
        self._live = live or LiveSettings()
        self._decode = decode or DecodeSettings()
        self._chance = chance or random.Random(stream_id)
        self._info = SourceInfo(kind=self.kind)
        self._decoder = ""

    def info(self) -> SourceInfo:
        """What is known so far; nothing is opened."""
        return self._info

    def frames(self, stop: Stop, *, wanted: Wanted, after: Position | None = None) -> Iterator[Frame | Skipped]:
        """As of `Source`.

        Frames go on at `after.index + 1`, in the epoch of `after`. Those that are not whole come as `Skipped` with
        "damaged", and `wanted` is not asked about them.

        Raises:
            SourceError: it has never delivered and waiting would not help, or `max_attempts` have failed in a row.
        """
        progress = Progress() if after is None else Progress(after.index + 1, after.epoch, known=True)
        backoff = Backoff(self._live.first_backoff_seconds, self._live.max_backoff_seconds, self._chance)
        while not stop.is_set():
            self._tell(stop, "connecting")
            try:
                with connect(self.address, self._live, self._decode) as connection:
                    yield from self._connected(connection, stop, wanted, progress)
                self._tell(stop, "ended")
                return
            except OutageError as error:
                # Only the words: whoever keeps the error keeps the library's, which holds the URL, and the connection.
                reason, remedy = error.reason, error.remedy
            if stop.is_set():
                return
            seconds = backoff.fail(self._lose(reason, remedy, progress))
            self._tell(stop, f"waiting {seconds:.1f} s: {reason}")
            wait(stop, seconds, self._beat)

    def _connected(
        self, connection: Connection, stop: Stop, wanted: Wanted, progress: Progress
    ) -> Iterator[Frame | Skipped]:
        """Frames of one connection. Returns where there is nothing to come back for, raises OutageError otherwise."""
        pacer = Pacer() if connection.comes_in_bursts else None
        for packet in connection.packets():
            if stop.is_set():
                return
            self._beat()
            for picture in connection.decode(packet):
                item = self._take(connection, picture, stop, wanted, progress)
                if item is None or not self._keep_pace(pacer, connection, picture, stop):
                    return
                yield item
        if not connection.is_finite:
            raise OutageError("the stream ended")

    def _take(
        self, connection: Connection, picture: Any, stop: Stop, wanted: Wanted, progress: Progress
    ) -> Frame | Skipped | None:
        """What becomes of a decoded picture; None ends the stream."""
        size_hw = picture.height, picture.width
        if progress.size_hw is None:
            self._arrive(connection, picture, progress)
        if progress.size_hw != size_hw:
            self._info = connection.info(size_hw)
        index = progress.count(size_hw)
        if not connection.is_whole(picture):
            self._tell(stop, "waiting for a keyframe")
            return Skipped(index, "damaged")
        self._tell(stop, f"streaming, decode: {self._decoder}")
        verdict = wanted(index, connection.seconds_of(picture))
        if verdict == "end":
            return None
        if verdict != "keep":
            return Skipped(index, verdict)
        return self._frame(connection, picture, index, progress.epoch)

    def _frame(self, connection: Connection, picture: Any, index: int, epoch: int) -> Frame:
        ticks, time_base = connection.time_of(picture)
        arrival = connection.arrival_of(picture)
        return Frame(
            upright(picture),
            index,
            self.stream_id,
            epoch,
            pts_ticks=ticks,
            time_base=time_base,
            captured_at=arrival.captured_at,
            clock=arrival.clock,
        )

    def _keep_pace(self, pacer: Pacer | None, connection: Connection, picture: Any, stop: Stop) -> bool:
        """Hold a frame back until it is due; False where nobody wants it any more."""
        if pacer is None:
            return True
        return wait(stop, pacer.ahead_seconds(connection.seconds_of(picture), time.monotonic()), self._beat)

    def _arrive(self, connection: Connection, picture: Any, progress: Progress) -> None:
        """The first picture of a connection."""
        away = progress.arrive()
        self._decoder = connection.opened.decoder(picture)
        if away is not None:
            logger.info("%s: back after %.1f s", self.stream_id, away)
        if not progress.delivered:
            logger.info("%s: decode: %s", self.stream_id, self._decoder)

    def _lose(self, reason: str, remedy: str, progress: Progress) -> float:
        """Take note of an outage, or give up; the seconds for which the connection held."""
        first = progress.lost_at is None
        held = progress.lose()
        complaint = f"{self.stream_id}: cannot read {self.address.shown!r}: {reason}"
        if remedy and not progress.known:
            raise SourceError(f"{complaint}; {remedy}")
        if progress.attempts == self._live.max_attempts:
            raise SourceError(
                f"{complaint}, after {progress.attempts} attempts in a row; check the camera, or raise "
                "live.max_attempts"
            )
        if first:
            what = "lost" if progress.known else "not there yet"
            logger.warning("%s: %s (%s); trying again", self.stream_id, what, reason)
        return held

    def _tell(self, stop: Stop, status: str) -> None:
        """The status, and a sign of life; not where this source has been given up."""
        if not stop.is_set():
            self.status = status
            self._beat()

    def _beat(self) -> None:
        self.heartbeat = time.monotonic()

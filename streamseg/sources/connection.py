"""One connection to a camera: packets and pictures, a time-out on all that may block, always closed again."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import av
import av.error

from ..config.sources import DecodeSettings, LiveSettings
from .address import Address
from .arrival import Arrival, Arrivals, camera_time
from .base import SourceInfo
from .keyframes import GapWatch, KeyframeGate
from .opening import Opened, accelerator, reason_of
from .outage import LIBRARY_ERRORS, OutageError, outage_of

__all__ = ["Connection", "connect"]

BURSTS = ("hls", "dash")  # formats whose segments come as fast as the network carries them
NO_TIME = ("mpjpeg",)  # formats without timestamps: FFmpeg counts frames as if there were 25 a second
HARDWARE_ERRORS = (PermissionError, NotImplementedError, av.error.ExternalError, av.error.UnknownError)
MICROSECONDS = Fraction(1, 1_000_000)


class Connection:
    """Packets as they come in, pictures as they come out, and what is known of both.

    Args:
        opened: the container; ours until it is closed.
        address: where it leads.
        live: how it was opened.
    """

    def __init__(self, opened: Opened, address: Address, live: LiveSettings) -> None:
        self.opened = opened
        self._address = address
        self._since = time.monotonic()
        self._arrivals = Arrivals()
        self._gate = KeyframeGate(intra_only=opened.stream.codec_context.codec.intra_only)
        self._gaps = GapWatch() if _loses_packets(address, live) else None

    @property
    def is_finite(self) -> bool:
        """Whether its end is known, and is no outage. (RTSP servers that loop a file name an end, too.)"""
        return self._address.kind == "http" and bool(self.opened.container.duration)

    @property
    def comes_in_bursts(self) -> bool:
        """Whether packets come faster than their time goes by."""
        return self.is_finite or self.opened.container.format.name in BURSTS

    def info(self, size_hw: tuple[int, int]) -> SourceInfo:
        """What is known once there is a picture of this size."""
        stream = self.opened.stream
        return SourceInfo(
            "live", size_hw=size_hw, fps=stream.average_rate or None, codec=str(stream.codec_context.name)
        )

    def packets(self) -> Iterator[Any]:
        """As they come in; an empty one, which empties the decoder, is the last.

        Raises:
            OutageError: the connection is lost.
        """
        try:
            for packet in self.opened.container.demux(self.opened.stream):
                self._arrivals.note(packet.pts, self._arrival(packet))
                yield packet
        except LIBRARY_ERRORS as error:
            raise outage_of(error, self._address) from None

    def decode(self, packet: Any) -> list[Any]:
        """The pictures that come out of the decoder for a packet."""
        if self._misses_something(packet):
            self._gate.damage()
        try:
            pictures: list[Any] = packet.decode()
        except LIBRARY_ERRORS:
            self._gate.damage()
            return []
        return pictures

    def is_whole(self, picture: Any) -> bool:
        """Whether a picture may be shown; to be asked once for each, in order."""
        return self._gate.admits(keyframe=bool(picture.key_frame), corrupt=bool(picture.is_corrupt))

    def time_of(self, picture: Any) -> tuple[int | None, Fraction]:
        """Ticks, and seconds per tick. Where the input has no time, the arrival counts, from the connection on."""
        if self.opened.container.format.name in NO_TIME:
            return round(1e6 * (self.arrival_of(picture).monotonic - self._since)), MICROSECONDS
        return picture.pts, self.opened.stream.time_base

    def seconds_of(self, picture: Any) -> Fraction | None:
        """Its time, exact."""
        ticks, time_base = self.time_of(picture)
        return None if ticks is None else ticks * time_base

    def arrival_of(self, picture: Any) -> Arrival:
        """When it was taken, or came in."""
        return self._arrivals.of(picture.pts)

    def _misses_something(self, packet: Any) -> bool:
        """Whether something was lost before or in a packet, as far as its container shows."""
        if self._gaps is not None and packet.size and self._gaps.is_gap(packet.dts):
            return True
        # Segments that count from 0 again look like a loss to the demuxer, at the end of each.
        return bool(packet.is_corrupt) and not self.comes_in_bursts

    def _arrival(self, packet: Any) -> Arrival:
        now = datetime.now(UTC)
        told = camera_time(packet, now) if self._address.kind == "rtsp" else None
        return Arrival(told or now, "rtcp" if told else "arrival", time.monotonic())


@contextmanager
def connect(address: Address, live: LiveSettings, decode: DecodeSettings) -> Iterator[Connection]:
    """An open connection.

    Raises:
        OutageError: it could not be made.
    """
    container, hardware = _open(address, live, decode)
    with container:
        stream = container.streams.best("video")
        if stream is None or stream.codec_context is None:
            raise OutageError("it sends no video that can be decoded", "take a stream of H.264, H.265 or MJPEG")
        _set_up_decoder(stream, address, live, decode)
        yield Connection(Opened(container, stream, decode, hardware), address, live)


def _open(address: Address, live: LiveSettings, decode: DecodeSettings) -> tuple[Any, str]:
    arguments: dict[str, Any] = {
        "format": "v4l2" if address.kind == "camera" else None,
        "options": _options(address, live),
        "timeout": (live.connect_timeout_seconds, live.read_timeout_seconds),
    }
    chosen, hardware = accelerator(decode)
    try:
        if chosen is not None:
            try:
                return av.open(address.location, hwaccel=chosen, **arguments), hardware
            except HARDWARE_ERRORS as error:
                hardware = f"cpu (CUDA: {reason_of(error)})"
        return av.open(address.location, **arguments), hardware
    except LIBRARY_ERRORS as error:
        raise outage_of(error, address) from None


def _options(address: Address, live: LiveSettings) -> dict[str, str]:
    """For FFmpeg: time-outs are microseconds. RTSP's is `timeout`; `stimeout` is ignored without a word."""
    timeout = str(int(1e6 * live.read_timeout_seconds))
    if address.kind == "rtsp":
        # Without fpsprobesize, the frame rate is measured for a while before the first frame is handed on.
        return {"rtsp_transport": live.transport, "timeout": timeout, "fpsprobesize": "0"}
    return {"rw_timeout": timeout} if address.kind == "http" else {}


def _set_up_decoder(stream: Any, address: Address, live: LiveSettings, decode: DecodeSettings) -> None:
    """Threads that split a picture; threads for several pictures at a time would hold frames back.

    One thread unless told otherwise: few cameras cut their pictures into slices, and the H.264 decoder tells of damage
    that it has hidden only where a single thread decodes.
    """
    stream.thread_type = "SLICE"
    stream.codec_context.thread_count = decode.threads or 1
    if _loses_packets(address, live):
        # Damage becomes an error. Not over TCP, where it is rare: some cameras write what a strict decoder rejects.
        # (Together with threads for several pictures, this option can hang the decoder for ever.)
        stream.codec_context.options = {"err_detect": "explode"}


def _loses_packets(address: Address, live: LiveSettings) -> bool:
    return address.kind == "rtsp" and live.transport == "udp"

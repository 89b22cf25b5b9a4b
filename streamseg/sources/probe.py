"""What a source is, and how it would be read: opened, looked at for a moment, closed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import av.error

from ..config.sources import DecodeSettings, LiveSettings, SourceSettings
from ..errors import DecodeError, SourceError
from .address import parse_address
from .base import Kind, SourceInfo
from .connection import connect
from .open import kind_of, open_source
from .opening import Opened, reason_of
from .outage import OutageError
from .pixels import LEVEL, size_hw_of, turn_of
from .video import duration_of, open_recording

__all__ = ["Pace", "Probe", "Timestamps", "pace_of", "probe"]

MAX_PACKETS = 600
MAX_SECONDS = 5.0
REORDERED = 16  # the last packets' neighbours in time may not have come yet
STEADY = Fraction(1, 20)  # how much steps between frames may differ at a constant rate, besides rounding

Timestamps = Literal["complete", "missing", "not monotonic"]


@dataclass(frozen=True, slots=True)
class Pace:
    """What the first packets tell about time.

    Attributes:
        packets: how many were looked at.
        timestamps: whether each has one, and decoding times grow.
        first_seconds: the earliest presentation time.
        is_variable: whether steps between frames differ; None with too few frames.
        keyframe_frames: frames from one keyframe to the next, at most; None if fewer than two were seen.
    """

    packets: int = 0
    timestamps: Timestamps = "complete"
    first_seconds: Fraction | None = None
    is_variable: bool | None = None
    keyframe_frames: int | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found. Nothing in it shows a password.

    Attributes:
        source: as the user wrote it, redacted.
        name: of the stream.
        info: as of the source.
        policy: what happens where the model is slower than the stream.
        transport: how it comes here: file, pipe, device, http, tcp, udp; none for what is rendered.
        decoder: who decodes; None for what is not decoded.
        container, codec, profile, pixel_format: of the video, None where there is none.
        stored_size_hw: before rotation.
        turned: whether pictures are turned or mirrored, as the file asks for.
        interlaced: whether pictures are woven from two fields.
        pixel_aspect: width of a pixel divided by its height.
        time_base: seconds per tick of its timestamps.
        pace: timestamps, rate and keyframes.
        audio: codecs of the sound tracks.
    """

    source: str
    name: str
    info: SourceInfo
    policy: str
    transport: str
    decoder: str | None = None
    container: str | None = None
    codec: str | None = None
    profile: str | None = None
    pixel_format: str | None = None
    stored_size_hw: tuple[int, int] | None = None
    turned: bool = False
    interlaced: bool = False
    pixel_aspect: Fraction = Fraction(1)
    time_base: Fraction | None = None
    pace: Pace = field(default_factory=Pace)
    audio: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        info, pace = self.info, self.pace
        return {
            "source": self.source,
            "name": self.name,
            "container": self.container,
            "codec": self.codec,
            "profile": self.profile,
            "pixel_format": self.pixel_format,
            "stored_size": _listed(self.stored_size_hw),
            "turned": self.turned,
            "interlaced": self.interlaced,
            "pixel_aspect": float(self.pixel_aspect),
            "fps": _number(info.fps),
            "variable_fps": pace.is_variable,
            "duration_seconds": _number(info.duration_seconds),
            "frames": info.frames,
            "keyframe_interval_frames": pace.keyframe_frames,
            "timestamps": pace.timestamps if pace.packets else None,
            "time_base": None if self.time_base is None else [self.time_base.numerator, self.time_base.denominator],
            "first_pts_seconds": _number(info.start_seconds),
            "audio": list(self.audio),
            "use": {
                "kind": info.kind,
                "transport": self.transport,
                "decoder": self.decoder,
                "policy": self.policy,
                "size": _listed(info.size_hw),
            },
        }


def probe(source: SourceSettings, decode: DecodeSettings | None = None, live: LiveSettings | None = None) -> Probe:
    """Look at one stream; it takes a few seconds at most, and time-outs end what does not answer.

    Args:
        source: one of `expand`'s.
        decode, live: how it would be read.

    Raises:
        SourceError: it cannot be opened or delivers nothing; live sources are not waited for.
    """
    decode, live = decode or DecodeSettings(), live or LiveSettings()
    address = parse_address(source.url)
    kind = kind_of(address, decode, live)
    if kind == "recorded" and address.kind not in ("file", "http"):
        opened_source = open_source(address, source.name, decode, live)
        transport = {"pipe": "pipe", "world": "none"}.get(address.kind, "file")
        return Probe(address.shown, opened_source.stream_id, opened_source.info(), _policy(kind), transport)
    name = source.name or open_source(address, None, decode, live).stream_id
    with _open(source, kind, decode, live) as opened:
        try:
            packets, frame = _read(opened)
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(f"cannot read {address.shown!r}: {address.clean(reason_of(error))}") from None
        if frame is None:
            raise DecodeError(f"{address.shown!r} delivers no picture that can be decoded")
        transport = {"rtsp": live.transport, "camera": "device"}.get(address.kind, address.kind)
        return _described(opened, packets, frame, (address.shown, name, kind, transport))


def pace_of(packets: list[Any], time_base: Fraction | None) -> Pace:
    """What packets (with `pts`, `dts`, `is_keyframe`), in order of decoding, tell about time."""
    if not packets:
        return Pace()
    keyframes = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    gaps = [later - earlier for earlier, later in pairwise(keyframes)]
    times = sorted(packet.pts for packet in packets if packet.pts is not None)
    steps = [later - earlier for earlier, later in pairwise(times)]
    steps = steps[:-REORDERED] or steps
    return Pace(
        len(packets),
        _timestamps(packets),
        times[0] * time_base if times and time_base else None,
        max(steps) - min(steps) > 2 + STEADY * max(steps) if len(steps) > 1 else None,
        max(gaps, default=None),
    )


def _timestamps(packets: list[Any]) -> Timestamps:
    if any(packet.pts is None for packet in packets):
        return "missing"
    order = [packet.dts for packet in packets if packet.dts is not None]
    return "not monotonic" if any(later < earlier for earlier, later in pairwise(order)) else "complete"


@contextmanager
def _open(source: SourceSettings, kind: Kind, decode: DecodeSettings, live: LiveSettings) -> Iterator[Opened]:
    address = parse_address(source.url)
    if kind == "recorded":
        with open_recording(address, decode, live) as opened:
            yield opened
        return
    try:
        with connect(address, live, decode) as connection:
            yield connection.opened
    except OutageError as error:
        raise SourceError(
            f"{address.shown!r} does not answer ({address.clean(error.reason)}): "
            f"{error.remedy or 'check its address, and that it is on'}"
        ) from None


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept of a packet."""

    pts: int | None
    dts: int | None
    is_keyframe: bool


def _read(opened: Opened) -> tuple[list[Seen], Any]:
    """The first packets, and the first frame."""
    deadline = time.monotonic() + MAX_SECONDS
    seen: list[Seen] = []
    frame: Any = None
    for packet in opened.container.demux(opened.stream):
        if packet.size:
            seen.append(Seen(packet.pts, packet.dts, bool(packet.is_keyframe)))
        if frame is None:
            frame = next(iter(_decode(opened, packet)), None)
        if len(seen) >= MAX_PACKETS or time.monotonic() > deadline:
            break
    return seen, frame


def _decode(opened: Opened, packet: Any) -> list[Any]:
    try:
        frames: list[Any] = opened.stream.codec_context.decode(packet if packet.size else None)
    except av.error.FFmpegError:
        return []
    return frames


def _described(opened: Opened, packets: list[Seen], frame: Any, named: tuple[str, str, Kind, str]) -> Probe:
    shown, name, kind, transport = named
    stream, context = opened.stream, opened.stream.codec_context
    pace = pace_of(packets, stream.time_base)
    recorded = kind == "recorded"
    info = SourceInfo(
        kind,
        size_hw=size_hw_of(frame),
        fps=stream.average_rate or None,
        frames=(stream.frames or None) if recorded else None,
        duration_seconds=duration_of(opened) if recorded else None,
        codec=str(context.name),
        start_seconds=pace.first_seconds,
    )
    return Probe(
        shown,
        name,
        info,
        _policy(kind),
        transport,
        opened.decoder(frame),
        opened.container.format.name,
        info.codec,
        context.profile,
        frame.format.name,
        (frame.height, frame.width),
        turn_of(frame) != LEVEL,
        bool(frame.interlaced_frame),
        stream.sample_aspect_ratio or Fraction(1),
        stream.time_base,
        pace,
        tuple(str(track.codec_context.name) for track in opened.container.streams.audio if track.codec_context),
    )


def _policy(kind: Kind) -> str:
    return (
        "every frame; decoding waits for the model" if kind == "recorded" else "the newest frame; late ones are dropped"
    )


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def _listed(size_hw: tuple[int, int] | None) -> list[int] | None:
    return None if size_hw is None else list(size_hw)

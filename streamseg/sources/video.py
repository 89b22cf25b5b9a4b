"""Recorded video: every container and codec that FFmpeg reads, with exact time and exact restarts."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from fractions import Fraction
from typing import Any

from ..config.sources import DecodeSettings, LiveSettings
from ..errors import DecodeError
from ..frames import Frame
from .address import Address
from .base import Kind, Position, Skipped, SourceInfo, Stop, Wanted
from .decoding import Damage, decoded_frames, read_packets
from .opening import Opened, open_video
from .pixels import upright
from .restart import find_keyframes, from_keyframe, seek_to, skip_to

__all__ = ["VideoFile"]

logger = logging.getLogger("streamseg.sources")

Alive = Callable[[], bool]


class VideoFile:
    """A video file, or one behind an HTTP URL.

    Times are the file's own: ticks of its time base, None where it has none (a bare H.264 stream). Rotation and mirroring
    that the file asks for are applied. Interlaced video is delivered as it is stored, both fields woven into one
    picture; pixels that are not square stay so. Damaged packets are passed over and counted; frames that the decoder had
    to patch are delivered. Another picture size starts another epoch.

    Args:
        address: of kind "file" or "http".
        stream_id: name of the stream.
        decode: threads and hardware.
        live: time-outs of the network, for HTTP.
    """

    kind: Kind = "recorded"

    def __init__(
        self,
        address: Address,
        stream_id: str,
        decode: DecodeSettings | None = None,
        live: LiveSettings | None = None,
    ) -> None:
        self.address = address
        self.stream_id = stream_id
        self.status = "not opened yet"
        self.heartbeat = time.monotonic()
        self._decode = decode or DecodeSettings()
        self._live = live or LiveSettings()
        self._info: SourceInfo | None = None

    def info(self) -> SourceInfo:
        """Opens the file and decodes its first frame, once. Errors as of `frames`."""
        if self._info is None:
            with self._open(lambda: True) as opened:
                self._info = self._look(opened)
        return self._info

    def frames(self, stop: Stop, *, wanted: Wanted, after: Position | None = None) -> Iterator[Frame | Skipped]:
        """As of `Source`."""
        epoch = 0 if after is None else after.epoch
        size_hw: tuple[int, int] | None = None
        with closing(self._numbered(lambda: not stop.is_set(), after)) as numbered:
            for index, decoded, time_base in numbered:
                if stop.is_set():
                    return
                epoch += size_hw not in (None, (decoded.height, decoded.width))
                size_hw = decoded.height, decoded.width
                if after is not None and index <= after.index:
                    continue
                ticks = decoded.pts if time_base else None
                verdict = wanted(index, None if ticks is None else ticks * time_base)
                if verdict == "end":
                    return
                if verdict != "keep":
                    yield Skipped(index, verdict)
                    continue
                base = None if ticks is None else time_base
                yield Frame(upright(decoded), index, self.stream_id, epoch, pts_ticks=ticks, time_base=base)

    def _open(self, alive: Alive) -> AbstractContextManager[Opened]:
        """The container; `alive` says whether anyone still wants it."""
        if self.address.kind != "http":
            return open_video(self.address, self._decode)
        connect, read = self._live.connect_timeout_seconds, self._live.read_timeout_seconds
        options = {"rw_timeout": str(int(1e6 * read)), "reconnect": "1", "reconnect_delay_max": str(int(connect))}
        return open_video(self.address, self._decode, options=options, timeout=(connect, read))

    def _numbered(self, alive: Alive, after: Position | None) -> Iterator[tuple[int, Any, Fraction]]:
        """Every decoded frame with its index and time base, from `after` itself on."""
        damage = Damage()
        try:
            if after is not None and after.pts_ticks is not None:
                with self._open(alive) as opened, closing(self._resumed(opened, alive, after, damage)) as frames:
                    first = next(frames, None)
                    if first is not None:
                        yield after.index, first, opened.stream.time_base
                        for index, frame in enumerate(frames, after.index + 1):
                            yield index, frame, opened.stream.time_base
                        return
            damage = Damage()
            with self._open(alive) as opened:
                frames = self._decoded(opened, read_packets(opened, self.address, damage, self._beating(alive)), damage)
                yield from self._counted(frames, opened, alive, 0 if after is None else after.index)
        finally:
            if damage:
                logger.warning("%s: damaged: %s", self.stream_id, damage)

    def _counted(
        self, frames: Iterator[Any], opened: Opened, alive: Alive, first: int
    ) -> Iterator[tuple[int, Any, Fraction]]:
        index = -1
        for index, frame in enumerate(frames):
            if index >= first:
                yield index, frame, opened.stream.time_base
        if index < 0 and alive():
            raise DecodeError(f"{self.address.shown!r} holds no picture that can be decoded: it is damaged or cut off")

    def _resumed(self, opened: Opened, alive: Alive, after: Position, damage: Damage) -> Iterator[Any]:
        """Frames from `after` on, by way of a keyframe; none at all where that would not be exact."""
        alive = self._beating(alive)
        keyframes = find_keyframes(read_packets(opened, self.address, damage, alive), after)
        if keyframes is None or damage or not seek_to(opened, keyframes):
            return
        begin = from_keyframe(read_packets(opened, self.address, damage, alive), keyframes)
        if begin is None:
            return
        keyframe, packets = begin
        frames = self._decoded(opened, packets, damage)
        first = skip_to(frames, keyframe, after.pts_ticks)
        if first is not None and not damage:
            yield first
            yield from frames

    def _decoded(self, opened: Opened, packets: Iterator[Any], damage: Damage) -> Iterator[Any]:
        """Frames; the first one tells who decodes them."""
        told = False
        for frame in decoded_frames(opened, packets, damage):
            if not told:
                told = True
                self.status = f"decode: {opened.decoder(frame)}"
                logger.info("%s: %s", self.stream_id, self.status)
            yield frame

    def _beating(self, alive: Alive) -> Alive:
        """`alive`, and a sign of life each time it is asked."""

        def check() -> bool:
            self.heartbeat = time.monotonic()
            return alive()

        return check

    def _look(self, opened: Opened) -> SourceInfo:
        damage = Damage()
        stream = opened.stream
        packets = read_packets(opened, self.address, damage, self._beating(lambda: True))
        first = next(self._decoded(opened, packets, damage), None)
        if first is None:
            raise DecodeError(f"{self.address.shown!r} holds no picture that can be decoded: it is damaged or cut off")
        shape = upright(first).shape
        return SourceInfo(
            kind=self.kind,
            size_hw=(shape[0], shape[1]),
            fps=stream.average_rate or None,
            frames=stream.frames or None,
            duration_seconds=duration_of(opened),
            codec=str(stream.codec_context.name),
            start_seconds=None if first.pts is None or not stream.time_base else first.pts * stream.time_base,
        )


def duration_of(opened: Opened) -> Fraction | None:
    """Seconds, as far as the container says."""
    stream, container = opened.stream, opened.container
    if stream.duration is not None and stream.duration > 0 and stream.time_base:
        return Fraction(stream.duration * stream.time_base)
    return Fraction(container.duration, 1_000_000) if container.duration and container.duration > 0 else None

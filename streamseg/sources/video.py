"""Recorded video: every container and codec that FFmpeg reads, with exact time and exact restarts."""

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from fractions import Fraction
from typing import Any

from ..config.sources import DecodeSettings, LiveSettings
from ..errors import SourceError
from ..frames import Frame
from .address import Address
from .base import Kind, Position, Skipped, SourceInfo, Stop, Wanted
from .opening import Opened, open_video
from .pixels import size_hw_of, upright
from .playback import ONE_THREAD, Alive, Numbered, Playback

__all__ = ["VideoFile", "duration_of", "open_recording"]

logger = logging.getLogger("streamseg.sources")


class VideoFile:
    """A video file, or one behind an HTTP URL.

    Times are the file's own: ticks of its time base, None where it has none (a bare H.264 stream). Rotation and
    mirroring that the file asks for are applied. Interlaced video is delivered as it is stored, both fields woven into
    one picture; pixels that are not square stay so. Damaged packets are passed over and counted; frames that the
    decoder had to patch are delivered. Another picture size starts another epoch.

    Args:
        address: of kind "file" or "http".
        stream_id: name of the stream.
        decode: threads and hardware.
        live: time-outs of the network, for HTTP.
    """

    kind: Kind = "recorded"
    reopens = True

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
            with closing(self._playback(lambda: True).frames()) as frames:
                first = next(frames)
                self._info = self._describe(first)
        return self._info

    def frames(self, stop: Stop, *, wanted: Wanted, after: Position | None = None) -> Iterator[Frame | Skipped]:
        """As of `Source`."""
        playback = self._playback(lambda: not stop.is_set())
        try:
            with closing(playback.frames(after)) as frames:
                yield from self._chosen(frames, stop, wanted, after)
        except SourceError:
            if not stop.is_set():  # else that is what an input looks like which nobody reads any more
                raise
        finally:
            if playback.damage:
                logger.warning("%s: the file is damaged: %s", self.stream_id, playback.damage)

    def _chosen(
        self, frames: Iterator[Numbered], stop: Stop, wanted: Wanted, after: Position | None
    ) -> Iterator[Frame | Skipped]:
        epoch = 0 if after is None else after.epoch
        size_hw: tuple[int, int] | None = None
        for numbered in frames:
            if stop.is_set():
                return
            self._tell(numbered)
            epoch += size_hw not in (None, size_hw_of(numbered.frame))
            size_hw = size_hw_of(numbered.frame)
            if after is not None and numbered.number <= after.index:
                continue
            verdict = wanted(numbered.number, seconds_of(numbered))
            if verdict == "end":
                return
            yield self._frame(numbered, epoch) if verdict == "keep" else Skipped(numbered.number, verdict)

    def _open(self, decode: DecodeSettings, alive: Alive) -> AbstractContextManager[Opened]:
        """The container; `alive` tells, while it is read, whether anyone still wants it."""
        del alive
        return open_recording(self.address, decode, self._live)

    def _playback(self, alive: Alive) -> Playback:
        def beating() -> bool:
            self.heartbeat = time.monotonic()
            return alive()

        return Playback(
            self.address, lambda decode: self._open(decode, alive), self._decode, beating, reopens=self.reopens
        )

    def _tell(self, numbered: Numbered) -> None:
        """Say who decodes, when that changes."""
        decoder = numbered.opened.decoder(numbered.frame)
        if self.reopens and numbered.opened.decode is ONE_THREAD:
            decoder = "cpu, with one thread (the file is damaged)"
        status = f"decode: {decoder}"
        if status != self.status:
            self.status = status
            logger.info("%s: %s", self.stream_id, status)

    def _frame(self, numbered: Numbered, epoch: int) -> Frame:
        seconds = seconds_of(numbered)
        ticks, time_base = (None, None) if seconds is None else (numbered.frame.pts, numbered.opened.stream.time_base)
        rgb = upright(numbered.frame, numbered.opened.turn_of(numbered.frame))
        return Frame(rgb, numbered.number, self.stream_id, epoch, pts_ticks=ticks, time_base=time_base)

    def _describe(self, first: Numbered) -> SourceInfo:
        stream = first.opened.stream
        return SourceInfo(
            kind=self.kind,
            size_hw=size_hw_of(first.frame),
            fps=stream.average_rate or None,
            frames=stream.frames or None,
            duration_seconds=duration_of(first.opened),
            codec=str(stream.codec_context.name),
            start_seconds=seconds_of(first),
        )


def open_recording(address: Address, decode: DecodeSettings, live: LiveSettings) -> AbstractContextManager[Opened]:
    """A file, or a URL with time-outs. Errors as of `open_video`."""
    if address.kind != "http":
        return open_video(address, decode)
    connect, read = live.connect_timeout_seconds, live.read_timeout_seconds
    options = {"rw_timeout": str(int(1e6 * read)), "reconnect": "1", "reconnect_delay_max": str(int(connect))}
    return open_video(address, decode, options=options, timeout=(connect, read))


def seconds_of(numbered: Numbered) -> Fraction | None:
    """A frame's time, exact; None where the file gives none."""
    time_base: Any = numbered.opened.stream.time_base
    return None if numbered.frame.pts is None or not time_base else Fraction(numbered.frame.pts * time_base)


def duration_of(opened: Opened) -> Fraction | None:
    """Seconds, as far as the container says."""
    stream, container = opened.stream, opened.container
    if stream.duration is not None and stream.duration > 0 and stream.time_base:
        return Fraction(stream.duration * stream.time_base)
    return Fraction(container.duration, 1_000_000) if container.duration and container.duration > 0 else None

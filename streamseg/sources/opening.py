"""Video containers opened: the right stream, the right decoder, and one clear line where that fails."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import av.error
from av.codec.hwaccel import HWAccel

from ..config.sources import DecodeSettings
from ..errors import DecodeError, SourceError
from .address import Address
from .pixels import Turn, turn_of

__all__ = ["PIPED_MP4", "Opened", "open_video", "reason_of"]

logger = logging.getLogger("streamseg.sources")

NO_VIDEO = ("tty",)  # container formats that make pictures of anything, such as text
HARDWARE_FORMATS = ("nv12", "p010le", "p016le", "yuv444p16le")  # what NVDEC's frames arrive as
PIPED_MP4 = "an MP4 whose index is at its end cannot be piped: pass the file, or pipe MKV or TS"
NVIDIA_DEVICES = "nvidia[0-9]*"


@dataclass(slots=True)
class Opened:
    """An open container. Nothing of it may be touched once it is closed.

    Attributes:
        container: of PyAV.
        stream: its video stream.
        decode: the settings it was opened with.
        hardware: "cuda" if that may decode, else "cpu" with the reason.
    """

    container: Any
    stream: Any
    decode: DecodeSettings
    hardware: str
    _turns: dict[int, Turn] = field(default_factory=dict)

    def turn_of(self, frame: Any) -> Turn:
        """How one of its frames is to be turned; looked up once for each rotation."""
        if frame.rotation not in self._turns:
            self._turns[frame.rotation] = turn_of(frame)
        return self._turns[frame.rotation]

    def decoder(self, first_frame: Any) -> str:
        """Who decodes, known once a frame is there: "cuda", or "cpu" with the reason."""
        if not self.stream.codec_context.is_hwaccel:
            return self.hardware if self.hardware != "cuda" else f"cpu (no hardware decoder for {_codec(self.stream)})"
        if first_frame.format.name in HARDWARE_FORMATS:
            return "cuda"
        return f"cpu (the hardware does not take this {_codec(self.stream)})"


@contextmanager
def open_video(
    address: Address,
    decode: DecodeSettings,
    *,
    file: Any = None,
    options: dict[str, str] | None = None,
    timeout: tuple[float, float] | None = None,
) -> Iterator[Opened]:
    """A recording, open for reading and always closed again.

    Args:
        address: what to open.
        decode: threads and hardware.
        file: an object with `read`, where the bytes do not come from the address itself.
        options: of the container.
        timeout: seconds to open it and for each read, for network input.

    Raises:
        SourceError: it cannot be opened.
        DecodeError: it holds no video that can be decoded.
    """
    _check_file(address)
    target = address.location if file is None else file
    chosen, hardware = accelerator(decode)
    container: Any = None
    if chosen is not None:
        try:
            container = av.open(target, options=options, timeout=timeout, hwaccel=chosen)
        except (av.error.FFmpegError, OSError, RuntimeError, ValueError) as error:
            hardware = f"cpu (CUDA: {reason_of(error)})"
    if container is None:
        try:
            container = av.open(target, options=options, timeout=timeout)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise _cannot_open(address, error, seekable=file is None or file.seekable()) from None
    with container:
        stream = _video_stream(container, address)
        stream.thread_type = "SLICE" if hardware == "cuda" else "AUTO"
        stream.codec_context.thread_count = decode.threads
        yield Opened(container, stream, decode, hardware)


def reason_of(error: BaseException) -> str:
    """What a library's error says, without the address that it may repeat."""
    return getattr(error, "strerror", None) or type(error).__name__


def accelerator(decode: DecodeSettings) -> tuple[HWAccel | None, str]:
    if decode.hardware == "off":
        return None, "cpu (hardware decoding is off)"
    if not any(Path("/dev").glob(NVIDIA_DEVICES)):
        return None, "cpu (no NVIDIA device)"
    return HWAccel("cuda", allow_software_fallback=True), "cuda"


def _check_file(address: Address) -> None:
    """What the library would not say clearly."""
    if address.kind != "file":
        return
    try:
        if os.path.isfile(address.location) and os.path.getsize(address.location) == 0:
            raise DecodeError(f"{address.shown!r} is empty (0 bytes), expected a video")
    except OSError as error:
        raise SourceError(f"cannot open {address.shown!r}: {error.strerror}") from None


def _cannot_open(address: Address, error: Exception, *, seekable: bool) -> SourceError:
    if not isinstance(error, av.error.InvalidDataError):
        remedy = "the address, and that it is on" if address.kind == "http" else "that the file may be read"
        return SourceError(f"cannot open {address.shown!r}: {address.clean(reason_of(error))}; check {remedy}")
    if address.kind == "pipe":
        remedy = "" if seekable else f"; {PIPED_MP4}"
        return DecodeError(f"{address.shown!r} delivers no video that can be read{remedy}")
    if address.kind == "file" and _begins_like_mp4(address.location):
        return DecodeError(
            f"{address.shown!r} has lost its index (moov): the recording was cut off before it was finished, expected "
            "a whole file: copy it again, or repair it"
        )
    return DecodeError(f"{address.shown!r} is not a video that can be read, expected MP4, MKV, AVI, TS or the like")


def _begins_like_mp4(location: str) -> bool:
    try:
        with open(location, "rb") as file:
            return file.read(8)[4:] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
    except OSError:
        return False


def _video_stream(container: Any, address: Address) -> Any:
    pictures = [stream for stream in container.streams.video if not _is_cover(stream)]
    best = container.streams.best("video")
    stream = best if best in pictures else next(iter(pictures), None)
    if stream is None or container.format.name in NO_VIDEO:
        kinds = sorted({stream.type for stream in container.streams} - {"video"})
        holds = f"only {' and '.join(kinds)}" if kinds and stream is None else "nothing that can be shown"
        raise DecodeError(f"{address.shown!r} holds no video, {holds}: expected a file with moving pictures")
    if stream.codec_context is None:
        raise DecodeError(f"{address.shown!r} is coded in a way that this build of FFmpeg has no decoder for")
    return stream


def _is_cover(stream: Any) -> bool:
    """Sound files carry a cover as a video of one picture."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _codec(stream: Any) -> str:
    return str(stream.codec_context.name)

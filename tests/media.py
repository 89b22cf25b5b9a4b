"""Small videos for tests, described as data and made on the spot: `make(tmp_path, CLIPS["h264"])`.

Every picture shows its own number (`picture`), so tests can tell frames apart after lossy compression, too.
"""

import os
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

__all__ = ["CLIPS", "Clip", "flip_bytes", "join", "make", "make_audio", "number_of", "picture", "truncate"]

BITS = 8  # a frame's number is written in so many black or white blocks along the top


@dataclass(frozen=True)
class Clip:
    """One small video file.

    Attributes:
        name: of the file; its ending chooses the container.
        codec: encoder of the video.
        size_hw: height and width as stored, before rotation.
        frames: how many.
        rate: frames a second.
        times: ticks (1/1000 s) of the frames where they are not evenly spaced.
        first_tick: of an even clock (1/rate).
        pix_fmt: pixel format.
        matrix: a, b, c, d of the display matrix (1.0 is 65536), if the file says how to turn its pictures.
        audio: whether there is a sound track.
        options: of the encoder.
        muxer: options of the container.
    """

    name: str
    codec: str = "libx264"
    size_hw: tuple[int, int] = (48, 64)
    frames: int = 24
    rate: int = 24
    times: tuple[int, ...] | None = None
    first_tick: int = 0
    pix_fmt: str = "yuv420p"
    matrix: tuple[int, int, int, int] | None = None
    audio: bool = False
    options: dict[str, str] = field(default_factory=dict)
    muxer: dict[str, str] = field(default_factory=dict)


REPEATABLE = "mbtree=0:rc-lookahead=0"  # with either of them x264 does not write the same bytes every time
X264 = {"x264-params": REPEATABLE}
B_FRAMES = X264 | {"bf": "3", "g": "8", "keyint_min": "8", "sc_threshold": "0", "crf": "10"}

CLIPS = {
    "h264": Clip("h264.mp4", options=B_FRAMES),
    "vfr": Clip("vfr.mkv", frames=8, times=(0, 40, 41, 200, 233, 1000, 1001, 5000), options=B_FRAMES),
    "late": Clip("late.ts", first_tick=24 * 3600, options=B_FRAMES),
    "rotated90": Clip("rotated90.mp4", matrix=(0, 1, -1, 0), options=X264),
    "rotated180": Clip("rotated180.mp4", matrix=(-1, 0, 0, -1), options=X264),
    "rotated270": Clip("rotated270.mp4", matrix=(0, -1, 1, 0), options=X264),
    "mirrored": Clip("mirrored.mp4", matrix=(-1, 0, 0, 1), options=X264),
    "odd": Clip("odd.mkv", codec="ffv1", size_hw=(47, 65)),
    "odd_vp9": Clip(
        "odd.webm", codec="libvpx-vp9", size_hw=(47, 65), options={"cpu-used": "8", "deadline": "realtime"}
    ),
    "ten_bit": Clip("ten_bit.mkv", codec="ffv1", pix_fmt="yuv420p10le"),
    "interlaced": Clip("interlaced.mp4", options={"x264-params": f"tff=1:{REPEATABLE}", "flags": "+ildct+ilme"}),
    "mkv": Clip("plain.mkv", options=B_FRAMES),
    "ts": Clip("plain.ts", options=B_FRAMES),
    "raw": Clip("plain.h264", options=B_FRAMES),
    "avi": Clip("plain.avi", codec="mpeg4", options={"bf": "2", "g": "8"}),
    "mpeg2": Clip("plain.mpg", codec="mpeg2video", options={"bf": "2", "g": "8"}, rate=25),
    "gif": Clip("plain.gif", codec="gif", pix_fmt="rgb8", rate=25),
    "mjpeg": Clip("mjpeg.avi", codec="mjpeg", pix_fmt="yuvj420p"),
    "sound": Clip("sound.mp4", audio=True, options=X264),
    "open_gop": Clip(
        "open_gop.ts", frames=48, options=B_FRAMES | {"x264-params": f"open-gop=1:scenecut=0:{REPEATABLE}"}
    ),
    "refresh": Clip(
        "refresh.ts", frames=48, options={"x264-params": f"intra-refresh=1:keyint=8:bframes=0:{REPEATABLE}"}
    ),
    "fragments": Clip("fragments.mp4", options=B_FRAMES, muxer={"movflags": "frag_keyframe+empty_moov"}),
    "moov_first": Clip("moov_first.mp4", options=B_FRAMES, muxer={"movflags": "faststart"}),
}


def picture(index: int, size_hw: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: the number in blocks along the top, an unsymmetrical pattern below, a square that moves."""
    height, width = size_hw
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[..., 0] = np.linspace(0, 255, width).astype(np.uint8)
    rgb[..., 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    rgb[..., 2] = 64
    for bit in range(BITS):
        rgb[: height // 4, bit * width // BITS : (bit + 1) * width // BITS] = 255 * (index >> bit & 1)
    left = 3 * index % (width - 8)
    rgb[-12:-4, left : left + 8] = (255, 200, 0)
    return rgb


def number_of(rgb: NDArray[np.uint8]) -> int:
    """The number that `picture` wrote, read from decoded pixels the right way up."""
    height, width = rgb.shape[:2]
    row = rgb[height // 8, [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]].mean(axis=1)
    return int(sum(1 << bit for bit in range(BITS) if row[bit] > 127))


def make(folder: Path, clip: Clip, **changes: Any) -> Path:
    """Write the clip into a folder and return its path; `changes` replace fields of the description."""
    clip = replace(clip, **changes)
    path = folder / clip.name
    with av.open(str(path), "w", options={"fflags": "+bitexact"} | clip.muxer) as container:
        video: Any = container.add_stream(clip.codec, rate=clip.rate, options=clip.options)
        video.height, video.width = clip.size_hw
        video.pix_fmt = clip.pix_fmt
        video.thread_count = 1
        if clip.times is not None:
            video.time_base = video.codec_context.time_base = Fraction(1, 1000)
        if clip.matrix is not None:
            a, b, c, d = (65536 * value for value in clip.matrix)
            video.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
        audio: Any = container.add_stream("aac", rate=8000) if clip.audio else None
        for index in range(clip.frames):
            frame = av.VideoFrame.from_ndarray(picture(index, clip.size_hw), "rgb24").reformat(format=clip.pix_fmt)
            frame.pts = clip.first_tick + index if clip.times is None else clip.times[index]
            frame.time_base = Fraction(1, clip.rate) if clip.times is None else Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None:
            _write_sound(container, audio, clip.frames / clip.rate)
    return path


def make_audio(path: Path) -> Path:
    """A second of sound without any picture."""
    with av.open(str(path), "w") as container:
        _write_sound(container, container.add_stream("aac", rate=8000), 1.0)
    return path


def truncate(path: Path, keep: float) -> Path:
    """Cut a file off after a share of its bytes."""
    os.truncate(path, int(path.stat().st_size * keep))
    return path


def flip_bytes(path: Path, *, start: float, stop: float, every: int) -> Path:
    """Damage every so many-th byte between two shares of a file."""
    data = bytearray(path.read_bytes())
    for position in range(int(len(data) * start), int(len(data) * stop), every):
        data[position] ^= 0xFF
    path.write_bytes(data)
    return path


def join(path: Path, *parts: Path) -> Path:
    """Files one after the other, as they are."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def _write_sound(container: Any, stream: Any, seconds: float) -> None:
    samples = np.zeros((1, int(8000 * seconds)), np.float32)
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
    container.mux(stream.encode(frame))
    container.mux(stream.encode())

"""Recorded video of every kind: what comes out, and what is said where nothing can."""

import gc
import logging
import os
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from streamseg.config.sources import DecodeSettings
from streamseg.errors import DecodeError, SourceError
from streamseg.frames import Frame
from streamseg.sources.address import parse_address
from streamseg.sources.base import Position, Skipped, Verdict, everything
from streamseg.sources.opening import Opened
from streamseg.sources.video import VideoFile
from tests.media import CLIPS, join, make, make_audio, number_of, picture, truncate

RUNNING = threading.Event()


def video(path: Path, **decode: int) -> VideoFile:
    return VideoFile(parse_address(str(path)), "clip", DecodeSettings(**decode))


def frames_of(path: Path, after: Position | None = None) -> list[Frame]:
    found = []
    for item in video(path).frames(RUNNING, wanted=everything, after=after):
        assert isinstance(item, Frame)
        found.append(item)
    return found


WHOLE = [
    name for name in CLIPS if name not in ("rotated90", "rotated180", "rotated270", "mirrored", "vfr", "raw", "refresh")
]


@pytest.mark.parametrize("name", WHOLE)
def test_every_container_and_codec(name: str, tmp_path: Path) -> None:
    clip = CLIPS[name]
    frames = frames_of(make(tmp_path, clip))
    assert [frame.index for frame in frames] == list(range(clip.frames))
    assert [number_of(frame.rgb) for frame in frames] == list(range(clip.frames))
    assert {frame.size_hw for frame in frames} == {clip.size_hw}
    assert {(frame.epoch, frame.stream_id, frame.clock) for frame in frames} == {(0, "clip", "pts")}
    seconds = [frame.pts_seconds for frame in frames]
    steps = [float(second - seconds[0]) for second in seconds if second is not None and seconds[0] is not None]
    assert steps == pytest.approx([index / clip.rate for index in range(clip.frames)], abs=0.0006)


@pytest.mark.parametrize("name", ["odd", "ten_bit", "odd_vp9", "h264", "interlaced"])
def test_pixels(name: str, tmp_path: Path) -> None:
    clip = CLIPS[name]
    for frame in frames_of(make(tmp_path, clip))[::7]:
        assert np.abs(frame.rgb.astype(int) - picture(frame.index, clip.size_hw)).mean() < 4
        assert frame.rgb.flags.c_contiguous


def test_times_are_exact(tmp_path: Path) -> None:
    times = (0, 40, 41, 200, 233, 1000, 1001, 5000)
    frames = frames_of(make(tmp_path, CLIPS["vfr"]))
    assert [(frame.pts_ticks, frame.time_base) for frame in frames] == [(ms, Fraction(1, 1000)) for ms in times]
    late = frames_of(make(tmp_path, CLIPS["late"]))
    assert [frame.pts_seconds for frame in late] == [3600 + Fraction(index, 24) for index in range(24)]


def test_no_time_is_no_time(tmp_path: Path) -> None:
    frames = frames_of(make(tmp_path, CLIPS["raw"]))
    assert [number_of(frame.rgb) for frame in frames] == list(range(24))
    assert {(frame.pts_ticks, frame.time_base) for frame in frames} == {(None, None)}


@pytest.mark.parametrize(
    ("name", "turned"),
    [
        ("rotated90", lambda rgb: np.rot90(rgb, -1)),
        ("rotated180", lambda rgb: np.rot90(rgb, 2)),
        ("rotated270", lambda rgb: np.rot90(rgb, 1)),
        ("mirrored", lambda rgb: rgb[:, ::-1]),
    ],
)
def test_rotation_is_applied_exactly(name: str, turned: object, tmp_path: Path) -> None:
    straight = frames_of(make(tmp_path, CLIPS[name], name="straight.mp4", matrix=None))
    assert callable(turned)
    path = make(tmp_path, CLIPS[name])
    for frame, before in zip(frames_of(path), straight, strict=True):
        np.testing.assert_array_equal(frame.rgb, turned(before.rgb))
    assert video(path).info().size_hw == turned(straight[0].rgb).shape[:2]


@pytest.mark.parametrize("matrix", [(0, 1, 1, 0), (0, -1, -1, 0), (1, 0, 0, -1)])
def test_all_mirrorings(matrix: tuple[int, int, int, int], tmp_path: Path) -> None:
    """Where a pixel goes is what the matrix says: (x, y) to (a x + c y, b x + d y), moved back into the picture."""
    before = frames_of(make(tmp_path, CLIPS["mirrored"], name="straight.mp4", matrix=None))[0].rgb
    after = frames_of(make(tmp_path, CLIPS["mirrored"], matrix=matrix))[0].rgb
    a, b, c, d = matrix
    height, width = before.shape[:2]
    y, x = np.mgrid[:height, :width]
    shown_x, shown_y = a * x + c * y, b * x + d * y
    expected = np.empty_like(after)
    expected[shown_y - shown_y.min(), shown_x - shown_x.min()] = before
    np.testing.assert_array_equal(after, expected)


def test_info(tmp_path: Path) -> None:
    info = video(make(tmp_path, CLIPS["h264"])).info()
    assert (info.kind, info.size_hw, info.fps, info.frames) == ("recorded", (48, 64), 24, 24)
    assert (info.duration_seconds, info.codec, info.start_seconds) == (1, "h264", 0)
    late = video(make(tmp_path, CLIPS["late"])).info()
    assert (late.start_seconds, late.frames) == (3600, None)


def test_unwanted_frames_are_counted_and_not_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converted = []
    monkeypatch.setattr(
        "streamseg.sources.video.upright",
        lambda frame, _: converted.append(frame.pts) or np.zeros((48, 64, 3), np.uint8),
    )
    asked = []

    def wanted(index: int, seconds: Fraction | None) -> Verdict:
        asked.append((index, seconds))
        return "keep" if index in (3, 10) else "end" if index == 12 else "stride" if index % 2 else "max_fps"

    items = list(video(make(tmp_path, CLIPS["h264"])).frames(RUNNING, wanted=wanted))
    assert asked == [(index, Fraction(index, 24)) for index in range(13)]
    assert len(converted) == 2
    assert [item.index for item in items] == list(range(12))
    assert items[0] == Skipped(0, "max_fps")
    assert items[1] == Skipped(1, "stride")
    assert [item.index for item in items if isinstance(item, Frame)] == [3, 10]


def test_stop_ends_it(tmp_path: Path) -> None:
    stop = threading.Event()
    seen = 0
    for _ in video(make(tmp_path, CLIPS["h264"])).frames(stop, wanted=everything):
        seen += 1
        if seen == 3:
            stop.set()
    assert seen == 3


def test_a_stop_that_is_set_already(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    assert list(video(make(tmp_path, CLIPS["h264"])).frames(stop, wanted=everything)) == []


def test_closing_closes_the_file(tmp_path: Path) -> None:
    path = make(tmp_path, CLIPS["h264"])

    def is_open() -> bool:
        return any(os.path.realpath(f"/proc/self/fd/{fd}") == str(path.resolve()) for fd in os.listdir("/proc/self/fd"))

    frames = video(path).frames(RUNNING, wanted=everything)
    next(iter(frames))
    assert is_open()
    frames.close()  # type: ignore[attr-defined]
    assert not is_open()
    frames_of(path)
    video(path).info()
    assert not is_open()


def test_another_size_is_another_epoch(tmp_path: Path) -> None:
    large = make(tmp_path, CLIPS["raw"], name="large.h264")
    small = make(tmp_path, CLIPS["raw"], name="small.h264", size_hw=(32, 96))
    frames = frames_of(join(tmp_path / "both.h264", large, small, large))
    assert [frame.index for frame in frames] == list(range(72))
    assert [(frame.epoch, frame.size_hw) for frame in frames[::24]] == [(0, (48, 64)), (1, (32, 96)), (2, (48, 64))]
    assert [number_of(frame.rgb) for frame in frames] == [*range(24)] * 3


@pytest.mark.parametrize("done", [10, 23, 24, 50])
def test_epochs_go_on(done: int, tmp_path: Path) -> None:
    large = make(tmp_path, CLIPS["ts"], name="large.ts")
    small = make(tmp_path, CLIPS["ts"], name="small.ts", size_hw=(32, 96))
    path = join(tmp_path / "both.ts", large, small, large)
    frames = frames_of(path)
    last = frames[done]
    again = frames_of(path, after=Position(last.index, last.pts_ticks, last.epoch))
    assert [(f.index, f.epoch, f.pts_ticks) for f in again] == [
        (f.index, f.epoch, f.pts_ticks) for f in frames[done + 1 :]
    ]


def test_who_decodes_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streamseg.sources")
    source = VideoFile(parse_address(str(make(tmp_path, CLIPS["h264"]))), "clip", DecodeSettings(hardware="off"))
    list(source.frames(RUNNING, wanted=everything))
    assert source.status == "decode: cpu (hardware decoding is off)"
    assert [record.getMessage() for record in caplog.records] == [f"clip: {source.status}"]


def test_hardware_that_does_not_work_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is listed and cannot be used."""
    from streamseg.sources import opening

    monkeypatch.setattr(opening, "NVIDIA_DEVICES", "null")
    source = video(make(tmp_path, CLIPS["h264"]))
    assert len(list(source.frames(RUNNING, wanted=everything))) == 24
    assert source.status.startswith(("decode: cpu (CUDA: ", "decode: cuda"))


class FakeStream:
    def __init__(self, accelerated: bool) -> None:
        self.codec_context = type("Context", (), {"is_hwaccel": accelerated, "name": "h264"})()


def a_frame(pixel_format: str) -> object:
    return type("Decoded", (), {"format": type("Format", (), {"name": pixel_format})()})()


@pytest.mark.parametrize(
    ("accelerated", "hardware", "pixel_format", "said"),
    [
        (True, "cuda", "nv12", "cuda"),
        (True, "cuda", "p010le", "cuda"),
        (True, "cuda", "yuv422p10le", "cpu (the hardware does not take this h264)"),
        (False, "cuda", "yuv420p", "cpu (no hardware decoder for h264)"),
        (False, "cpu (no NVIDIA device)", "yuv420p", "cpu (no NVIDIA device)"),
    ],
)
def test_what_decoded_shows_in_the_first_frame(accelerated: bool, hardware: str, pixel_format: str, said: str) -> None:
    opened = Opened(None, FakeStream(accelerated), DecodeSettings(), hardware)
    assert opened.decoder(a_frame(pixel_format)) == said


def test_every_number_of_threads_gives_the_same_pixels(tmp_path: Path) -> None:
    path = make(tmp_path, CLIPS["h264"], size_hw=(240, 320))
    one, four = (list(video(path, threads=threads).frames(RUNNING, wanted=everything)) for threads in (1, 4))
    for a, b in zip(one, four, strict=True):
        assert isinstance(a, Frame)
        assert isinstance(b, Frame)
        np.testing.assert_array_equal(a.rgb, b.rgb)


# What is no video.


def no_index(folder: Path) -> Path:
    return truncate(make(folder, CLIPS["h264"]), 0.5)


def nothing(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def written(name: str, content: bytes) -> object:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (no_index, "has lost its index (moov): the recording was cut off"),
        (nothing, "is empty (0 bytes), expected a video"),
        (written("a.mp4", b"hello\n" * 1000), "is not a video that can be read, expected MP4, MKV"),
        (written("a.txt", b"hello\n" * 1000), "holds no video"),
        (written("a.avi", np.random.default_rng(0).bytes(50_000)), "is not a video that can be read"),
        (written("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\nhello\n"), "holds no video, only subtitle"),
        (lambda folder: make_audio(folder / "a.m4a"), "holds no video, only audio"),
        (lambda folder: make_audio(folder / "a.aac"), "holds no video, only audio"),
    ],
    ids=["no-index", "nothing", "text", "txt", "noise", "subtitles", "m4a", "aac"],
)
def test_what_is_no_video(write: object, message: str, tmp_path: Path) -> None:
    assert callable(write)
    path = write(tmp_path)
    for act in (lambda: video(path).info(), lambda: frames_of(path)):
        with pytest.raises(DecodeError) as raised:
            act()
        assert raised.value.__cause__ is None
        assert message in str(raised.value)
        assert repr(str(path)) in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = video(make(tmp_path, CLIPS["h264"]))

    def denied(path: str, **_: object) -> object:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("av.open", denied)  # the superuser, as whom tests may run, is denied nothing
    with pytest.raises(SourceError, match=r"^cannot open '\S+': Permission denied; check that the file may be read$"):
        list(source.frames(RUNNING, wanted=everything))


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    path = make(tmp_path, CLIPS["h264"])
    source = video(path)
    path.unlink()
    with pytest.raises(SourceError, match=r"^cannot open '\S+': No such file or directory;"):
        list(source.frames(RUNNING, wanted=everything))


def test_memory_does_not_grow(tmp_path: Path) -> None:
    """Decoded pictures are let go at once: nothing waits for the garbage collector."""
    path = make(tmp_path, CLIPS["rotated90"], size_hw=(480, 640), frames=200, options={"preset": "ultrafast"})
    gc.collect()
    gc.disable()
    try:
        before = resident_bytes()
        assert sum(1 for _ in video(path, threads=1).frames(RUNNING, wanted=everything)) == 200
        grown = resident_bytes() - before
    finally:
        gc.enable()
    assert grown < 60e6  # all the pictures would take 280 MB


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


COUNTS = {"01_dog.mp4": 289, "04_coffee.mp4": 287, "05_default_juggle.mp4": 247, "bedroom.mp4": 200}


@pytest.mark.parametrize("name", COUNTS)
def test_real_clips(name: str, shared_dir: Path) -> None:
    path = shared_dir / "data" / "videos" / name
    source = video(path)
    info = source.info()
    items = list(source.frames(RUNNING, wanted=lambda index, _: "keep" if index == 100 else "stride"))
    assert len(items) == info.frames == COUNTS[name]
    kept = items[100]
    assert isinstance(kept, Frame)
    assert kept.size_hw == info.size_hw
    assert 20 < kept.rgb.mean() < 235

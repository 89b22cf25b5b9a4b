"""Overlay video: the frames' own times, parts, sound, and going on after a kill."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from streamseg.config.sinks import RotationSettings, VideoSettings
from streamseg.errors import SinkError
from streamseg.frames import Frame, FrameResult
from streamseg.sinks.base import Emission, StreamFacts
from streamseg.sinks.overlay_video import OverlayVideoSink, fitting_size, overlay_parts, overlay_path
from streamseg.sinks.video import VideoWriter, cut_video
from streamseg.vocabulary import Vocabulary

WORDS = Vocabulary.parse("car; sky:stuff")
CAMERA = Fraction(1, 90_000)
LOSSLESS = VideoSettings(quality=1, preset="ultrafast", show_labels=False, min_side=None)


def emission(
    index: int,
    *,
    ticks: int | None = None,
    time_base: Fraction | None = Fraction(1, 25),
    epoch: int = 0,
    size_hw: tuple[int, int] = (32, 48),
    shown: int | None = None,
) -> Emission:
    """A grey frame without segments, whose shade tells its number."""
    rgb = np.full((*size_hw, 3), shade(index if shown is None else shown), np.uint8)
    pts_ticks = None if time_base is None else index if ticks is None else ticks
    frame = Frame(rgb, index, "cam", epoch, pts_ticks, time_base)
    result = FrameResult.from_map(frame, np.zeros(size_hw, np.int32), (), model="m", vocabulary=WORDS)
    return Emission(result, rgb, WORDS)


def shade(index: int) -> int:
    return 20 + 5 * (index % 40)


def facts(folder: Path, **options: Any) -> StreamFacts:
    folder.mkdir(parents=True, exist_ok=True)
    return StreamFacts("cam", folder, "m", WORDS, **({"live": False, "fps": Fraction(25)} | options))


def opened(folder: Path, state: dict[str, Any] | None = None, **options: Any) -> OverlayVideoSink:
    settings = options.pop("settings", LOSSLESS)
    rotation = options.pop("rotation", None)
    sink = OverlayVideoSink(facts(folder, **options), settings, rotation)
    sink.open(state)
    return sink


def read(path: Path) -> tuple[list[int], list[Fraction]]:
    """The number that each picture's shade tells, and its time in seconds."""
    numbers, times = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            assert frame.pts is not None
            assert frame.time_base is not None
            numbers.append(round((frame.to_ndarray(format="rgb24").mean() - 20) / 5))
            times.append(frame.pts * frame.time_base)
    return numbers, times


def read_all(folder: Path) -> list[int]:
    return [number for _, _, path in overlay_parts(folder) for number in read(path)[0]]


def through_json(state: dict[str, Any]) -> dict[str, Any]:
    restored: dict[str, Any] = json.loads(json.dumps(state))
    return restored


# Times.


@pytest.mark.parametrize(
    ("ticks", "time_base"),
    [
        ([900, 4500, 8100, 30_000, 30_001, 90_000], CAMERA),
        ([0, 1, 2, 3, 9, 10], Fraction(1001, 30_000)),
        ([0, 1, 2, 3, 4, 5], Fraction(1, 12)),
        ([10**12, 10**12 + 33_333, 10**12 + 66_667], Fraction(1, 1_000_000)),
    ],
)
def test_times_are_those_of_the_frames(tmp_path: Path, ticks: list[int], time_base: Fraction) -> None:
    sink = opened(tmp_path)
    for index, tick in enumerate(ticks):
        sink.write(emission(index, ticks=tick, time_base=time_base))
    sink.close()
    numbers, times = read(tmp_path / "epoch-0" / "overlay.mp4")
    assert numbers == list(range(len(ticks)))
    assert times == [(tick - ticks[0]) * time_base for tick in ticks]


@pytest.mark.parametrize(
    ("fps", "expected"), [(Fraction(30_000, 1001), Fraction(1001, 30_000)), (None, Fraction(1, 25))]
)
def test_frames_without_times_follow_at_the_streams_rate(
    tmp_path: Path, fps: Fraction | None, expected: Fraction
) -> None:
    sink = opened(tmp_path, fps=fps)
    for index in range(4):
        sink.write(emission(index, time_base=None))
    sink.close()
    assert read(tmp_path / "epoch-0" / "overlay.mp4")[1] == [index * expected for index in range(4)]


def test_a_camera_whose_first_frame_has_no_time(tmp_path: Path) -> None:
    sink = opened(tmp_path, live=True)
    sink.write(emission(0, time_base=None))
    for index in range(1, 4):
        sink.write(emission(index, ticks=700 + 3003 * index, time_base=CAMERA))
    sink.close()
    assert read(tmp_path / "epoch-0" / "overlay.mp4")[1] == [0, 3600 * CAMERA, 6603 * CAMERA, 9606 * CAMERA]


# Files.


def test_a_finished_file_is_an_ordinary_mp4(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    for index in range(60):
        sink.write(emission(index))
    path = tmp_path / "epoch-0" / "overlay.mp4"
    assert b"moof" in path.read_bytes()
    sink.close()
    assert b"moof" not in path.read_bytes()
    assert [entry.name for entry in path.parent.iterdir()] == ["overlay.mp4"]
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 60
        assert container.streams.video[0].average_rate == 25
        assert container.duration == 60 * av.time_base // 25


def test_epochs_and_sizes_have_files_of_their_own(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    sink.write(emission(0))
    sink.write(emission(1, size_hw=(48, 32)))
    sink.write(emission(2, epoch=1))
    sink.close()
    names = [path.relative_to(tmp_path).as_posix() for _, _, path in overlay_parts(tmp_path)]
    assert names == ["epoch-0/overlay.mp4", "epoch-0/overlay-part001.mp4", "epoch-1/overlay.mp4"]
    assert read_all(tmp_path) == [0, 1, 2]


def test_no_frame_no_file(tmp_path: Path) -> None:
    opened(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_large_pictures_are_scaled_down(tmp_path: Path) -> None:
    sink = opened(tmp_path, settings=replace(LOSSLESS, max_side=64))
    sink.write(emission(0, size_hw=(100, 200)))
    sink.close()
    with av.open(str(tmp_path / "epoch-0" / "overlay.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.height, stream.width) == (32, 64)


@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        ((720, 1280), (None, None), (720, 1280)),
        ((720, 1280), (480, 640), (360, 640)),
        ((10, 20), (None, 64), (10, 20)),
        ((2, 900), (None, 90), (1, 90)),
        ((108, 192), (480, None), (324, 576)),  # by whole numbers, so that every pixel keeps its shape
        ((480, 270), (480, None), (480, 270)),
        ((108, 192), (480, 500), (108, 192)),
    ],
)
def test_fitting_size(size: tuple[int, int], limits: tuple[int | None, int | None], expected: tuple[int, int]) -> None:
    assert fitting_size(*size, *limits) == expected


def test_segments_are_drawn(tmp_path: Path) -> None:
    ids = np.zeros((64, 64), np.int32)
    ids[:, 32:] = 1

    class Car:
        id, category_id, label, isthing, score = 1, 0, "car", True, 0.9

    frame = Frame(np.full((64, 64, 3), 128, np.uint8), 0, "cam")
    result = FrameResult.from_map(frame, ids, (Car(),), model="m", vocabulary=WORDS)
    sink = opened(tmp_path)
    sink.write(Emission(result, frame.rgb, WORDS))
    sink.close()
    with av.open(str(tmp_path / "epoch-0" / "overlay.mp4")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert np.ptp(picture[20:40, 8:24].mean((0, 1))) < 6
    assert np.ptp(picture[20:40, 40:56].mean((0, 1))) > 40


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    (tmp_path / "epoch-0").write_text("in the way")
    with pytest.raises(SinkError, match=r"cannot write .*overlay\.mp4"):
        sink.write(emission(0))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_after_a_full_disk_it_goes_on(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    overlay_path(tmp_path, 0, 0).parent.mkdir()
    for _ in range(2):
        overlay_path(tmp_path, 0, 0).symlink_to("/dev/full")
        with pytest.raises(SinkError, match=r"cannot write .*overlay\.mp4: No space left on device"):
            sink.write(emission(0))
    for index in range(2, 6):
        sink.write(emission(index))
    sink.close()
    assert read_all(tmp_path) == [2, 3, 4, 5]


def test_what_was_written_before_an_error_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = opened(tmp_path)
    for index in range(5):
        sink.write(emission(index))
    with monkeypatch.context() as patched:
        patched.setattr(VideoWriter, "write", _no_space)
        with pytest.raises(SinkError, match="no space"):
            sink.write(emission(5))
    for index in range(6, 9):
        sink.write(emission(index))
    sink.close()
    assert read(overlay_path(tmp_path, 0, 0))[0] == [0, 1, 2, 3, 4]
    assert read(overlay_path(tmp_path, 0, 1))[0] == [6, 7, 8]


def _no_space(*_: Any) -> None:
    raise SinkError("no space")


# Rotation.


def test_live_parts_rotate_and_the_oldest_go(tmp_path: Path) -> None:
    rotation = RotationSettings(seconds=0.4, megabytes=None, keep=2, keep_megabytes=None)
    sink = opened(tmp_path, live=True, rotation=rotation)
    for index in range(35):
        sink.write(emission(index))
    sink.close()
    assert [number for _, number, _ in overlay_parts(tmp_path)] == [2, 3]
    assert read_all(tmp_path) == list(range(20, 35))


def test_recordings_do_not_rotate_unless_asked(tmp_path: Path) -> None:
    rotation = RotationSettings(seconds=0.2)
    for name, chosen, parts in (("live", rotation, 1), ("always", replace(rotation, when="always"), 3)):
        sink = opened(tmp_path / name, rotation=chosen)
        for index in range(15):
            sink.write(emission(index))
        sink.close()
        assert len(list(overlay_parts(tmp_path / name))) == parts
        assert read_all(tmp_path / name) == list(range(15))


# Going on after a kill.

KILLED = """
import importlib.util, json, os, signal, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("helpers", sys.argv[1])
helpers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(helpers)
folder, commit, killed, epochs = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), json.loads(sys.argv[5])
sink = helpers.opened(folder)
for index in range(killed):
    if index == commit:
        print(json.dumps(sink.state()), flush=True)
    sink.write(helpers.emission(index, epoch=epochs[index]))
if commit == killed:
    print(json.dumps(sink.state()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("commit", "killed"), [(0, 0), (0, 3), (1, 1), (1, 2), (7, 7), (7, 8), (7, 9), (7, 20)])
@pytest.mark.parametrize("second_epoch_from", [99, 8])
def test_after_a_kill_each_frame_is_there_once(
    tmp_path: Path, commit: int, killed: int, second_epoch_from: int
) -> None:
    epochs = [int(index >= second_epoch_from) for index in range(30)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, __file__, str(tmp_path), str(commit), str(killed), json.dumps(epochs)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    sink = opened(tmp_path, json.loads(done.stdout))
    for index in range(commit, 30):
        sink.write(emission(index, epoch=epochs[index]))
    sink.close()
    assert read_all(tmp_path) == list(range(30))
    assert not list(tmp_path.rglob(".*")), "nothing is left lying about"


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    for index in range(5):
        sink.write(emission(index))
    state = through_json(sink.state())
    for index in range(5, 8):  # these come again
        sink.write(emission(index))
    sink.close()
    sink = opened(tmp_path, state)
    for index in range(5, 12):
        sink.write(emission(index))
    sink.close()
    assert read_all(tmp_path) == list(range(12))


def test_an_old_part_without_its_tail(tmp_path: Path) -> None:
    """The tail is cut at every byte position of the last fragment: never a torn picture, never a frame twice."""
    sink = opened(tmp_path)
    for index in range(5):
        sink.write(emission(index))
    state = through_json(sink.state())
    path = overlay_path(tmp_path, 0, 0)
    whole = path.read_bytes()
    last = whole.rindex(b"moof") - 4
    for end in range(last, len(whole), 23):
        copy = tmp_path / "copy.mp4"
        copy.write_bytes(whole[:end])
        frames, finished = cut_video(copy)
        assert (frames, finished) == (3, False)
        assert read(copy)[0] == [0, 1, 2]
    assert state["frames"] == 5


def test_a_part_that_the_user_removed(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    for index in range(5):
        sink.write(emission(index))
    state = through_json(sink.state())
    overlay_path(tmp_path, 0, 0).unlink()
    sink = opened(tmp_path, state)
    for index in range(5, 8):
        sink.write(emission(index))
    sink.close()
    assert read_all(tmp_path) == [5, 6, 7]


def test_times_go_on_after_a_kill(tmp_path: Path) -> None:
    times = [0, 3003, 6006, 50_000, 53_003, 56_006]
    sink = opened(tmp_path)
    for index in range(4):
        sink.write(emission(index, ticks=times[index], time_base=CAMERA))
    sink = opened(tmp_path, through_json(sink.state()))
    for index in range(4, 6):
        sink.write(emission(index, ticks=times[index], time_base=CAMERA))
    sink.close()
    assert read(overlay_path(tmp_path, 0, 0)) == ([0, 1, 2], [0, 3003 * CAMERA, 6006 * CAMERA])
    assert read(overlay_path(tmp_path, 0, 1)) == ([3, 4, 5], [0, 3003 * CAMERA, 6006 * CAMERA])


# Sound.


def recording(path: Path, codec: str | None, seconds: int = 2) -> Path:
    """A video whose sound is silent, save for a second that begins at 0.5 s."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        sound: Any = container.add_stream(codec, rate=8000, layout="mono") if codec else None
        for index in range(25 * seconds):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 48, 3), np.uint8), "rgb24")))
            if sound is not None:
                at = np.arange(index * 320, index * 320 + 320)
                wave = np.where((at >= 4000) & (at < 12_000), 12_000 * np.sin(at * 0.5), 0).astype(np.int16)[None]
                frame = av.AudioFrame.from_ndarray(wave, "s16", "mono")
                frame.sample_rate, frame.pts, frame.time_base = 8000, index * 320, Fraction(1, 8000)
                container.mux(sound.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            container.mux(sound.encode(None))
    return path


def loudness(path: Path) -> npt.NDArray[np.float64]:
    """Mean amplitude of each 0.1 s."""
    rate, samples = 8000, [np.zeros(0)]
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            assert frame.pts is not None
            assert frame.time_base is not None
            wave = frame.to_ndarray().astype(float).ravel()
            gap = round(frame.pts * frame.time_base * rate) - sum(map(len, samples))
            samples.append(np.concatenate((np.zeros(max(0, gap)), wave / (1 if np.abs(wave).max() <= 1.5 else 32768))))
    heard = np.abs(np.concatenate(samples))
    return np.array([heard[start : start + 800].mean() for start in range(0, len(heard) - 799, 800)])


@pytest.mark.parametrize(
    ("name", "codec", "kept"), [("a.mp4", "aac", "aac"), ("a.mkv", "flac", "flac"), ("a.mov", "pcm_s16le", "aac")]
)
def test_sound_of_the_span_that_is_shown(tmp_path: Path, name: str, codec: str, kept: str) -> None:
    source = recording(tmp_path / name, codec)
    sink = opened(tmp_path / "out", settings=replace(LOSSLESS, audio=True), recording=source)
    for index in range(10, 35):  # 0.4 s to 1.4 s
        sink.write(emission(index))
    sink.close()
    path = overlay_path(tmp_path / "out", 0, 0)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name == kept
        assert container.duration is not None
        assert container.duration / av.time_base == pytest.approx(1.0, abs=0.15)
    heard = loudness(path)
    assert heard[0] < 0.1
    assert (heard[2:9] > 0.1).all()
    assert len(read(path)[0]) == 25


@pytest.mark.parametrize("codec", [None, "missing"])
def test_no_sound_is_fine(tmp_path: Path, codec: str | None, caplog: pytest.LogCaptureFixture) -> None:
    source = tmp_path / "a.mp4" if codec == "missing" else recording(tmp_path / "a.mp4", codec)
    sink = opened(tmp_path / "out", settings=replace(LOSSLESS, audio=True), recording=source)
    for index in range(5):
        sink.write(emission(index))
    sink.close()
    assert read_all(tmp_path / "out") == [0, 1, 2, 3, 4]
    assert ("stays silent" in caplog.text) == (codec == "missing")


def test_sound_of_a_resumed_video(tmp_path: Path) -> None:
    source = recording(tmp_path / "a.mp4", "aac")
    options: dict[str, Any] = {"settings": replace(LOSSLESS, audio=True), "recording": source}
    sink = opened(tmp_path / "out", **options)
    for index in range(25):
        sink.write(emission(index))
    sink = opened(tmp_path / "out", through_json(sink.state()), **options)
    for index in range(25, 50):
        sink.write(emission(index))
    sink.close()
    first, second = (loudness(overlay_path(tmp_path / "out", 0, number)) for number in (0, 1))
    assert first[2] < 0.1 < first[7]
    assert second[8] < 0.1 < second[2]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_without_space_to_finish_the_fragments_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = opened(tmp_path)
    for index in range(5):
        sink.write(emission(index))
    os.symlink("/dev/full", tmp_path / "epoch-0" / ".overlay.whole.mp4")
    sink.close()
    assert "stays in fragments" in caplog.text
    assert read_all(tmp_path) == [0, 1, 2, 3, 4]

"""Video files: every picture, exact time, and playable after a kill."""

import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from streamseg.errors import ConfigError, SinkError
from streamseg.sinks.video import KEYFRAME_SECONDS, VideoWriter

Picture = npt.NDArray[np.uint8]
PAL, NTSC = Fraction(25), Fraction(30_000, 1001)

every_container = pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])


def shades(count: int, size_hw: tuple[int, int] = (32, 48)) -> list[Picture]:
    """Gray pictures that can be told apart."""
    return [np.full((*size_hw, 3), 20 + 200 * index // max(1, count - 1), np.uint8) for index in range(count)]


def write(path: Path, pictures: list[Picture], fps: Fraction = PAL, **options: int) -> Path:
    with VideoWriter(path, fps, **options) as writer:
        for picture in pictures:
            writer.write(picture)
    return path


def read(path: Path) -> tuple[list[Picture], list[Fraction], Fraction]:
    """Pictures, their times, and the rate."""
    pictures, times = [], []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for frame in container.decode(stream):
            assert frame.pts is not None
            pictures.append(frame.to_ndarray(format="rgb24").astype(np.uint8))
            times.append(Fraction(frame.pts) * frame.time_base)
        assert stream.average_rate is not None
        return pictures, times, stream.average_rate


@every_container
@pytest.mark.parametrize("count", [1, 2, 7, 120])
def test_every_picture_is_there(tmp_path: Path, suffix: str, count: int) -> None:
    written = shades(count)
    pictures, _, _ = read(write(tmp_path / f"video{suffix}", written))
    assert len(pictures) == count
    for picture, expected in zip(pictures, written, strict=True):
        assert abs(picture.mean() - expected.mean()) < 3


@every_container
@pytest.mark.parametrize("fps", [PAL, NTSC, Fraction(24_000, 1001), Fraction(25, 2), Fraction(1, 3), Fraction(120)])
def test_time_is_exact_and_starts_at_zero(tmp_path: Path, suffix: str, fps: Fraction) -> None:
    _, times, rate = read(write(tmp_path / f"video{suffix}", shades(9), fps))
    assert rate == fps
    rounding = Fraction(1, 2000) if suffix == ".mkv" else 0  # Matroska counts milliseconds
    assert all(abs(time - index / fps) <= rounding for index, time in enumerate(times))


@pytest.mark.parametrize("size_hw", [(33, 47), (32, 47), (33, 48), (1, 1)])
def test_odd_sizes_repeat_their_edge(tmp_path: Path, size_hw: tuple[int, int]) -> None:
    picture = np.zeros((*size_hw, 3), np.uint8)
    picture[-1], picture[:, -1] = 200, 200
    (read_back,), _, _ = read(write(tmp_path / "odd.mp4", [picture], quality=1))
    assert read_back.shape == (size_hw[0] + size_hw[0] % 2, size_hw[1] + size_hw[1] % 2, 3)
    assert abs(read_back[-1].mean() - 200) < 20
    assert abs(read_back[:, -1].mean() - 200) < 20


def test_colours_keep_their_places(tmp_path: Path) -> None:
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:] = (200, 60, 20)
    (read_back,), _, _ = read(write(tmp_path / "red.mp4", [picture]))
    np.testing.assert_allclose(read_back.mean((0, 1)), (200, 60, 20), atol=5)


def test_the_conversion_of_colours_is_written_down(tmp_path: Path) -> None:
    with av.open(str(write(tmp_path / "video.mp4", shades(2)))) as container:
        frame = next(container.decode(video=0))
    assert int(frame.colorspace) == 6  # SMPTE 170M, as BT.601


def test_quality_costs_bytes(tmp_path: Path) -> None:
    noise = [np.random.default_rng(index).integers(0, 256, (64, 64, 3)).astype(np.uint8) for index in range(5)]
    sizes = [write(tmp_path / f"{q}.mp4", noise, quality=q).stat().st_size for q in (10, 30, 50)]
    assert sizes == sorted(sizes, reverse=True)


# A writer that is killed.

KILLED = """
import os, signal, sys
from fractions import Fraction
import numpy as np
from streamseg.sinks.video import VideoWriter
rng = np.random.default_rng(0)
writer = VideoWriter(sys.argv[1], Fraction(10))
for index in range(int(sys.argv[2])):
    picture = rng.integers(0, 40, (48, 64, 3)).astype(np.uint8)
    writer.write(picture + np.uint8(2 * (index % 100)))
os.kill(os.getpid(), signal.SIGKILL)
"""


@every_container
def test_what_a_killed_writer_leaves_plays(tmp_path: Path, suffix: str) -> None:
    path, count = tmp_path / f"killed{suffix}", 120
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), str(count)], capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pictures, times, _ = read(path)
    # The encoder looks some pictures ahead, and two fragments may be open.
    assert count - 10 * 2 * KEYFRAME_SECONDS - 30 <= len(pictures) <= count
    assert [round(float(time) * 10) for time in times] == list(range(len(pictures)))
    for index, picture in enumerate(pictures):
        assert abs(picture.mean() - (19.5 + 2 * (index % 100))) < 4


# What cannot be.


@pytest.mark.parametrize("name", ["video.avi", "video", "video.mp4.gz"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"video file '.*{name}': expected a name that ends in .mp4, .mkv, .mov"):
        VideoWriter(tmp_path / name, PAL)


def test_upper_case_endings_are_fine(tmp_path: Path) -> None:
    assert len(read(write(tmp_path / "VIDEO.MP4", shades(3)))[0]) == 3


@every_container
def test_a_place_that_cannot_be_written(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(SinkError, match=r"cannot write .*nowhere.*: No such file or directory; check the place"):
        write(tmp_path / "nowhere" / f"video{suffix}", shades(1))


def test_one_size_for_all(tmp_path: Path) -> None:
    pictures = [*shades(1, (32, 48)), *shades(1, (32, 64))]
    with pytest.raises(ConfigError, match=r"64x32 for .*video.mp4, whose first was 48x32: .*start another file"):
        write(tmp_path / "video.mp4", pictures)


def test_after_an_error_what_was_written_plays(tmp_path: Path) -> None:
    def run() -> None:
        with VideoWriter(tmp_path / "video.mp4", PAL) as writer:
            for picture in shades(5):
                writer.write(picture)
            raise RuntimeError("the segmenter fell over")

    with pytest.raises(RuntimeError, match="fell over"):
        run()
    assert len(read(tmp_path / "video.mp4")[0]) == 5


def test_no_picture_no_file(tmp_path: Path) -> None:
    assert not write(tmp_path / "video.mp4", []).exists()


def test_closed_is_closed(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "video.mp4", PAL)
    writer.write(shades(1)[0])
    writer.close()
    writer.close()
    with pytest.raises(SinkError, match="is closed, expected no more pictures"):
        writer.write(shades(1)[0])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(tmp_path: Path) -> None:
    os.symlink("/dev/full", tmp_path / "full.mkv")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    with pytest.raises(SinkError, match=r"cannot write .*full.mkv: No space left on device"):
        write(tmp_path / "full.mkv", [noise] * 60, quality=1)

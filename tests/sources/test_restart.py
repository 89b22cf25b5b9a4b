"""A recording that goes on after any of its frames delivers exactly the frames that come after it."""

import logging
import threading
from pathlib import Path

import numpy as np
import pytest

from streamseg.frames import Frame
from streamseg.sources import playback
from streamseg.sources.address import parse_address
from streamseg.sources.base import Position, everything
from streamseg.sources.restart import find_keyframes
from streamseg.sources.video import VideoFile
from tests.media import CLIPS, flip_bytes, join, make, truncate

RUNNING = threading.Event()
SEEKABLE = (
    "h264",
    "late",
    "odd",
    "ten_bit",
    "mkv",
    "ts",
    "avi",
    "mpeg2",
    "mjpeg",
    "open_gop",
    "fragments",
    "moov_first",
)


def frames_of(path: Path, after: Position | None = None) -> list[Frame]:
    source = VideoFile(parse_address(str(path)), "clip")
    return [item for item in source.frames(RUNNING, wanted=everything, after=after) if isinstance(item, Frame)]


def position(frame: Frame) -> Position:
    return Position(frame.index, frame.pts_ticks, frame.epoch)


def check_restarts(path: Path, every: int = 1) -> None:
    """Go on after each frame in turn, and compare with what an uninterrupted run delivered."""
    whole = frames_of(path)
    assert whole
    for last in whole[::every]:
        rest = frames_of(path, position(last))
        assert [(f.index, f.pts_ticks, f.epoch) for f in rest] == [
            (f.index, f.pts_ticks, f.epoch) for f in whole[last.index + 1 :]
        ]
        for again, before in zip(rest, whole[last.index + 1 :], strict=True):
            np.testing.assert_array_equal(again.rgb, before.rgb)


@pytest.fixture
def seeks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each restart began at a keyframe in the end."""
    found: list[bool] = []
    skip_to = playback.skip_to

    def counted(*args: object) -> object:
        frame = skip_to(*args)  # type: ignore[arg-type]
        found.append(frame is not None)
        return frame

    monkeypatch.setattr(playback, "skip_to", counted)
    return found


@pytest.mark.parametrize("name", CLIPS)
def test_after_every_frame(name: str, tmp_path: Path, seeks: list[bool]) -> None:
    check_restarts(make(tmp_path, CLIPS[name]), every=1 if name in SEEKABLE else 5)
    if name in SEEKABLE:
        assert sum(seeks) >= 12, "restarts began at the beginning: exact, but slow"
        assert all(seeks)


def test_long_groups_of_pictures(tmp_path: Path, seeks: list[bool]) -> None:
    options = CLIPS["h264"].options | {"g": "40", "keyint_min": "40", "bf": "5"}
    check_restarts(make(tmp_path, CLIPS["mkv"], frames=120, options=options), every=3)
    assert len(seeks) == sum(seeks) == 26  # of 40; the others are in the first two groups


def test_without_real_keyframes_it_begins_at_the_beginning(tmp_path: Path, seeks: list[bool]) -> None:
    check_restarts(make(tmp_path, CLIPS["refresh"]), every=3)
    assert not all(seeks)


def test_times_that_come_twice(tmp_path: Path) -> None:
    """Two recordings in one file: a time says nothing about a place."""
    part = make(tmp_path, CLIPS["ts"], name="part.ts")
    check_restarts(join(tmp_path / "twice.ts", part, part), every=5)


def test_a_position_without_time(tmp_path: Path) -> None:
    path = make(tmp_path, CLIPS["h264"])
    assert [frame.index for frame in frames_of(path, Position(20, None))] == [21, 22, 23]


def test_a_time_that_is_not_in_the_file(tmp_path: Path) -> None:
    path = make(tmp_path, CLIPS["h264"])
    assert [frame.index for frame in frames_of(path, Position(20, 3))] == [21, 22, 23]


def test_after_the_last_frame(tmp_path: Path) -> None:
    path = make(tmp_path, CLIPS["h264"])
    assert frames_of(path, position(frames_of(path)[-1])) == []


class Packet:
    def __init__(self, pts: int | None, dts: int | None, is_keyframe: bool = False) -> None:
        self.pts, self.dts, self.is_keyframe = pts, dts, is_keyframe
        self.pos, self.size = dts, 100


def test_reading_ahead_ends_soon_after_the_frame() -> None:
    def endless() -> object:
        number = 0
        while True:
            assert number < 40
            yield Packet(number, number, number % 5 == 0)
            number += 1

    found = find_keyframes(endless(), Position(12, 12))  # type: ignore[arg-type]
    assert found is not None
    assert [keyframe.pts for keyframe in found] == [0, 5]


@pytest.mark.parametrize(
    "packets",
    [
        [Packet(None, n, n % 3 == 0) for n in range(20)],
        [Packet(n // 2, n, n % 3 == 0) for n in range(20)],
        [Packet(n + 1, n, n % 3 == 0) for n in range(20)],
        [Packet(n, n, n == 0) for n in range(20)],
    ],
    ids=["no times", "times twice", "another number", "one keyframe"],
)
def test_what_numbers_cannot_be_told_from(packets: list[Packet]) -> None:
    assert find_keyframes(iter(packets), Position(8, 8)) is None


# Damage.

LARGE = {"size_hw": (144, 192), "frames": 72}


def flipped(folder: Path, name: str, **where: float) -> Path:
    path = make(folder, CLIPS[name], **LARGE)
    return flip_bytes(path, **{"start": 0.2, "stop": 0.7, "every": 401} | where)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["moov_first", "ts", "mkv", "avi", "mpeg2", "mjpeg"])
def test_damage_is_passed_over_the_same_way_every_time(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = flipped(tmp_path, name)
    first = frames_of(path)
    assert len(first) > 36
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "the file is damaged: " in warnings[0]
    for _ in range(3):
        again = frames_of(path)
        assert [frame.pts_ticks for frame in again] == [frame.pts_ticks for frame in first]
        assert all((a.rgb == b.rgb).all() for a, b in zip(again, first, strict=True))


@pytest.mark.parametrize("name", ["moov_first", "ts", "mkv"])
def test_damaged_files_go_on_exactly(name: str, tmp_path: Path) -> None:
    check_restarts(flipped(tmp_path, name), every=5)


@pytest.mark.parametrize("name", ["moov_first", "ts", "mkv", "avi"])
def test_heavy_damage_costs_no_more_than_it_hits(name: str, tmp_path: Path) -> None:
    path = flipped(tmp_path, name, start=0.4, stop=0.6, every=3)
    frames = frames_of(path)
    assert 36 <= len(frames) < 72
    assert [frame.index for frame in frames] == list(range(len(frames)))


@pytest.mark.parametrize("name", ["moov_first", "ts", "mkv", "avi"])
def test_a_file_that_was_cut_off(name: str, tmp_path: Path) -> None:
    path = make(tmp_path, CLIPS[name], **LARGE)
    whole = frames_of(path)
    frames = frames_of(truncate(path, 0.5))
    assert 12 < len(frames) < 60
    for frame, before in zip(frames[:10], whole[:10], strict=True):
        np.testing.assert_array_equal(frame.rgb, before.rgb)


def test_whole_files_say_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames_of(make(tmp_path, CLIPS["h264"]))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]

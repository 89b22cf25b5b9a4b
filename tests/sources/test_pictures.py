"""Pictures as a stream, and worlds as one."""

import itertools
import logging
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streamseg.errors import DecodeError, SourceError
from streamseg.frames import Frame
from streamseg.sources.base import Position, Skipped, Source, everything
from streamseg.sources.pictures import Pictures
from streamseg.sources.world import WorldSource, parse_world

RUNNING = threading.Event()


def write(folder: Path, count: int = 5, size: tuple[int, int] = (32, 24)) -> list[Path]:
    paths = [folder / f"{index}.png" for index in range(count)]
    for index, path in enumerate(paths):
        Image.new("RGB", size, (index, 0, 0)).save(path)
    return paths


def items_of(source: Source, after: Position | None = None) -> list[Frame | Skipped]:
    return list(source.frames(RUNNING, wanted=everything, after=after))


def test_pictures(tmp_path: Path) -> None:
    source = Pictures(write(tmp_path), "folder")
    frames = items_of(source)
    assert [(f.index, int(f.rgb[0, 0, 0])) for f in frames if isinstance(f, Frame)] == [(n, n) for n in range(5)]
    for frame in frames:
        assert isinstance(frame, Frame)
        assert (frame.stream_id, frame.epoch, frame.pts_seconds, frame.captured_at) == ("folder", 0, None, None)
    info = source.info()
    assert (info.kind, info.size_hw, info.fps, info.frames, info.duration_seconds) == (
        "recorded",
        (24, 32),
        None,
        5,
        None,
    )


def test_damaged_pictures_are_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = write(tmp_path)
    paths[0].write_bytes(b"no picture")
    paths[2].write_bytes(paths[2].read_bytes()[:40])
    paths[3].unlink()
    source = Pictures(paths, "folder")
    items = items_of(source)
    assert [item.index for item in items] == [0, 1, 2, 3, 4]
    assert [item for item in items if isinstance(item, Skipped)] == [Skipped(n, "damaged") for n in (0, 2, 3)]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.partition(" is passed over: ")[0] for line in warnings] == [f"folder: picture {n}" for n in (0, 2, 3)]
    assert source.info().size_hw == (24, 32)


def test_not_one_that_can_be_read(tmp_path: Path) -> None:
    paths = write(tmp_path, 3)
    for path in paths:
        path.write_bytes(b"no picture")
    source = Pictures(paths, "folder")
    with pytest.raises(DecodeError, match=r"none of the pictures can be read; .*2\.png"):
        items_of(source)
    assert source.info().size_hw is None


def test_a_single_picture_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"no picture")
    with pytest.raises(DecodeError, match="is not a picture that can be read"):
        items_of(Pictures([path], "a"))
    path.unlink()
    with pytest.raises(SourceError, match="cannot open"):
        items_of(Pictures([path], "a"))


def test_unwanted_pictures_are_not_opened(tmp_path: Path) -> None:
    paths = write(tmp_path)
    for index in (1, 3, 4):
        paths[index].unlink()
    source = Pictures(paths, "folder")
    items = source.frames(RUNNING, wanted=lambda n, _: "end" if n == 4 else "stride" if n % 2 else "keep")
    assert [(item.index, isinstance(item, Frame)) for item in items] == [(0, True), (1, False), (2, True), (3, False)]


@pytest.mark.parametrize("done", range(8))
def test_other_sizes_are_other_epochs_and_go_on(done: int, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    large, small = write(tmp_path / "a", 3), write(tmp_path / "b", 2, (16, 16))
    paths = [*large, *small, *large]
    paths.insert(4, tmp_path / "missing.png")
    whole = items_of(Pictures(paths, "folder"))
    assert [item.epoch for item in whole if isinstance(item, Frame)] == [0, 0, 0, 1, 1, 2, 2, 2]
    last = [item for item in whole if isinstance(item, Frame)][done]
    rest = items_of(Pictures(paths, "folder"), Position(last.index, None, last.epoch))
    expected = whole[last.index + 1 :]
    assert [(i.index, getattr(i, "epoch", None)) for i in rest] == [
        (i.index, getattr(i, "epoch", None)) for i in expected
    ]


def test_stop_ends_pictures(tmp_path: Path) -> None:
    stop = threading.Event()
    frames = Pictures(write(tmp_path), "folder").frames(stop, wanted=everything)
    next(iter(frames))
    stop.set()
    assert list(frames) == []


# Worlds.

NAME = "world:seed=3,size=56x32,seconds=0.4,fps=30000/1001"


def test_a_world() -> None:
    world = parse_world(NAME)
    source = WorldSource(world, "scene")
    frames = [item for item in items_of(source) if isinstance(item, Frame)]
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.pts_seconds for frame in frames] == [n * Fraction(1001, 30_000) for n in range(12)]
    np.testing.assert_array_equal(frames[5].rgb, world.frame(5).rgb)
    info = source.info()
    assert (info.size_hw, info.fps, info.frames, info.start_seconds) == ((32, 56), Fraction(30_000, 1001), 12, 0)
    assert info.duration_seconds == 12 * Fraction(1001, 30_000)


def test_a_world_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    source = WorldSource(parse_world(NAME), "scene")
    whole = items_of(source)
    rendered: list[int] = []
    frame = type(source.world).frame
    monkeypatch.setattr(
        type(source.world), "frame", lambda self, index: (rendered.append(index), frame(self, index))[1]
    )
    rest = source.frames(RUNNING, wanted=lambda n, _: "keep" if n % 2 else "stride", after=Position(6, 6, epoch=2))
    for item in rest:
        if isinstance(item, Frame):
            same = whole[item.index]
            assert isinstance(same, Frame)
            assert item.epoch == 2
            np.testing.assert_array_equal(item.rgb, same.rgb)
    assert rendered == [7, 9, 11]


def test_a_world_without_end() -> None:
    source = WorldSource(parse_world("world:size=56x32"), "scene")
    assert (source.info().frames, source.info().duration_seconds) == (None, None)
    stop = threading.Event()
    frames = source.frames(stop, wanted=everything)
    assert [item.index for item in itertools.islice(frames, 3)] == [0, 1, 2]
    stop.set()
    assert list(frames) == []

from dataclasses import replace
from pathlib import Path

import pytest

from streamseg.config.sinks import JsonlSettings, RotationSettings
from streamseg.errors import ConfigError, SinkError
from streamseg.sinks.base import Sink, StreamFacts
from streamseg.sinks.epochs import EpochFolders, block_bytes
from streamseg.sinks.jsonl import JsonlSink
from streamseg.sinks.panoptic_png import PanopticPngSink
from streamseg.sinks.rotation import (
    Parts,
    active_rotation,
    part_number,
    part_path,
    should_rotate,
    stream_seconds,
    surplus,
)
from streamseg.sinks.segment_masks import SegmentMasksSink
from streamseg.sinks.tracks import TracksSink
from tests.sinks.small_stream import NOON, emission, facts, stream, tree

NEVER_FULL = RotationSettings(when="always", seconds=None, megabytes=None, keep=None, keep_megabytes=None)


@pytest.mark.parametrize(
    ("when", "live", "applies"),
    [
        ("live", True, True),
        ("live", False, False),
        ("always", True, True),
        ("always", False, True),
        ("never", True, False),
        ("never", False, False),
    ],
)
def test_which_inputs_are_cut(when: str, live: bool, applies: bool) -> None:
    rotation = RotationSettings(when=when)  # type: ignore[arg-type]
    assert active_rotation(rotation, live=live) == (rotation if applies else None)


def test_by_default_live_streams_are_cut_and_bounded() -> None:
    rotation = active_rotation(None, live=True)
    assert rotation is not None
    assert None not in (rotation.seconds, rotation.megabytes, rotation.keep, rotation.keep_megabytes)
    assert active_rotation(None, live=False) is None


@pytest.mark.parametrize(
    ("seconds", "megabytes", "at_seconds", "size", "rotates"),
    [
        (None, None, 1e9, 10**15, False),
        (10, None, 9.99, 10**15, False),
        (10, None, 10, 0, True),
        (10, None, -9.99, 0, False),
        (10, None, -10, 0, True),  # a clock that was set back must not make a part without end
        (None, 1, 1e9, 1_000_000, False),
        (None, 1, 0, 1_000_001, True),
        (10, 1, 3, 2_000_000, True),
        (10, 1, 30, 2, True),
    ],
)
def test_when_a_part_is_full(
    seconds: float | None, megabytes: float | None, at_seconds: float, size: int, rotates: bool
) -> None:
    rotation = replace(NEVER_FULL, seconds=seconds, megabytes=megabytes)
    assert should_rotate(rotation, size=size, seconds=at_seconds) is rotates


@pytest.mark.parametrize(
    ("keep", "keep_megabytes", "sizes", "gone"),
    [
        (None, None, [10**9] * 5, 0),
        (3, None, [1, 1, 1], 0),
        (3, None, [1, 1, 1, 1, 1], 2),
        (None, 2, [1_000_000] * 2, 0),
        (None, 2, [1_000_000] * 2 + [1], 1),
        (None, 2, [1, 3_000_000], 1),
        (None, 1e-6, [1, 1, 1], 2),
        (3, 2, [1_000_000] * 5, 3),
        (1, 2, [1_000_000] * 5, 4),
        (3, 2, [], 0),
    ],
)
def test_which_parts_have_to_go(keep: int | None, keep_megabytes: float | None, sizes: list[int], gone: int) -> None:
    assert surplus(replace(NEVER_FULL, keep=keep, keep_megabytes=keep_megabytes), sizes) == gone


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("records.jsonl", "records.000007.jsonl"),
        ("panoptic", "panoptic.000007"),
        ("my.records.jsonl", "my.records.000007.jsonl"),
    ],
)
def test_names_of_parts(name: str, part: str) -> None:
    assert part_path(Path("out", name), 7) == Path("out", part)
    assert part_number(Path("out", part)) == 7
    assert part_number(Path("out", name)) is None
    assert part_number(part_path(Path(name), 12_345_678)) == 12_345_678


def test_the_time_of_a_frame() -> None:
    assert stream_seconds(emission(3).result) == pytest.approx(0.12)
    assert stream_seconds(emission(3, captured_at=NOON).result) == NOON.timestamp()
    assert stream_seconds(replace(emission(3).result, pts_ticks=None)) is None


def test_parts_are_counted_from_their_first_frame() -> None:
    parts = Parts(replace(NEVER_FULL, seconds=10))
    assert not parts.due(1, 100.0)
    parts.add(1, None)  # a stream whose first frame has no time
    assert not parts.due(1, 100.0)
    parts.add(1, 100.0)
    assert not parts.due(1, 109.9)
    assert not parts.due(1, None)
    assert parts.due(1, 110.0)
    assert parts.finish() == []
    assert not parts.due(1, 110.0)
    assert parts.finished == 1


def test_a_frame_that_is_larger_than_a_part_has_one_of_its_own() -> None:
    parts = Parts(replace(NEVER_FULL, megabytes=1))
    assert not parts.due(5_000_000, 0.0)
    parts.add(5_000_000, 0.0)
    assert parts.due(1, 0.0)


def test_parts_without_a_limit_are_not_remembered() -> None:
    parts = Parts(replace(NEVER_FULL, megabytes=1))
    for _ in range(100):
        parts.add(1, 0.0)
        assert parts.finish() == []
    assert parts.state()["kept"] == []


def test_a_state_is_as_good_as_the_parts_themselves() -> None:
    parts, again = (Parts(replace(NEVER_FULL, seconds=5, keep=2)) for _ in range(2))
    for step in range(40):
        seconds = step * 1.5
        again.restore(parts.state())
        assert again.due(10, seconds) is parts.due(10, seconds)
        if parts.due(10, seconds):
            assert again.finish() == parts.finish()
        parts.add(10, seconds)
    assert parts.finished == 9


@pytest.mark.parametrize(
    ("name", "value"), [("seconds", 0.0), ("megabytes", -1.0), ("keep", 0), ("keep_megabytes", 0.0)]
)
def test_limits_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"rotation\.{name}"):
        RotationSettings(**{name: value})  # type: ignore[arg-type]


TINY = RotationSettings(seconds=None, megabytes=0.02, keep=None, keep_megabytes=0.06)


@pytest.mark.parametrize("kind", ["jsonl", "png", "masks", "tracks"])
def test_a_disk_never_fills(tmp_path: Path, kind: str) -> None:
    of = facts(tmp_path, live=True)
    sink = bounded_sink(kind, of)
    sink.open(None)
    largest, written = 0, 0
    for index in range(300):
        sink.write(emission(index, epoch=index // 40))
        if index % 10 == 9:
            largest = max(largest, on_disk(tmp_path))
            written = index
    sink.close()
    assert written == 299
    assert 50_000 < largest <= 80_000 + 2 * 4096  # parts that are kept and the current one, and the folders' own blocks
    assert len(list(tmp_path.glob("epoch-*"))) < 8
    newest = {"jsonl": b'"frame":299', "tracks": b'"id":300', "png": b'"frame":299'}.get(kind)
    assert newest is None or any(newest in content for content in tree(tmp_path).values())


def bounded_sink(kind: str, of: StreamFacts) -> Sink:
    if kind == "jsonl":
        return JsonlSink(of, JsonlSettings(), TINY)
    if kind == "tracks":
        return TracksSink(of, TINY)
    return PanopticPngSink(of, TINY) if kind == "png" else SegmentMasksSink(of, TINY)


def on_disk(folder: Path) -> int:
    """Bytes as the sink counts them: pictures take whole blocks, and so do the folders of frames."""
    total = 0
    for path in folder.rglob("*"):
        if path.is_file():
            size = path.stat().st_size
            total += block_bytes(size) if path.suffix == ".png" else size
        elif path.name.isdigit():
            total += block_bytes(1)
    return total


def test_a_part_that_cannot_be_begun_leaves_the_old_one(tmp_path: Path) -> None:
    """The number of the next part is taken by a folder: nothing is lost, and the frame is not written twice."""
    sink = JsonlSink(facts(tmp_path, live=True), JsonlSettings(), TINY)
    sink.open(None)
    blocked = tmp_path / "records.000001.jsonl"
    (blocked / "something").mkdir(parents=True)
    written, message = frames_until_it_fails(sink)
    assert written > 10
    assert "records.jsonl': Is a directory" in message
    assert len((tmp_path / "records.jsonl").read_text().splitlines()) == written
    (blocked / "something").rmdir()
    blocked.rmdir()
    sink.write(emission(written))
    assert len(blocked.read_text().splitlines()) == written
    assert len((tmp_path / "records.jsonl").read_text().splitlines()) == 1
    sink.close()


def frames_until_it_fails(sink: Sink) -> tuple[int, str]:
    """How many frames were written, and what went wrong then."""
    for index in range(100):
        try:
            sink.write(emission(index))
        except SinkError as error:
            return index, str(error)
    raise AssertionError("it never fails")


def test_folders_of_epochs_go_back_to_an_earlier_part(tmp_path: Path) -> None:
    folders = EpochFolders(tmp_path, "masks")
    for index, epoch in [(0, 0), (1, 0), (2, 1)]:
        put(folders, epoch, index)
    folders.finish(1)
    put(folders, 1, 3)
    folders.finish(2)
    put(folders, 2, 4)
    (folders.current(2) / ".streamseg-1-1.tmp").mkdir()
    assert folders.go_back(0, (0, 1))
    assert sorted(tree(tmp_path)) == ["epoch-0/masks/00000000", "epoch-0/masks/00000001"]
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0"]


def test_folders_of_a_part_that_was_given_up_since(tmp_path: Path) -> None:
    folders = EpochFolders(tmp_path, "masks")
    for number in range(4):
        put(folders, 0, number)
        folders.finish(number + 1)
    folders.remove(1)
    folders.remove(2)
    put(folders, 0, 4)
    assert not folders.go_back(1, (0, 1))
    assert tree(tmp_path) == {}


def put(folders: EpochFolders, epoch: int, index: int) -> None:
    folders.current(epoch).mkdir(parents=True, exist_ok=True)
    (folders.current(epoch) / f"{index:08d}").write_text("x")


def test_other_folders_of_an_epoch_are_left_alone(tmp_path: Path) -> None:
    folders = EpochFolders(tmp_path, "masks")
    put(folders, 0, 0)
    (tmp_path / "epoch-0" / "overlay.mp4").write_text("video")
    (tmp_path / "epoch-0" / "masks.txt").write_text("notes")
    folders.go_back(0, None)
    assert sorted(tree(tmp_path)) == ["epoch-0/masks.txt", "epoch-0/overlay.mp4"]


def test_the_order_of_folders(tmp_path: Path) -> None:
    folders = EpochFolders(tmp_path, "masks")
    for number in (1, 2, 3):
        for epoch in (10, 9):
            put(folders, epoch, number)
        if number < 3:
            folders.finish(number)
    assert [str(path.relative_to(tmp_path)) for path in folders.all()] == [
        *("epoch-9/masks.000001", "epoch-9/masks.000002", "epoch-9/masks"),
        *("epoch-10/masks.000001", "epoch-10/masks.000002", "epoch-10/masks"),
    ]


def test_a_cut_is_where_it_was_in_every_run(tmp_path: Path) -> None:
    rotation = replace(NEVER_FULL, seconds=0.3)
    trees = []
    for run in ("one", "two"):
        sink = JsonlSink(facts(tmp_path / run), JsonlSettings(), rotation)
        sink.open(None)
        for each in stream(20):
            sink.write(each)
        sink.close()
        trees.append(tree(tmp_path / run))
    assert trees[0] == trees[1]
    assert len(trees[0]) == 3

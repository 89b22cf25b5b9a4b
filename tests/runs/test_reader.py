"""Reading a run back: whole lines only, part after part, maps from wherever they are."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamseg.errors import ConfigError
from streamseg.frames import FrameResult
from streamseg.rle import decode_mask
from streamseg.runs.folder import RECORDS, RunFolder
from streamseg.runs.reader import PanopticPngs, read_lines, read_records, read_results, read_tracks
from streamseg.sinks.files import encode_panoptic_png
from tests.runs.made_runs import SIZE_HW, failed, make_run, result, write_records, write_tracks
from tests.sinks.small_stream import row

CAR, SKY = 70_000, 3


def frames(count: int, *, first: int = 0) -> list[FrameResult]:
    return [
        result(index, {SKY: ("sky", (0, 0, 30, 5)), CAR: ("car", (index % 20, 8, 6, 4))})
        for index in range(first, first + count)
    ]


def write_png(run: RunFolder, frame: FrameResult, folder: str = "panoptic") -> Path:
    path = run.stream("cam") / f"epoch-{frame.epoch}" / folder / f"{frame.index:08d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_panoptic_png(frame.panoptic))
    return path


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    written = [*frames(3), failed(3), *frames(2, first=4)]
    run = make_run(tmp_path / "run", {"cam": written})
    assert list(read_records(run, "cam")) == [frame.to_dict() for frame in written]
    for before, after in zip(written, read_results(run, "cam"), strict=True):
        assert after.to_json() == before.to_json()
        assert np.array_equal(after.panoptic, before.panoptic)


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"cam": frames(2)})
    append(run.stream("cam") / RECORDS, frames(1, first=2)[0].to_json()[:-1])
    assert [record["frame"] for record in read_records(run, "cam")] == [0, 1]


def test_a_stream_that_has_just_begun_has_no_records_yet(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"cam": []})
    append(run.stream("cam") / RECORDS, '{"schema":')
    assert list(read_records(run, "cam")) == []


def test_parts_are_read_in_order(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"cam": frames(1, first=30)})
    for number, first in ((2, 10), (12, 20), (1, 0)):
        write_records(run.stream("cam") / f"records.{number:06d}.jsonl", frames(2, first=first))
    assert [record["frame"] for record in read_records(run, "cam")] == [0, 1, 10, 11, 20, 21, 30]


def test_parts_alone_suffice(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"cam": frames(1)})
    path = run.stream("cam") / RECORDS
    path.rename(path.with_name("records.000001.jsonl"))
    assert len(list(read_records(run, "cam"))) == 1


def test_rotation_while_reading_loses_nothing(tmp_path: Path) -> None:
    """The current part gets a number while the one before it is being read."""
    run = make_run(tmp_path / "run", {"cam": frames(2, first=10)})
    current = run.stream("cam") / RECORDS
    write_records(current.with_name("records.000001.jsonl"), frames(2))
    lines = read_lines(current)
    seen = [json.loads(next(lines).text)["frame"]]
    current.rename(current.with_name("records.000002.jsonl"))
    write_records(current, frames(1, first=20))
    seen += [json.loads(line.text)["frame"] for line in lines]
    assert seen == [0, 1, 10, 11, 20]


def test_parts_that_retention_removes_meanwhile_are_passed_over(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"cam": frames(1, first=30)})
    folder = run.stream("cam")
    for number in (1, 2, 3):
        write_records(folder / f"records.{number:06d}.jsonl", frames(1, first=10 * number - 10))
    lines = read_lines(folder / RECORDS)
    next(lines)
    (folder / "records.000002.jsonl").unlink()
    assert [json.loads(line.text)["frame"] for line in lines] == [20, 30]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("no JSON", "Expecting value"),
        ("[1]", "list, expected a record"),
        ('{"schema": "streamseg.track/1"}', "schema 'streamseg.track/1', expected a record"),
        ('{"schema": "streamseg.frame/1"}', "it has no 'epoch'"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    run = make_run(tmp_path / "run", {"cam": frames(2)})
    append(run.stream("cam") / RECORDS, f"{line}\n")
    for read in (read_records, read_results):
        with pytest.raises(ConfigError, match=f"line 3 of .*records.jsonl' is damaged: {complaint}") as error:
            list(read(run, "cam"))
        assert "\n" not in str(error.value)


def test_a_segment_without_what_it_needs_is_damage(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"cam": []})
    record = frames(1)[0].to_dict()
    del record["segments"][1]["bbox"]
    append(run.stream("cam") / RECORDS, json.dumps(record) + "\n")
    with pytest.raises(ConfigError, match=r"line 1 .* a segment has no 'bbox'"):
        list(read_records(run, "cam"))


def test_a_damaged_mask_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"cam": []})
    record = frames(1)[0].to_dict()
    record["segments"][0]["mask"]["counts"] = "5"
    append(run.stream("cam") / RECORDS, json.dumps(record) + "\n")
    with pytest.raises(ConfigError, match=r"line 1 .* is damaged: mask counts cover 5 pixels"):
        list(read_results(run, "cam"))


def test_maps_come_from_pngs_where_records_have_none(tmp_path: Path) -> None:
    written = [*frames(2), failed(2), result(3, {CAR: ("car", (0, 0, 4, 4))}, epoch=1)]
    run = make_run(tmp_path / "run", {"cam": written}, masks=False)
    write_png(run, written[0], "panoptic.000001")  # a part that is full
    for frame in written[1:]:
        write_png(run, frame)
    for before, after in zip(written, read_results(run, "cam"), strict=True):
        assert np.array_equal(after.panoptic, before.panoptic)
    masks = PanopticPngs(run.stream("cam")).masks(written[0].to_dict())
    assert masks is not None
    assert np.array_equal(decode_mask(masks[CAR]), written[0].panoptic == CAR)


def test_pngs_are_found_after_their_folder_was_renamed(tmp_path: Path) -> None:
    written = frames(2)
    run = make_run(tmp_path / "run", {"cam": written}, masks=False)
    folder = [write_png(run, frame).parent for frame in written].pop()
    pngs = PanopticPngs(run.stream("cam"))
    assert pngs.find(written[0].to_dict()) is not None
    folder.rename(folder.with_name("panoptic.000001"))
    assert np.array_equal(pngs.read(written[1].to_dict()), written[1].panoptic)


def test_without_masks_and_pngs_the_remedy_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"cam": frames(1)}, masks=False)
    with pytest.raises(ConfigError, match=r"frame 0 of epoch 0 was recorded without masks.*--save jsonl,png"):
        list(read_results(run, "cam"))
    write_png(run, frames(1)[0]).write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"00000000.png', expected a PNG: it is damaged"):
        list(read_results(run, "cam"))


def test_colours_are_not_mixed_up(tmp_path: Path) -> None:
    """The file says id = R + 256 G + 65536 B, whoever reads it."""
    run = make_run(tmp_path / "run", {"cam": frames(1)}, masks=False)
    path = write_png(run, frames(1)[0])
    red, green, blue = cv2.imread(str(path))[9, 2, ::-1].astype(int)
    assert red + 256 * green + 65536 * blue == CAR
    assert PanopticPngs(run.stream("cam")).read(frames(1)[0].to_dict())[9, 2] == CAR


def test_no_records_at_all(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"cam": []})
    (run.stream("cam") / RECORDS).unlink()
    with pytest.raises(ConfigError, match=r"holds no records.jsonl: run with --save jsonl"):
        list(read_records(run, "cam"))
    with pytest.raises(ConfigError, match=r"holds no tracks.jsonl: run with --save jsonl,tracks"):
        list(read_tracks(run, "cam"))
    with pytest.raises(ConfigError, match="no stream 'door', expected one of cam"):
        list(read_records(run, "door"))


def test_tracks_come_back(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"cam": frames(1)})
    write_tracks(run, "cam", [row(1), row(5)])
    assert [track.to_json("cam") for track in read_tracks(run, "cam")] == [row(1).to_json("cam"), row(5).to_json("cam")]
    append(run.stream("cam") / "tracks.jsonl", "{}\n")
    with pytest.raises(ConfigError, match=r"line 3 of .*tracks.jsonl' is damaged: not a track"):
        list(read_tracks(run, "cam"))


def test_sizes_are_those_of_the_maps(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"cam": frames(1)})
    assert next(read_results(run, "cam")).size_hw == SIZE_HW

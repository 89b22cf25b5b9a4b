"""Truth on disk: the layout of video panoptic data sets, whole or not there, in constant memory."""

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from streamseg.errors import SinkError
from streamseg.evaluation.inputs.panoptic_folders import PanopticFolder, score_folders
from streamseg.world.dials import Dials
from streamseg.world.ground_truth import GroundTruthWriter
from streamseg.world.names import SHAPES, STUFF
from streamseg.world.video import World, WorldFrame

SIZE_HW = (40, 64)
COUNT = 5
DOCUMENT = "panoptic_gt.json"


@pytest.fixture(scope="module")
def frames() -> list[WorldFrame]:
    """With crowds, void and a cut."""
    dials = replace(Dials.from_difficulty(1.0), crowds=1.0, clutter=1.0, cut_seconds=0.5)
    return list(islice(World(seed=2, size_hw=SIZE_HW, fps=Fraction(4), dials=dials), COUNT))


def write(folder: Path, frames: list[WorldFrame], *, pictures: bool = False) -> Path:
    with GroundTruthWriter(folder, "v0", pictures=pictures) as writer:
        for frame in frames:
            writer.write(frame)
    return folder


def read(path: Path) -> dict[str, list[dict[str, object]]]:
    content: dict[str, list[dict[str, object]]] = json.loads(path.read_text())
    return content


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_lies_where(tmp_path: Path, frames: list[WorldFrame]) -> None:
    names = [f"{index:08d}" for index in range(COUNT)]
    write(tmp_path / "truth", frames)
    masks = {f"panomasksRGB/v0/{name}.png" for name in names}
    assert files(tmp_path / "truth") == {DOCUMENT, "world.jsonl"} | masks
    write(tmp_path / "both", frames, pictures=True)
    assert files(tmp_path / "both") - files(tmp_path / "truth") == {f"images/v0/{name}.jpg" for name in names}


def test_pngs_hold_the_ids(tmp_path: Path, frames: list[WorldFrame]) -> None:
    write(tmp_path, frames, pictures=True)
    assert max(frame.ids.max() for frame in frames) > 255
    for frame in frames:
        with Image.open(tmp_path / f"panomasksRGB/v0/{frame.index:08d}.png") as image:
            assert image.mode == "RGB"
            colors = np.asarray(image).astype(np.int32)
        np.testing.assert_array_equal(colors @ (1, 256, 65536), frame.ids)
        with Image.open(tmp_path / f"images/v0/{frame.index:08d}.jpg") as image:
            assert np.abs(np.asarray(image).astype(int) - frame.rgb).mean() < 12


def test_the_document(tmp_path: Path, frames: list[WorldFrame]) -> None:
    document = json.loads((write(tmp_path, frames) / DOCUMENT).read_text())
    assert list(document) == ["videos", "annotations", "categories"]
    (video,), (annotated,) = document["videos"], document["annotations"]
    assert (list(video), video["video_id"], annotated["video_id"]) == (["video_id", "images"], "v0", "v0")
    assert video["images"][1] == {"id": "00000001", "width": 64, "height": 40, "file_name": "00000001.jpg"}
    assert len(video["images"]) == len(annotated["annotations"]) == COUNT
    by_name = {category["name"]: category for category in document["categories"]}
    for frame, entry in zip(frames, annotated["annotations"], strict=True):
        assert (entry["image_id"], entry["file_name"]) == (f"{frame.index:08d}", f"{frame.index:08d}.png")
        assert [info["id"] for info in entry["segments_info"]] == [segment.id for segment in frame.segments]
        for info, segment in zip(entry["segments_info"], frame.segments, strict=True):
            rows, columns = np.nonzero(frame.ids == segment.id)
            assert info["area"] == len(rows)
            x, y = columns.min(), rows.min()
            assert info["bbox"] == [x, y, columns.max() - x + 1, rows.max() - y + 1]
            assert info["iscrowd"] == int(segment.iscrowd)
            assert info["category_id"] == by_name[segment.label]["id"]
            assert by_name[segment.label]["isthing"] == int(segment.isthing)
    assert any(info["iscrowd"] for entry in annotated["annotations"] for info in entry["segments_info"])


def test_categories_are_those_of_the_world(tmp_path: Path, frames: list[WorldFrame]) -> None:
    categories = json.loads((write(tmp_path, frames[:1]) / DOCUMENT).read_text())["categories"]
    assert [entry["name"] for entry in categories] == [named.name for named in (*SHAPES, *STUFF)]
    assert [entry["isthing"] for entry in categories] == [1] * len(SHAPES) + [0] * len(STUFF)
    assert len({entry["id"] for entry in categories}) == len({tuple(entry["color"]) for entry in categories}) == 46


def test_notes_say_what_a_mask_cannot(tmp_path: Path, frames: list[WorldFrame]) -> None:
    lines = [json.loads(line) for line in (write(tmp_path, frames) / "world.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(COUNT))
    for line, frame in zip(lines, frames, strict=True):
        assert (line["scene"], line["is_cut"], line["caption"]) == (frame.scene, frame.is_cut, frame.caption)
        assert (line["pts"], line["camera"]["zoom"]) == (frame.pts_seconds, frame.camera.zoom)
        assert {thing["id"]: thing["visibility"] for thing in line["things"]} == pytest.approx(
            {segment.id: segment.visibility for segment in frame.segments if segment.isthing}, abs=1e-4
        )
    assert any(line["is_cut"] for line in lines)


def test_read_back_it_is_perfect_against_itself(tmp_path: Path, frames: list[WorldFrame]) -> None:
    folder = PanopticFolder.read(write(tmp_path, frames))
    assert len(folder.frames) == COUNT
    for annotated, frame in zip(folder.frames.values(), frames, strict=True):
        np.testing.assert_array_equal(folder.ids(annotated.png), frame.ids)
        assert [segment.iscrowd for segment in annotated.segments] == [segment.iscrowd for segment in frame.segments]
    scores = score_folders(folder, folder)
    assert scores.all is not None
    assert scores.all.pq == scores.all.sq == scores.all.rq == 1.0
    assert scores.all.n >= 8


def test_no_frame_is_a_document_too(tmp_path: Path) -> None:
    document = read(write(tmp_path, []) / DOCUMENT)
    assert document["videos"] == [{"video_id": "v0", "images": []}]
    assert document["annotations"] == [{"video_id": "v0", "annotations": []}]


def test_names_with_quotes(tmp_path: Path, frames: list[WorldFrame]) -> None:
    with GroundTruthWriter(tmp_path, 'the "first"') as writer:
        writer.write(frames[0])
    assert read(tmp_path / DOCUMENT)["videos"][0]["video_id"] == 'the "first"'


# Whole or not there.


def test_nothing_has_its_final_name_before_the_end(tmp_path: Path, frames: list[WorldFrame]) -> None:
    with GroundTruthWriter(tmp_path, "v0") as writer:
        writer.write(frames[0])
        assert {name for name in files(tmp_path) if not name.startswith("panomasks")} == {
            f"{DOCUMENT}.partial",
            "world.jsonl.partial",
        }


def interrupted(folder: Path, frames: list[WorldFrame], error: BaseException) -> None:
    def run() -> None:
        with GroundTruthWriter(folder, "v0") as writer:
            for frame in frames[:2]:
                writer.write(frame)
            raise error

    with pytest.raises(type(error)):
        run()


def test_after_an_error_there_is_no_document(tmp_path: Path, frames: list[WorldFrame]) -> None:
    write(tmp_path, frames)
    interrupted(tmp_path, frames, RuntimeError("the renderer fell over"))
    assert not (tmp_path / DOCUMENT).exists()
    assert not (tmp_path / "world.jsonl").exists()


def test_after_ctrl_c_the_document_lists_what_was_written(tmp_path: Path, frames: list[WorldFrame]) -> None:
    interrupted(tmp_path, frames, KeyboardInterrupt())
    assert len(PanopticFolder.read(tmp_path).frames) == 2
    assert len((tmp_path / "world.jsonl").read_text().splitlines()) == 2


def test_closing_twice_is_closing_once(tmp_path: Path, frames: list[WorldFrame]) -> None:
    with GroundTruthWriter(tmp_path, "v0") as writer:
        writer.write(frames[0])
        writer.close()
    assert len(PanopticFolder.read(tmp_path).frames) == 1


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SinkError, match=r"cannot write .*file.*: Not a directory; .*choose another place"):
        GroundTruthWriter(tmp_path / "file", "v0")


def test_a_full_disk_leaves_no_document(
    tmp_path: Path, frames: list[WorldFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    def run() -> None:
        with GroundTruthWriter(tmp_path, "v0") as writer:
            writer.write(frames[0])
            monkeypatch.setattr(Path, "write_bytes", full)
            writer.write(frames[1])

    with pytest.raises(SinkError, match=r"cannot write .*00000001.png: No space left"):
        run()
    assert not (tmp_path / DOCUMENT).exists()
    assert not (tmp_path / "panomasksRGB/v0/00000001.png").exists()


# Memory.


def test_memory_does_not_grow_with_the_video(tmp_path: Path, frames: list[WorldFrame]) -> None:
    """The writer and all it refers to stay as they are, however many frames went through."""

    def reachable(value: object) -> Iterator[object]:
        yield value
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else ()
        for entry in inside:
            yield from reachable(entry)

    with GroundTruthWriter(tmp_path, "v0") as writer:
        writer.write(frames[0])
        before = len(list(reachable(vars(writer))))
        for index in range(1, 40):
            writer.write(replace(frames[0], index=index))
        assert len(list(reachable(vars(writer)))) == before
    assert len(PanopticFolder.read(tmp_path).frames) == 40


def test_pictures_are_stored_red_first(tmp_path: Path, frames: list[WorldFrame]) -> None:
    red = replace(frames[0], rgb=np.full((*SIZE_HW, 3), (200, 10, 10), np.uint8))
    write(tmp_path, [red], pictures=True)
    stored = cv2.imread(str(tmp_path / "images/v0/00000000.jpg"))
    assert stored is not None
    np.testing.assert_allclose(stored.mean((0, 1)), (10, 10, 200), atol=4)

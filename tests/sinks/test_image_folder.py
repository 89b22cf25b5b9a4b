import errno
import io
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from streamseg.errors import ConfigError, SinkError
from streamseg.frames import Frame, FrameResult, Segment, json_schema
from streamseg.sinks import files, images
from streamseg.sinks.files import atomic_write, encode_panoptic_png
from streamseg.sinks.images import ImageFolder, output_names
from streamseg.vocabulary import Vocabulary

VOCABULARY = Vocabulary.parse("car; sky:stuff", name="street")


def result(source: Path) -> tuple[FrameResult, np.ndarray[Any, np.dtype[np.uint8]]]:
    rgb = np.full((20, 30, 3), 90, np.uint8)
    ids = np.zeros((20, 30), np.int32)
    ids[:10], ids[12:18, 5:15] = 70_000, 3
    segments = [
        Segment(3, 0, "car", True, 0.9, 60, (5, 12, 10, 6)),
        Segment(70_000, 1, "sky", False, 0.8, 300, (0, 0, 30, 10)),
    ]
    frame = Frame(rgb, stream_id=str(source))
    return FrameResult.from_map(frame, ids, segments, model="m", vocabulary=VOCABULARY), rgb


def run(folder: Path, sources: list[Path], **options: Any) -> None:
    with ImageFolder(folder, sources, VOCABULARY, **options) as sink:
        for source in sources:
            sink.write(source, *result(source))


def test_files_of_a_picture(tmp_path: Path) -> None:
    run(tmp_path / "new" / "out", [Path("a/street.jpg")])
    folder = tmp_path / "new" / "out"
    assert sorted(path.name for path in folder.iterdir()) == [
        "panoptic.json",
        "street.json",
        "street.overlay.jpg",
        "street.panoptic.png",
    ]
    record = json.loads((folder / "street.json").read_text())
    jsonschema.Draft202012Validator(json_schema()).validate(record)
    with Image.open(folder / "street.overlay.jpg") as overlay:
        assert overlay.size == (30, 20)


def test_panoptic_png_holds_the_ids() -> None:
    ids = np.array([[0, 1, 255, 256], [65535, 65536, 70_000, 2**24 - 1]], np.int32)
    pixels = np.asarray(Image.open(io.BytesIO(encode_panoptic_png(ids)))).astype(np.int32)
    assert (pixels[..., 0] + 256 * pixels[..., 1] + 65536 * pixels[..., 2] == ids).all()


def test_coco_document(tmp_path: Path) -> None:
    run(tmp_path, [Path("a/street.jpg"), Path("b/street.jpg")])
    document = json.loads((tmp_path / "panoptic.json").read_text())
    assert document["images"] == [
        {"id": 1, "file_name": "a/street.jpg", "width": 30, "height": 20},
        {"id": 2, "file_name": "b/street.jpg", "width": 30, "height": 20},
    ]
    assert document["categories"] == [{"id": 0, "name": "car", "isthing": 1}, {"id": 1, "name": "sky", "isthing": 0}]
    first, second = document["annotations"]
    assert (first["image_id"], second["file_name"]) == (1, "street-2.panoptic.png")
    assert first["segments_info"] == [
        {"id": 3, "category_id": 0, "area": 60, "bbox": [5, 12, 10, 6], "score": 0.9, "iscrowd": 0},
        {"id": 70_000, "category_id": 1, "area": 300, "bbox": [0, 0, 30, 10], "score": 0.8, "iscrowd": 0},
    ]
    for annotation in document["annotations"]:
        assert (tmp_path / annotation["file_name"]).is_file()


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["a.jpg", "b.jpg"], ["a", "b"]),
        (["x/a.jpg", "y/a.jpg", "a.png"], ["a", "a-2", "a-3"]),
        (["a.jpg", "A.jpg"], ["a", "A-2"]),
        (["a.jpg", "a-2.jpg", "x/a.jpg"], ["a", "a-2", "a-3"]),
        (["panoptic.jpg"], ["panoptic-2"]),
        ([".jpg"], [".jpg"]),
        (["a.b.jpg"], ["a.b"]),
        (["é" * 150 + ".jpg"], ["é" * 100]),
    ],
)
def test_names_never_clash(sources: list[str], names: list[str]) -> None:
    assert output_names(map(Path, sources)) == names


def test_earlier_results_are_not_overwritten_unless_asked(tmp_path: Path) -> None:
    run(tmp_path, [Path("street.jpg")])
    (tmp_path / "street.json").write_text("precious")
    with pytest.raises(ConfigError, match=r"street\.json' \(and 3 more\) holds earlier results: pass --overwrite"):
        run(tmp_path, [Path("street.jpg")])
    assert (tmp_path / "street.json").read_text() == "precious"
    run(tmp_path, [Path("street.jpg")], overwrite=True)
    assert json.loads((tmp_path / "street.json").read_text())["stream"] == "street.jpg"


def test_other_files_are_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    run(tmp_path, [Path("street.jpg")])
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "street.panoptic.png"
    source.write_bytes(b"input")
    with pytest.raises(ConfigError, match="is an input and would be overwritten"):
        run(tmp_path, [tmp_path / "street.jpg", source], overwrite=True)
    assert source.read_bytes() == b"input"


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SinkError, match=r"cannot write to folder .*choose another --output"):
        run(tmp_path / "out", [Path("street.jpg")])


def test_a_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:  # root, as which tests may run, is refused nothing
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(SinkError, match="Permission denied; choose another --output"):
        run(tmp_path, [Path("street.jpg")])


def test_new_files_have_the_usual_permissions(tmp_path: Path) -> None:
    atomic_write(tmp_path / "ours", b"x")
    (tmp_path / "usual").write_bytes(b"x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_full_disk_leaves_the_old_file_and_no_debris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "street.json"
    target.write_text("old")
    # The kernel's own full disk: writing to it fails with ENOSPC, however small the piece.
    monkeypatch.setattr(files, "temporary_path", lambda path: path.with_name("debris"))
    (tmp_path / "debris").symlink_to("/dev/full")
    with pytest.raises(SinkError, match=r"street\.json': No space left on device; make room"):
        atomic_write(target, b"new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["street.json"]


def test_an_error_while_content_is_made_leaves_no_debris(tmp_path: Path) -> None:
    def content() -> Any:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "file", content())
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_is_closed(tmp_path: Path) -> None:
    sources = [Path("a.jpg"), Path("b.jpg")]

    def interrupted() -> None:
        with ImageFolder(tmp_path, sources, VOCABULARY) as sink:
            sink.write(sources[0], *result(sources[0]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [image["file_name"] for image in json.loads((tmp_path / "panoptic.json").read_text())["images"]] == ["a.jpg"]


def test_a_sink_that_failed_is_not_asked_to_write_more(tmp_path: Path) -> None:
    sources = [Path("a.jpg"), Path("b.jpg")]

    def failing() -> None:
        with ImageFolder(tmp_path, sources, VOCABULARY) as sink:
            sink.write(sources[0], *result(sources[0]))
            raise SinkError("disk full")

    with pytest.raises(SinkError, match="disk full"):
        failing()
    assert not (tmp_path / "panoptic.json").exists()


def test_no_results_make_no_document(tmp_path: Path) -> None:
    with ImageFolder(tmp_path, [Path("a.jpg")], VOCABULARY):
        pass
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_not_text(tmp_path: Path) -> None:
    source = Path(os.fsdecode(b"caf\xe9.jpg"))
    run(tmp_path, [source])
    document = json.loads((tmp_path / "panoptic.json").read_bytes())
    assert document["images"][0]["file_name"] == str(source)


def test_a_picture_too_large_for_jpeg() -> None:
    with pytest.raises(SinkError, match="cannot encode a 70000x1 jpg"):
        images._encode_jpeg(np.zeros((1, 70_000, 3), np.uint8))

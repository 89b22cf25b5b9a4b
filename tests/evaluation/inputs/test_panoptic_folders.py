"""Panoptic folders in both layouts, and the command that scores them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streamseg.errors import EvaluationError
from streamseg.evaluation.command import main
from streamseg.evaluation.inputs.panoptic_folders import PanopticFolder, paired_frames, score_folders
from streamseg.sinks.files import encode_panoptic_png
from tests.conftest import REPOSITORY

Document = dict[str, Any]

LARGE_ID = 2**24 - 1
IDS = np.array([[1, 1, 0], [LARGE_ID, LARGE_ID, 300]], np.int32)
SEGMENTS = [
    {"id": 1, "category_id": 4, "area": 2, "iscrowd": 0},
    {"id": LARGE_ID, "category_id": 0, "area": 2, "iscrowd": 0},
    {"id": 300, "category_id": 4, "area": 1, "iscrowd": 1},
]
CATEGORIES = [{"id": 4, "name": "car", "isthing": 1}, {"id": 0, "name": "sky", "isthing": 0}]


def write_png(path: Path, ids: np.ndarray[Any, Any] = IDS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_panoptic_png(ids))


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two pictures in COCO's layout, the PNGs in a folder called like the document."""
    folder = tmp_path / "coco"
    for name in ("a.png", "b.png"):
        write_png(folder / "val" / name)
    annotations = [
        {"image_id": number, "file_name": name, "segments_info": SEGMENTS}
        for number, name in ((1, "a.png"), (2, "b.png"))
    ]
    document = {"images": [], "annotations": annotations, "categories": CATEGORIES}
    (folder / "val.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def vipseg(tmp_path: Path) -> Path:
    """Two videos of one frame each."""
    folder = tmp_path / "vipseg"
    annotations, videos = [], []
    for video in ("x", "y"):
        write_png(folder / "panomasksRGB" / video / "0007.png")
        frame = {"image_id": "0007", "file_name": "0007.png", "segments_info": SEGMENTS}
        annotations.append({"video_id": video, "annotations": [frame]})
        videos.append({"video_id": video, "images": [{"id": "0007", "file_name": "0007.jpg", "width": 3, "height": 2}]})
    document = {"videos": videos, "annotations": annotations, "categories": CATEGORIES}
    (folder / "panoptic_gt.json").write_text(json.dumps(document))
    return folder


def edited(path: Path, change: Callable[[Document], object]) -> Path:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("layout", ["coco", "vipseg"])
def test_ids_segments_and_categories_are_read(layout: str, request: pytest.FixtureRequest) -> None:
    folder = PanopticFolder.read(request.getfixturevalue(layout))
    assert folder.categories == {4: True, 0: False}
    assert folder.labels == {4: "car", 0: "sky"}
    assert [frame.key for frame in folder.frames.values()] == (
        [(None, 1), (None, 2)] if layout == "coco" else [("x", "0007"), ("y", "0007")]
    )
    for frame in folder.frames.values():
        assert np.array_equal(folder.ids(frame.png), IDS)
        assert [segment.id for segment in frame.segments] == [1, LARGE_ID, 300]
        assert [segment.iscrowd for segment in frame.segments] == [False, False, True]
        assert [segment.area for segment in frame.segments] == [2, 2, 1]


def test_frames_are_paired_by_id_whatever_their_order(coco: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_png(other / "first.png")
    write_png(other / "second.png", np.zeros((2, 3), np.int32))
    annotations = [
        {"image_id": 2, "file_name": "second.png", "segments_info": []},
        {"image_id": 99, "file_name": "missing.png", "segments_info": []},  # beyond the ground truth
        {"image_id": 1, "file_name": "first.png", "segments_info": SEGMENTS},
    ]
    (other / "panoptic.json").write_text(json.dumps({"annotations": annotations}))
    pairs = list(paired_frames(PanopticFolder.read(coco), PanopticFolder.read(other)))
    assert [pair.image for pair in pairs] == [1, 2]
    assert np.array_equal(pairs[0].predicted_ids, IDS)
    assert not pairs[1].predicted_ids.any()
    scores = score_folders(PanopticFolder.read(coco), PanopticFolder.read(other))
    assert (scores.per_class[0].tp, scores.per_class[0].fn) == (1, 1)


def test_the_document_itself_may_be_named(coco: Path) -> None:
    (coco / "notes.json").write_text("{}")
    with pytest.raises(EvaluationError, match=r"holds 2 JSON documents \(notes.json, val.json\)"):
        PanopticFolder.read(coco)
    assert len(PanopticFolder.read(coco / "val.json").frames) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document.pop("annotations"), "is no panoptic document (KeyError: 'annotations')"),
        (lambda document: document["annotations"][0]["segments_info"][0].update(id="7"), "is no panoptic document"),
        (lambda document: document["annotations"][1].update(image_id=1), "annotates 1 images in 2 entries"),
        (lambda document: document["annotations"].append([]), "is no panoptic document"),
    ],
)
def test_another_document_is_refused(coco: Path, change: Callable[[Document], object], message: str) -> None:
    path = edited(coco / "val.json", change)
    with pytest.raises(EvaluationError) as caught:
        PanopticFolder.read(coco)
    assert str(caught.value).startswith(f"{path} {message}")


def test_files_that_cannot_be_read_are_named(coco: Path) -> None:
    folder = PanopticFolder.read(coco)
    with pytest.raises(EvaluationError, match=r"cannot read .*gone.png \(No such file or directory\)"):
        folder.ids(Path("gone.png"))
    (coco / "val" / "a.png").write_bytes(b"no picture")
    with pytest.raises(EvaluationError, match=r"cannot read .*a.png \(UnidentifiedImageError\)"):
        folder.ids(Path("a.png"))
    Image.new("L", (3, 2)).save(coco / "val" / "b.png")
    with pytest.raises(EvaluationError, match=r"b.png is of mode L, expected 8 bit RGB"):
        folder.ids(Path("b.png"))
    (coco / "val.json").write_text("[")
    with pytest.raises(EvaluationError, match=r"cannot read .*val.json"):
        PanopticFolder.read(coco)
    with pytest.raises(EvaluationError, match=r"nowhere is not there"):
        PanopticFolder.read("nowhere")


def test_the_command_prints_a_table_and_writes_the_scores(
    vipseg: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "scores.json"
    call = ["--ground-truth", str(vipseg), "--predictions", str(vipseg), "--metrics", "pq", "--output", str(output)]
    assert main(call) == 0
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines() if "car" in line] == [["car", *["100.00"] * 3, "2", "0", "0"]]
    scores = json.loads(output.read_text())
    assert scores["pq"]["All"] == {"pq": 1.0, "sq": 1.0, "rq": 1.0, "n": 2}
    assert scores["pq"]["per_class"]["4"]["tp"] == 2


def test_the_command_ends_with_one_line_for_a_mistake(coco: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predictions = coco.parent / "empty"
    predictions.mkdir()
    assert main(["--ground-truth", str(coco), "--predictions", str(predictions)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {predictions} holds 0 JSON documents (none), expected one")
    assert error.count("\n") == 1
    edited(coco / "val.json", lambda document: document.pop("categories"))
    assert main(["--ground-truth", str(coco), "--predictions", str(coco)]) == 1
    assert "has no categories" in capsys.readouterr().err


def test_the_pipeline_is_the_command() -> None:
    call = [sys.executable, "-m", "pipelines.evaluate", "--help"]
    done = subprocess.run(call, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "--ground-truth" in done.stdout

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streamseg.errors import ConfigError, SourceError
from streamseg.training.data.panoptic_folder import targets_from_ids
from streamseg.training.data.vipseg import VipSeg
from streamseg.vocabulary import Category, Vocabulary
from tests.training.annotated_folders import Scene, edit_json, save_ids, segment

SKY, PERSON = 0, 60
CATEGORIES = [
    {"id": SKY, "name": "sky", "isthing": 0, "color": [1, 2, 3]},
    {"id": PERSON, "name": "person", "isthing": 1, "color": [4, 5, 6]},
]
SEGMENTS = [segment(300, SKY), segment(70000, PERSON)]


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Two videos of two frames and one."""
    annotations = []
    for video, frames in (("street", ("00001", "00006")), ("beach", ("00001",))):
        for folder in ("images", "panomasksRGB"):
            (tmp_path / folder / video).mkdir(parents=True)
        for frame in frames:
            Image.fromarray(Scene().picture()).save(tmp_path / "images" / video / f"{frame}.jpg", quality=95)
            save_ids(tmp_path / "panomasksRGB" / video / f"{frame}.png", Scene().ids())
        listed = [{"image_id": name, "file_name": f"{name}.png", "segments_info": SEGMENTS} for name in frames]
        annotations.append({"video_id": video, "annotations": listed})
    path = tmp_path / "panoptic_gt.json"
    path.write_text(json.dumps({"videos": [], "annotations": annotations, "categories": CATEGORIES}))
    return {"images": tmp_path / "images", "masks": tmp_path / "panomasksRGB", "annotations": path}


def test_each_frame_is_an_entry(folders: dict[str, Path]) -> None:
    dataset = VipSeg(**folders)
    dataset.check()
    names = [dataset.read(index).name for index in range(len(dataset))]
    assert names == ["street/00001.jpg", "street/00006.jpg", "beach/00001.jpg"]
    annotated = dataset.read(2)
    assert (annotated.ids == Scene().ids()).all()
    assert annotated.segments.tolist() == [[300, 0], [70000, 1]]
    assert annotated.picture.shape == (40, 60, 3)


def test_the_categories_make_the_vocabulary(folders: dict[str, Path]) -> None:
    names = ["sky", "well_or_well_lid"]
    edit_json(folders["annotations"], ("categories", 1, "name"), names[1])
    vocabulary = VipSeg(**folders).vocabulary
    assert vocabulary.name == "panoptic_gt"
    assert vocabulary.categories == (Category(SKY, ("sky",), False), Category(PERSON, ("well", "well lid"), True))


def test_a_given_vocabulary_counts(folders: dict[str, Path]) -> None:
    vocabulary = Vocabulary("mine", (Category(PERSON, ("human",), True), Category(SKY, ("sky",), False)))
    dataset = VipSeg(**folders, vocabulary=vocabulary)
    assert dataset.read(0).segments.tolist() == [[300, 1], [70000, 0]]
    wrong = Vocabulary("mine", (Category(PERSON, ("human",), False), Category(SKY, ("sky",), False)))
    with pytest.raises(ConfigError, match="category 60 is the thing 'person'"):
        VipSeg(**folders, vocabulary=wrong)


def test_reference_videos_have_the_areas_that_are_listed(shared_dir: Path) -> None:
    """The stored masks have no pictures beside them, so they stand in for their own."""
    root = shared_dir / "metrics" / "public" / "gt"
    masks = root / "panomasksRGB"
    dataset = VipSeg(images=masks, masks=masks, annotations=root / "panoptic_gt.json", frame_suffix=".png")
    dataset.check()
    document = json.loads((root / "panoptic_gt.json").read_text())
    frames = [frame for video in document["annotations"] for frame in video["annotations"]]
    assert len(dataset) == len(frames) == 51
    crowds = 0
    for index, frame in enumerate(frames):
        annotated = dataset.read(index)
        targets = targets_from_ids(annotated.ids, annotated.segments)
        infos = [info for info in frame["segments_info"] if not info["iscrowd"]]
        crowds += len(frame["segments_info"]) - len(infos)
        assert targets.masks.sum(dim=(1, 2)).tolist() == [info["area"] for info in infos]
        ids = [dataset.vocabulary.categories[label].id for label in targets.labels]
        assert ids == [info["category_id"] for info in infos]
    assert crowds > 0


FRAME = ("annotations", 0, "annotations", 1)


@pytest.mark.parametrize(
    ("keys", "value", "index", "message"),
    [
        (("annotations", 0), 5, 0, "video 1: found 5, expected a JSON object with the key 'video_id'"),
        (("annotations", 0, "video_id"), None, 0, "video 1: 'video_id' is missing, expected a string"),
        (("annotations", 0, "annotations"), {}, 0, "street: 'annotations' is {}, expected a list"),
        (FRAME, 5, 1, "street, frame 2: found 5"),
        ((*FRAME, "file_name"), 6, 1, "street, frame 2: 'file_name' is 6, expected a string"),
        ((*FRAME, "file_name"), "", 1, "no file "),
        ((*FRAME, "segments_info"), [], 1, "street, frame 2: it has no segments"),
        ((*FRAME, "segments_info", 0, "category_id"), 7, 1, "street, frame 2: category_id 7 of segment 300 is not in"),
    ],
)
def test_what_is_wrong_with_one_entry(
    folders: dict[str, Path], keys: tuple[Any, ...], value: Any, index: int, message: str
) -> None:
    edit_json(folders["annotations"], keys, value)
    dataset = VipSeg(**folders)
    problems = dataset.problems()
    assert list(problems) == [index]
    assert problems[index].startswith(message)
    assert dataset.read(len(dataset) - 1).name == "beach/00001.jpg"


def test_a_missing_frame_is_named(folders: dict[str, Path]) -> None:
    path = folders["images"] / "street" / "00006.jpg"
    path.unlink()
    assert VipSeg(**folders).problems() == {1: f"no file {str(path)!r}"}


def test_a_missing_video_is_named_frame_by_frame(folders: dict[str, Path]) -> None:
    for path in (folders["masks"] / "street").iterdir():
        path.unlink()
    (folders["masks"] / "street").rmdir()
    assert list(VipSeg(**folders).problems()) == [0, 1]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "'categories' is missing, expected a list; or give a vocabulary"),
        ([5], "found 5, expected a JSON object"),
        ([{"id": 1, "name": "sky"}], "'isthing' is None, expected 0 or 1"),
        ([{"id": "1", "name": "sky", "isthing": 0}], "'id' is '1', expected a whole number"),
    ],
)
def test_categories_of_no_use(folders: dict[str, Path], value: Any, message: str) -> None:
    edit_json(folders["annotations"], ("categories",), value)
    with pytest.raises(SourceError, match=message):
        VipSeg(**folders)


def test_file_names_with_dots_keep_them(folders: dict[str, Path]) -> None:
    edit_json(folders["annotations"], ("annotations", 1, "annotations", 0, "file_name"), "a.b.png")
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(folders["images"] / "beach" / "a.b.jpg")
    save_ids(folders["masks"] / "beach" / "a.b.png", Scene().ids())
    assert VipSeg(**folders).read(2).name == "beach/a.b.jpg"

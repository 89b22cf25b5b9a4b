import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from streamseg.errors import ConfigError, DecodeError, SourceError
from streamseg.training.data.coco import CocoPanoptic
from streamseg.training.data.panoptic_folder import read_panoptic_png, targets_from_ids
from streamseg.training.data.panoptic_json import CROWD
from streamseg.vocabulary import Category, Vocabulary
from tests.training.annotated_folders import CAR, PERSON, SKY, Scene, edit_json, save_ids, segment, write_coco


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    return write_coco(tmp_path, [Scene(), Scene(seed=1)])


# The two real pictures.


@pytest.fixture
def sample(shared_dir: Path) -> CocoPanoptic:
    root = shared_dir / "data" / "coco_panoptic_sample"
    return CocoPanoptic(
        images=root / "input_images",
        annotations=root / "panoptic_examples.json",
        masks=root / "panoptic_examples",
    )


def test_real_pictures_have_the_segments_that_coco_lists(sample: CocoPanoptic) -> None:
    sample.check()
    assert len(sample) == 2
    for index, annotation in enumerate(json.loads(sample.annotations.read_text())["annotations"]):
        annotated = sample.read(index)
        targets = targets_from_ids(annotated.ids, annotated.segments)
        infos = [info for info in annotation["segments_info"] if not info["iscrowd"]]
        assert len(infos) == len(annotation["segments_info"]) - {0: 1, 1: 2}[index]  # crowds are left out
        assert [sample.vocabulary.categories[label].id for label in targets.labels.tolist()] == [
            info["category_id"] for info in infos
        ]
        assert targets.masks.sum(dim=(1, 2)).tolist() == [info["area"] for info in infos]
        assert annotated.picture.shape == (*annotated.ids.shape, 3)


def test_a_real_picture_is_labelled_in_words(sample: CocoPanoptic) -> None:
    annotated = sample.read(0)
    labels = targets_from_ids(annotated.ids, annotated.segments).labels.tolist()
    names = {sample.vocabulary.categories[label].label for label in labels}
    assert annotated.name == "000000142238.jpg"
    assert "person" in names


# Made ones.


def test_picture_ids_and_segments(folders: dict[str, Path]) -> None:
    dataset = CocoPanoptic(**folders)
    annotated = dataset.read(1)
    assert (annotated.picture == Scene(seed=1).picture()).all()
    assert (annotated.ids == Scene().ids()).all()
    assert annotated.size_hw == (40, 60)
    assert annotated.name == "1.png"
    places = [dataset.vocabulary.categories[place].id for place in annotated.segments[:, 1]]
    assert dict(zip(annotated.segments[:, 0].tolist(), places, strict=True)) == {300: SKY, 70000: PERSON}


def test_targets_are_masks_and_places_in_the_vocabulary() -> None:
    ids = np.array([[5, 5, 7], [0, 9, 9]], np.int32)
    targets = targets_from_ids(ids, np.array([[9, 2], [5, 0], [7, CROWD], [8, 1]], np.int32))
    assert targets.labels.tolist() == [2, 0]  # 7 is a crowd, of 8 nothing is left
    assert targets.masks.tolist() == [
        [[False, False, False], [False, True, True]],
        [[True, True, False], [False, False, False]],
    ]


@pytest.mark.parametrize("segments", [[[7, CROWD]], [[8, 1]]])
def test_a_picture_may_have_nothing_to_find(segments: list[list[int]]) -> None:
    targets = targets_from_ids(np.full((4, 6), 7, np.int32), np.array(segments, np.int32))
    assert targets.masks.shape == (0, 4, 6)
    assert targets.labels.dtype == torch.int64


def test_another_vocabulary(folders: dict[str, Path]) -> None:
    vocabulary = Vocabulary("mine", (Category(SKY, ("heaven",), False), Category(PERSON, ("somebody",), True)))
    dataset = CocoPanoptic(**folders, vocabulary=vocabulary)
    assert dataset.read(0).segments.tolist() == [[300, 0], [70000, 1]]
    assert dataset.vocabulary is vocabulary


def test_data_sets_travel_to_other_processes(folders: dict[str, Path]) -> None:
    dataset = CocoPanoptic(**folders)
    other = pickle.loads(pickle.dumps(dataset))
    assert (other.read(1).picture == dataset.read(1).picture).all()
    assert repr(other) == repr(dataset)
    assert "2 pictures, 'coco'" in repr(dataset)


def test_ids_of_three_bytes(tmp_path: Path) -> None:
    ids = np.array([[0, 255, 256], [65535, 65536, 2**24 - 1]], np.int32)
    save_ids(tmp_path / "a.png", ids)
    assert (read_panoptic_png(tmp_path / "a.png") == ids).all()


# Bad entries. Each case spoils the first of two; `early` is what the quick check finds.

INFO = ("annotations", 0, "segments_info")


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("annotations", 0), 5, "annotation 1: found 5, expected a JSON object with the key 'file_name'"),
        (("annotations", 0, "file_name"), None, "annotation 1: 'file_name' is missing, expected a string"),
        (("annotations", 0, "image_id"), "7", "0.png: 'image_id' is '7', expected a whole number"),
        (("annotations", 0, "image_id"), 7, "0.png: image_id 7 is not among the 'images' of the JSON"),
        (("images", 0, "file_name"), None, "0.png: image_id 1000 is not among the 'images' of the JSON"),
        (("images",), None, "0.png: image_id 1000 is not among"),
        (INFO, [], "0.png: it has no segments"),
        (INFO, {}, "0.png: 'segments_info' is {}, expected a list"),
        ((*INFO, 0), "x", "0.png: found 'x', expected a JSON object with the key 'id'"),
        ((*INFO, 0, "id"), True, "0.png: 'id' is True, expected a whole number"),
        ((*INFO, 0, "id"), 0, "0.png: segment id 0 is not between 1 and 16777215"),
        ((*INFO, 0, "id"), 2**24, "0.png: segment id 16777216 is not"),
        ((*INFO, 0, "id"), 70000, "0.png: segment id 70000 stands twice"),
        ((*INFO, 0, "category_id"), 12, "0.png: category_id 12 of segment 300 is not in vocabulary 'coco'"),
    ],
)
def test_what_is_wrong_in_the_json_of_one_picture(
    folders: dict[str, Path], keys: tuple[Any, ...], value: Any, message: str
) -> None:
    edit_json(folders["annotations"], keys, value)
    dataset = CocoPanoptic(**folders)
    assert dataset.problems()[0].startswith(message)
    with pytest.raises(SourceError) as caught:
        dataset.read(0)
    assert str(caught.value).startswith(message)
    if keys != ("images",):
        assert dataset.read(1).name == "1.png"


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_missing_file_is_found_without_reading(folders: dict[str, Path], kind: str) -> None:
    path = folders[kind] / "0.png"
    path.unlink()
    dataset = CocoPanoptic(**folders)
    assert dataset.problems() == {0: f"no file {str(path)!r}"}
    with pytest.raises(SourceError, match=f"cannot open '{path}': No such file"):
        dataset.read(0)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def overwrite_with_text(path: Path) -> None:
    path.write_text("no picture")


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("kind", ["images", "masks"])
@pytest.mark.parametrize("spoil", [shorten, overwrite_with_text, empty])
def test_damaged_files(folders: dict[str, Path], kind: str, spoil: Callable[[Path], None]) -> None:
    path = folders[kind] / "0.png"
    Image.effect_noise((60, 40), 50).convert("RGB").save(path)  # large enough to lose its end
    spoil(path)
    dataset = CocoPanoptic(**folders)
    assert dataset.problems() == {}  # only reading shows
    with pytest.raises(DecodeError, match=f"'{path}' is (damaged|not a picture)"):
        dataset.read(0)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16"])
def test_masks_of_another_kind(folders: dict[str, Path], mode: str) -> None:
    Image.new(mode, (60, 40)).save(folders["masks"] / "0.png")
    with pytest.raises(DecodeError, match=rf"0\.png' has pixels of type '{mode}', expected RGB with id = R \+ 256 G"):
        CocoPanoptic(**folders).read(0)


@pytest.mark.parametrize(("size_hw", "hint"), [((30, 60), ""), ((60, 40), ", its EXIF orientation applied,")])
def test_sizes_must_be_equal(folders: dict[str, Path], size_hw: tuple[int, int], hint: str) -> None:
    height, width = size_hw
    Image.new("RGB", (width, height)).save(folders["images"] / "0.png")
    with pytest.raises(
        SourceError, match=rf"pictures/0\.png'{hint} has {height}x{width} pixels, but .* 40x60, expected"
    ):
        CocoPanoptic(**folders).read(0)


def test_a_segment_of_the_json_without_pixels(folders: dict[str, Path]) -> None:
    edit_json(folders["annotations"], INFO, [*Scene().segments, segment(5, CAR)])
    with pytest.raises(SourceError, match=r"0\.png' has no pixel of segment id 5, which the JSON lists"):
        CocoPanoptic(**folders).read(0)


def test_a_segment_of_the_mask_without_json(folders: dict[str, Path]) -> None:
    ids = Scene().ids()
    ids[0, :7] = np.arange(11, 18)
    save_ids(folders["masks"] / "0.png", ids)
    message = r"0\.png' has segment id 11, 12, 13, 14, 15 and 2 more, which the JSON does not list"
    with pytest.raises(SourceError, match=message):
        CocoPanoptic(**folders).read(0)


@pytest.mark.parametrize("place", [(0, 0), (-1, -1), (0, -1), (-1, 0)])
def test_a_single_pixel_of_a_foreign_id_is_seen_anywhere(folders: dict[str, Path], place: tuple[int, int]) -> None:
    ids = Scene().ids()
    ids[place] = 11
    save_ids(folders["masks"] / "0.png", ids)
    with pytest.raises(SourceError, match="has segment id 11, which"):
        CocoPanoptic(**folders).read(0)


def test_a_crowd_is_known_but_not_learned(folders: dict[str, Path]) -> None:
    edit_json(folders["annotations"], INFO, [segment(300, SKY), segment(70000, PERSON, iscrowd=1)])
    annotated = CocoPanoptic(**folders).read(0)
    targets = targets_from_ids(annotated.ids, annotated.segments)
    assert len(targets) == 1
    assert (targets.masks[0].numpy() == (Scene().ids() == 300)).all()


def test_check_names_ten_and_counts_the_rest(tmp_path: Path) -> None:
    folders = write_coco(tmp_path, [Scene()] * 14)
    for number in range(1, 14):
        (folders["images"] / f"{number}.png").unlink()
    with pytest.raises(SourceError) as caught:
        CocoPanoptic(**folders).check()
    message = str(caught.value)
    assert message.startswith(f"13 of 14 entries of {str(folders['annotations'])!r} cannot be used: no file ")
    assert message.count("no file ") == 10
    assert message.endswith("; and 3 more")


def test_check_passes_good_data(folders: dict[str, Path]) -> None:
    CocoPanoptic(**folders).check()


# The data set as a whole.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "are not valid JSON"),
        ("\x00\xff", "are not valid JSON"),
        ("[" * 100_000, "are not valid JSON"),
        ("[]", "holds no list 'annotations', expected panoptic annotations"),
        ('{"annotations": {}}', "holds no list 'annotations'"),
        ('{"annotations": []}', "has no annotations, expected at least one"),
    ],
)
def test_a_json_of_no_use(folders: dict[str, Path], text: str, message: str) -> None:
    folders["annotations"].write_text(text, encoding="latin-1")
    with pytest.raises(SourceError, match=message) as caught:
        CocoPanoptic(**folders)
    assert str(folders["annotations"]) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["images", "masks", "annotations"])
def test_what_is_not_there(folders: dict[str, Path], kind: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere'.*check the path"):
        CocoPanoptic(**{**folders, kind: tmp_path / "nowhere"})


@pytest.mark.parametrize("categories", [5, ["x"], [{"id": [1], "isthing": 1}], [{"id": 1}]])
def test_categories_that_say_nothing_are_no_obstacle(folders: dict[str, Path], categories: Any) -> None:
    edit_json(folders["annotations"], ("categories",), categories)
    assert len(CocoPanoptic(**folders)) == 2


def test_a_vocabulary_with_other_ids_is_refused(folders: dict[str, Path]) -> None:
    edit_json(folders["annotations"], ("categories",), [{"id": PERSON, "name": "person", "isthing": 1}])
    CocoPanoptic(**folders)
    wrong = Vocabulary("mine", (Category(PERSON, ("sky",), False), Category(SKY, ("person",), True)))
    with pytest.raises(ConfigError, match=r"category 1 is the thing 'person' in .*, but the stuff 'sky' in vocabulary"):
        CocoPanoptic(**folders, vocabulary=wrong)

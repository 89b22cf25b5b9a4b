"""Each kind of data, from settings to a batch."""

import json
from pathlib import Path

import pytest
from PIL import Image

from streamseg.errors import SourceError
from streamseg.training.data.folder_source import FolderSource
from streamseg.training.data.jitter import LargeScaleJitter
from streamseg.training.data.sources import build_source
from streamseg.training.settings import CocoData, DataSettings, TrainSettings, VipsegData, WorldData
from tests.training.annotated_folders import PERSON, SKY, Scene, save_ids, segment, write_coco

JITTER = LargeScaleJitter(size=64)


def settings(data: DataSettings) -> TrainSettings:
    return TrainSettings(data=data, batch_size=3, seed=4)


def test_coco(tmp_path: Path) -> None:
    paths = {name: str(path) for name, path in write_coco(tmp_path, [Scene(), Scene(seed=1)]).items()}
    source = build_source(settings(CocoData(**paths, jitter=JITTER)))
    assert isinstance(source, FolderSource)
    assert (source.batch_size, source.seed, source.augment, source.bad_data) == (3, 4, JITTER, "refuse")
    batch = source.batch(5, [2])
    assert batch.images.shape == (1, 3, 64, 64)
    assert len(batch.vocabulary) == 133


def test_coco_with_words_of_ones_own(tmp_path: Path) -> None:
    paths = {name: str(path) for name, path in write_coco(tmp_path, [Scene()]).items()}
    words = tmp_path / "words.yaml"
    words.write_text("categories: [{names: [human], isthing: true, id: 1}, {names: [air], isthing: false, id: 187}]")
    source = build_source(settings(CocoData(**paths, vocabulary=str(words), jitter=JITTER, bad_data="skip")))
    [vocabulary] = source.vocabularies
    assert [category.label for category in vocabulary.categories] == ["human", "air"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    paths = {name: str(path) for name, path in write_coco(tmp_path, [Scene()]).items()}
    with pytest.raises(SourceError, match="elsewhere"):
        build_source(settings(CocoData(**{**paths, "masks": str(tmp_path / "elsewhere")})))


def test_vipseg(tmp_path: Path) -> None:
    """One video of one frame; its JSON lists the categories itself."""
    for folder in ("frames", "truth"):
        (tmp_path / folder / "street").mkdir(parents=True)
    Image.fromarray(Scene().picture()).save(tmp_path / "frames" / "street" / "1.png")
    save_ids(tmp_path / "truth" / "street" / "1.png", Scene().ids())
    frame = {"image_id": "1", "file_name": "1.png", "segments_info": [segment(300, SKY), segment(70000, PERSON)]}
    categories = [{"id": SKY, "name": "sky", "isthing": 0}, {"id": PERSON, "name": "person", "isthing": 1}]
    annotations = [{"video_id": "street", "annotations": [frame]}]
    (tmp_path / "gt.json").write_text(json.dumps({"annotations": annotations, "categories": categories}))
    paths = {"images": "frames", "masks": "truth", "annotations": "gt.json"}
    places = {name: str(tmp_path / path) for name, path in paths.items()}
    source = build_source(settings(VipsegData(**places, frame_suffix=".png", jitter=JITTER)))
    batch = source.batch(0, range(3))
    assert batch.images.shape == (3, 3, 64, 64)
    assert sorted(category.label for category in batch.vocabulary.categories) == ["person", "sky"]


def test_world() -> None:
    source = build_source(settings(WorldData(sizes_hw=((32, 64),))))
    batch = source.batch(0, range(2))
    assert batch.images.shape == (2, 3, 32, 64)
    assert batch.vocabulary in source.vocabularies

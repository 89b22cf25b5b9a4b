import logging
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from streamseg.errors import ConfigError, DecodeError, SourceError
from streamseg.training.data.batches import Batch, BatchSource
from streamseg.training.data.coco import CocoPanoptic
from streamseg.training.data.folder_source import FolderSource, epoch_order
from streamseg.training.data.jitter import PADDING, LargeScaleJitter
from tests.training.annotated_folders import SKY, Scene, segment, write_coco

JITTER = LargeScaleJitter(size=64)
COUNT = 7


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    return write_coco(tmp_path, [Scene(seed=number) for number in range(COUNT)])


def source(folders: dict[str, Path], **settings: Any) -> FolderSource:
    return FolderSource(CocoPanoptic(**folders), **{"batch_size": 3, "seed": 5, "augment": JITTER, **settings})


def names(data: FolderSource, steps: int, first: int = 0) -> list[str]:
    return [data.example(step, position).name for step in range(first, first + steps) for position in range(3)]


def assert_equal(ours: Batch, theirs: Batch) -> None:
    assert (ours.images == theirs.images).all()
    for a, b in zip(ours.targets, theirs.targets, strict=True):
        assert torch.equal(a.labels, b.labels)
        assert torch.equal(a.masks, b.masks)


# Which pictures come when.


def test_a_batch(folders: dict[str, Path]) -> None:
    data: BatchSource = source(folders)
    batch = data.batch(0, [0, 1, 2])
    assert (batch.images.dtype, tuple(batch.images.shape)) == (torch.uint8, (3, 3, 64, 64))
    assert batch.images.is_contiguous()
    assert [targets.masks.shape[1:] for targets in batch.targets] == [(64, 64)] * 3
    assert list(data.vocabularies) == [batch.vocabulary]
    assert batch.vocabulary.name == "coco"


def test_nothing_comes_twice_in_an_epoch(folders: dict[str, Path]) -> None:
    row = names(source(folders), steps=14)
    epochs = [row[start : start + COUNT] for start in range(0, len(row), COUNT)]
    assert len(epochs) == 6
    assert all(sorted(epoch) == [f"{number}.png" for number in range(COUNT)] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6  # a fresh order for each


def test_seeds_decide_order_and_augmentation(folders: dict[str, Path]) -> None:
    assert names(source(folders, seed=1), steps=5) != names(source(folders, seed=2), steps=5)
    assert (source(folders, seed=1).batch(0, [0]).images != source(folders, seed=2).batch(0, [0]).images).any()


def test_epoch_order_is_kept_read_only() -> None:
    order = epoch_order(3, 0, 100)
    assert sorted(order.tolist()) == list(range(100))
    with pytest.raises(ValueError, match="read-only"):
        order[0] = 1


def test_the_same_picture_looks_different_in_each_epoch(tmp_path: Path) -> None:
    data = source(write_coco(tmp_path, [Scene()]), batch_size=1)
    first, second = (data.batch(step, [0]) for step in (0, 1))
    assert (first.images != second.images).any()


def test_workers_share_a_batch(folders: dict[str, Path]) -> None:
    whole = source(folders).batch(4, [0, 1, 2])
    one, two = source(folders), source(folders)
    parts = [one.batch(4, [0]), two.batch(4, [1, 2])]
    joined = Batch(torch.cat([part.images for part in parts]), parts[0].targets + parts[1].targets, parts[0].vocabulary)
    assert_equal(joined, whole)


def test_a_batch_depends_on_nothing_but_its_number(folders: dict[str, Path]) -> None:
    data = source(folders)
    later = data.batch(9, [0, 1, 2])
    assert_equal(source(folders).batch(9, [0, 1, 2]), later)  # as a resumed run would have it
    copy = pickle.loads(pickle.dumps(data))
    assert_equal(copy.batch(9, [0, 1, 2]), later)


def test_threads_see_the_same_batches(folders: dict[str, Path]) -> None:
    data = source(folders)
    expected = [source(folders).batch(step, [0, 1, 2]) for step in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for ours, theirs in zip(pool.map(lambda step: data.batch(step, [0, 1, 2]), range(8)), expected, strict=True):
            assert_equal(ours, theirs)


def test_without_jitter_pictures_and_masks_are_those_on_disk(tmp_path: Path) -> None:
    folders = write_coco(tmp_path, [Scene(size_hw=(64, 64))])
    data = source(folders, augment=LargeScaleJitter(size=64, scale=(1.0, 1.0), flip=0.0), batch_size=1)
    example = data.example(0, 0)
    assert (example.image.permute(1, 2, 0).numpy() == Scene(size_hw=(64, 64)).picture()).all()
    ids = Scene(size_hw=(64, 64)).ids()
    assert (example.targets.masks.numpy() == np.stack((ids == 300, ids == 70000))).all()
    labels = [data.dataset.vocabulary.categories[label].label for label in example.targets.labels]
    assert labels == ["sky", "person"]


def test_crops_without_any_segment_are_fine(tmp_path: Path) -> None:
    """The person in the lower left is out of sight in half of the crops, and a crowd is never in it."""
    scene = Scene(segments=[segment(300, SKY, iscrowd=1), segment(70000, SKY)])
    data = source(write_coco(tmp_path, [scene]), augment=LargeScaleJitter(size=32, scale=(4.0, 4.0), flip=1.0))
    sizes = {len(data.example(step, position).targets) for step in range(10) for position in range(3)}
    assert sizes == {0, 1}


def test_real_pictures(shared_dir: Path) -> None:
    root = shared_dir / "data" / "coco_panoptic_sample"
    dataset = CocoPanoptic(
        images=root / "input_images",
        annotations=root / "panoptic_examples.json",
        masks=root / "panoptic_examples",
    )
    batch = FolderSource(dataset, batch_size=2, seed=0, augment=LargeScaleJitter(size=256)).batch(3, [0, 1])
    assert tuple(batch.images.shape) == (2, 3, 256, 256)
    for image, targets in zip(batch.images, batch.targets, strict=True):
        assert len(targets) > 0
        assert targets.masks.any(dim=(1, 2)).all()
        assert targets.masks.sum(dim=0).max() == 1  # segments do not overlap
        padding = (image == PADDING).all(dim=0)
        assert (targets.masks.any(dim=0) & padding).float().mean() < 0.01


# Bad data.


def test_refuse_checks_the_folder_first(folders: dict[str, Path]) -> None:
    (folders["images"] / "3.png").unlink()
    with pytest.raises(SourceError, match=r"1 of 7 entries .*3\.png': repair the data, or set bad_data to 'skip'"):
        source(folders)


def test_refuse_ends_with_what_reading_finds(folders: dict[str, Path]) -> None:
    (folders["images"] / "3.png").write_bytes(b"no picture")
    data = source(folders)
    with pytest.raises(DecodeError, match=r"3\.png' is not a picture.*: repair the data, or set bad_data to 'skip'"):
        names(data, steps=3)


def test_skip_takes_the_next_good_one(folders: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    good = names(source(folders), steps=7)
    bad = good[1]
    (folders["images"] / bad).write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING):
        data = source(folders, bad_data="skip")
        found = names(data, steps=7)
    for start in range(0, 21, COUNT):
        epoch = good[start : start + COUNT]
        expected = [epoch[(place + 1) % COUNT] if name == bad else name for place, name in enumerate(epoch)]
        assert found[start : start + COUNT] == expected
    assert len(caplog.records) == 1  # named once, although met in each epoch
    assert bad in caplog.text
    assert list(data.bad_entries.values()) == [
        f"{str(folders['images'] / bad)!r} is not a picture that can be read, expected JPEG, PNG, WebP or the like"
    ]


def test_skipping_does_not_depend_on_what_was_met_before(folders: dict[str, Path]) -> None:
    for number in (0, 2, 3, 6):
        (folders["masks"] / f"{number}.png").write_bytes(b"no picture")
    seasoned = source(folders, bad_data="skip")
    assert len(names(seasoned, steps=10)) == 30
    for step in (0, 3, 11):
        assert_equal(source(folders, bad_data="skip").batch(step, [0, 1, 2]), seasoned.batch(step, [0, 1, 2]))


def test_skip_names_what_the_check_finds_and_counts(folders: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    (folders["images"] / "1.png").unlink()
    (folders["masks"] / "4.png").unlink()
    with caplog.at_level(logging.WARNING):
        data = source(folders, bad_data="skip")
        assert set(names(data, steps=7)) == {f"{number}.png" for number in (0, 2, 3, 5, 6)}
    assert [record.getMessage() for record in caplog.records] == [
        f"skipped: no file {str(folders['images'] / '1.png')!r}",
        f"skipped: no file {str(folders['masks'] / '4.png')!r}",
        "2 of 7 entries are skipped",
    ]


def test_the_log_stays_short(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folders = write_coco(tmp_path, [Scene(seed=number) for number in range(30)])
    for number in range(25):
        Image.new("L", (60, 40)).save(folders["masks"] / f"{number}.png")
    with caplog.at_level(logging.WARNING):
        data = source(folders, bad_data="skip")
        names(data, steps=10)
    assert len(caplog.records) == 11
    assert caplog.records[-1].getMessage() == "further bad entries are skipped without a line each"
    assert len(data.bad_entries) == 25


def test_skipped_entries_are_not_named_again_by_a_copy(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    (folders["images"] / "1.png").unlink()
    data = source(folders, bad_data="skip")
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        names(pickle.loads(pickle.dumps(data)), steps=7)
    assert caplog.records == []


def test_nothing_left(folders: dict[str, Path]) -> None:
    for path in folders["masks"].iterdir():
        path.write_bytes(b"no picture")
    data = source(folders, bad_data="skip")
    with pytest.raises(SourceError, match=r"no entry of '.*panoptic\.json' can be used"):
        data.batch(0, [0])
    for path in folders["masks"].iterdir():
        path.unlink()
    with pytest.raises(SourceError, match=r"no entry of .* can be used \(the first: no file .*0\.png'\)"):
        source(folders, bad_data="skip")


# Settings.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch size 0: expected at least 1"),
        ({"seed": -1}, "seed -1: expected at least 0"),
        ({"bad_data": "ignore"}, "bad_data 'ignore': expected one of refuse, skip"),
    ],
)
def test_settings_out_of_range(folders: dict[str, Path], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        source(folders, **settings)


@pytest.mark.parametrize(("step", "position"), [(0, 3), (0, -1), (-1, 0)])
def test_positions_outside_of_the_batch(folders: dict[str, Path], step: int, position: int) -> None:
    with pytest.raises(ValueError, match="expected position 0 to 2"):
        source(folders).example(step, position)

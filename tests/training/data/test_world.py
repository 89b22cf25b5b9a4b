"""Training pictures: a function of step and position, labelled right, without anything that is held out."""

import numpy as np
import pytest
import torch

from streamseg.errors import ConfigError
from streamseg.fcclip.targets import Targets
from streamseg.training.data import world
from streamseg.training.data.batches import Batch
from streamseg.training.data.world import MIN_AREA, WorldSource
from streamseg.world.names import UNSEEN_SHAPES, exposure, pair_exposure, training_vocabularies
from streamseg.world.renderer import RenderedWorld, render
from streamseg.world.snapshot import Snapshot, WorldSegment

SIZE_HW = (64, 96)


def source(seed: int = 3, **options: object) -> WorldSource:
    return WorldSource(**({"seed": seed, "sizes_hw": (SIZE_HW,), "height_pixels": 64} | options))  # type: ignore[arg-type]


def assert_equal(one: Targets, other: Targets) -> None:
    torch.testing.assert_close(one.labels.cpu(), other.labels.cpu(), rtol=0, atol=0)
    torch.testing.assert_close(one.masks.cpu(), other.masks.cpu(), rtol=0, atol=0)


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Snapshot, RenderedWorld]]:
    """Every moment that was painted, with its truth."""
    seen: list[tuple[Snapshot, RenderedWorld]] = []

    def recorded(snapshot: Snapshot, size_hw: tuple[int, int]) -> RenderedWorld:
        seen.append((snapshot, render(snapshot, size_hw)))
        return seen[-1][1]

    monkeypatch.setattr(world, "render", recorded)
    return seen


# A function of step and position.


@pytest.mark.parametrize("device", [None, "cpu"])
def test_a_picture_does_not_depend_on_who_asks_for_what_else(device: str | None) -> None:
    whole = source(device=device).batch(7, [0, 1, 2, 3])
    for positions in ([2], [3, 0], [0, 1]):
        part = source(device=device).batch(7, positions)
        assert part.vocabulary is whole.vocabulary
        torch.testing.assert_close(part.images, whole.images[positions], rtol=0, atol=0)
        for found, position in zip(part.targets, positions, strict=True):
            assert_equal(found, whole.targets[position])


def test_steps_positions_and_seeds_differ() -> None:
    pictures = [
        *source().batch(0, [0, 1]).images,
        *source().batch(1, [0]).images,
        *source(seed=4).batch(0, [0]).images,
    ]
    for index, one in enumerate(pictures):
        for other in pictures[index + 1 :]:
            assert (one != other).float().mean() > 0.3


# Shapes and kinds.


@pytest.mark.parametrize("device", [None, "cpu"])
def test_what_a_batch_is_made_of(device: str | None) -> None:
    batch = source(device=device).batch(0, [0, 1])
    assert (batch.images.shape, batch.images.dtype) == ((2, 3, *SIZE_HW), torch.uint8)
    assert batch.images.is_contiguous()
    for targets in batch.targets:
        assert targets.masks.shape == (len(targets), *SIZE_HW)
        assert len(targets) > 0
        assert targets.masks.sum(0).max() == 1
        assert targets.masks.flatten(1).sum(1).min() >= MIN_AREA
        assert targets.labels.max() < len(batch.vocabulary.categories)


def test_all_sizes_and_both_vocabularies_come_up() -> None:
    sizes = ((32, 64), (64, 64), (64, 96))
    batches = [source(sizes_hw=sizes).batch(step, [0]) for step in range(30)]
    assert {tuple(batch.images.shape[-2:]) for batch in batches} == set(sizes)
    assert {batch.vocabulary.name for batch in batches} == {"world-training-shapes", "world-training-colors"}
    assert list(source().vocabularies) == list(training_vocabularies())


def test_the_share_of_batches_with_colours() -> None:
    names = [source(color_share=share).batch(step, [0]).vocabulary.name for share in (0, 1) for step in range(4)]
    assert names == ["world-training-shapes"] * 4 + ["world-training-colors"] * 4


# Labels.


def named(segment: WorldSegment, batch: Batch) -> str:
    kind = segment.composition
    return f"{kind.color} {kind.shape}" if kind is not None and "colors" in batch.vocabulary.name else segment.label


@pytest.mark.parametrize("color_share", [0.0, 1.0])
def test_labels_and_masks_are_the_truth(color_share: float, painted: list[tuple[Snapshot, RenderedWorld]]) -> None:
    for step in range(6):
        painted.clear()
        batch = source(color_share=color_share, difficulty=(0.8, 1.0)).batch(step, [0, 1])
        for targets, (_, rendered) in zip(batch.targets, painted, strict=True):
            expected = [entry for entry in rendered.segments if not entry.iscrowd and entry.area >= MIN_AREA]
            labels = [batch.vocabulary.categories[label].label for label in targets.labels.tolist()]
            assert labels == [named(entry, batch) for entry in expected]
            for mask, entry in zip(targets.masks.numpy(), expected, strict=True):
                np.testing.assert_array_equal(mask, rendered.ids == entry.id)
                assert mask.sum() == entry.area


def test_crowds_clutter_and_slivers_are_void(painted: list[tuple[Snapshot, RenderedWorld]]) -> None:
    left_out = {"crowd": 0, "clutter": 0, "sliver": 0}
    for step in range(16):
        painted.clear()
        batch = source(difficulty=(1.0, 1.0)).batch(step, [0, 1, 2])
        for targets, (_, rendered) in zip(batch.targets, painted, strict=True):
            covered = targets.masks.any(0).numpy()
            assert not covered[rendered.ids == 0].any()
            left_out["clutter"] += int((rendered.ids == 0).sum())
            for entry in rendered.segments:
                if entry.iscrowd or entry.area < MIN_AREA:
                    assert not covered[rendered.ids == entry.id].any()
                    left_out["crowd" if entry.iscrowd else "sliver"] += 1
    assert all(left_out.values()), left_out


def test_nothing_held_out_is_ever_shown(painted: list[tuple[Snapshot, RenderedWorld]]) -> None:
    for step in range(40):
        source(difficulty=(0.0, 0.6)).batch(step, [0, 1])
    kinds = {sprite.composition for snapshot, _ in painted for sprite in snapshot.sprites if sprite.id}
    assert len(kinds) > 150
    assert {exposure(kind) for kind in kinds} == {"seen"}
    assert {kind.shape for kind in kinds}.isdisjoint(UNSEEN_SHAPES)


def test_no_vocabulary_names_what_is_held_out() -> None:
    for vocabulary in source().vocabularies:
        for category in vocabulary.categories:
            *color, shape = category.label.split(" ", 1) if "colors" in vocabulary.name else [category.label]
            assert shape not in UNSEEN_SHAPES
            if color and category.isthing:
                assert pair_exposure(shape, color[0]) == "seen"


# Windows.


def test_windows_see_the_scene_at_the_scale_that_was_asked_for(painted: list[tuple[Snapshot, RenderedWorld]]) -> None:
    for step in range(12):
        source(height_pixels=128, scale=(0.5, 2.0)).batch(step, [0, 1, 2])
    scales = [snapshot.camera.zoom * SIZE_HW[0] / 128 for snapshot, _ in painted]
    assert 0.5 <= min(scales) < 0.7
    assert 1.4 < max(scales) <= 2.0


def test_a_window_stays_within_its_scene(painted: list[tuple[Snapshot, RenderedWorld]]) -> None:
    for step in range(12):
        source(height_pixels=128).batch(step, [0, 1, 2])
    for snapshot, _ in painted:
        camera = snapshot.camera
        half_height = 0.5 / camera.zoom
        half_width = half_height * SIZE_HW[1] / SIZE_HW[0]
        assert abs(camera.x) + half_width <= 1.75 / 2 + 1e-9
        assert abs(camera.y) + half_height <= 0.5 + 1e-9


# On a device.


def test_on_a_device_the_targets_are_nearly_the_same() -> None:
    """Small things at the edge of what counts may come or go with their last pixels."""
    for step in range(4):
        batch, other = source().batch(step, [0, 1, 2]), source(device="cpu").batch(step, [0, 1, 2])
        assert batch.vocabulary is other.vocabulary
        assert (batch.images.int() - other.images.int()).abs().float().mean() < 16
        for one, two in zip(batch.targets, other.targets, strict=True):
            maps = [torch.zeros(SIZE_HW, dtype=torch.int64) for _ in range(2)]
            for target, labels in zip((one, two), maps, strict=True):
                for label, mask in zip(target.labels, target.masks, strict=True):
                    labels[mask] = label + 1
            assert (maps[0] == maps[1]).float().mean() > 0.97


@pytest.mark.parametrize("color_share", [0.0, 1.0])
def test_on_a_device_areas_are_counted(color_share: float) -> None:
    batch = source(device="cpu", color_share=color_share, difficulty=(1.0, 1.0)).batch(1, [0, 1, 2])
    for targets in batch.targets:
        assert targets.masks.flatten(1).sum(1).min() >= MIN_AREA
        assert targets.masks.sum(0).max() <= 1
        assert (targets.labels.dtype, targets.masks.dtype) == (torch.int64, torch.bool)


@pytest.mark.cuda
def test_on_a_gpu_everything_is_there() -> None:
    batch = source(device="cuda").batch(0, [0, 1])
    expected = source(device="cpu").batch(0, [0, 1])
    assert batch.images.is_cuda
    assert all(targets.masks.is_cuda and targets.labels.is_cuda for targets in batch.targets)
    for one, other in zip(batch.targets, expected.targets, strict=True):
        assert one.labels.tolist() == other.labels.tolist()
        assert (one.masks.cpu() == other.masks).float().mean() > 0.999


# What cannot be.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes_hw": ((60, 96),)}, "training size 60x96: expected multiples of 32"),
        ({"sizes_hw": ((0, 96),)}, "training size 0x96"),
        ({"sizes_hw": ()}, "sizes_hw is empty, expected at least one"),
        ({"scale": (0.0, 1.0)}, "scale runs from 0.0 to 1.0, expected 0 < smallest <= largest"),
        ({"scale": (2.0, 1.0)}, "scale runs from 2.0 to 1.0"),
        ({"difficulty": (0.0, 1.5)}, "difficulty is 1.5, expected a number from 0 to 1"),
    ],
)
def test_settings_that_make_no_sense(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        source(**options)

"""Training pictures out of the procedural world: never the same twice, with exact truth."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from ...errors import ConfigError
from ...fcclip.targets import Targets
from ...vocabulary import Vocabulary
from ...world.device import render_batch
from ...world.dials import Dials
from ...world.names import Composition, training_vocabularies
from ...world.renderer import render
from ...world.seeds import generator
from ...world.snapshot import Camera, Snapshot, stuff_id
from ...world.stills import random_still
from .batches import Batch

__all__ = ["WorldSource"]

SCENE_ASPECT = 1.75
MIN_AREA = 12  # pixels; slivers of hidden things teach nothing


class WorldSource:
    """Windows into scenes of seen compositions (`BatchSource`).

    A window is jittered in scale and place, as large-scale jitter does for photographs. Each batch has one size and one
    vocabulary: shapes, or pairs of colour and shape.

    Args:
        seed: which pictures; scores use other seeds, in a namespace of their own.
        sizes_hw: sizes in pixels, multiples of 32, one of which each batch has.
        height_pixels: pixels in which a scene of height 1 is seen at scale 1; what inference will use.
        scale: smallest and largest of the jitter.
        difficulty: smallest and largest, one for each picture.
        color_share: share of the batches that are labelled with colour and shape.
        device: where pictures and targets are made. None paints on the CPU, as pictures for scores are; a GPU is
            faster by far, and its pictures differ a little (`world.device`).

    Raises:
        ConfigError: a size is no multiple of 32, or a range makes no sense.
    """

    def __init__(
        self,
        *,
        seed: int,
        sizes_hw: Sequence[tuple[int, int]] = ((256, 448),),
        height_pixels: int = 256,
        scale: tuple[float, float] = (0.7, 1.4),
        difficulty: tuple[float, float] = (0.0, 0.8),
        color_share: float = 0.5,
        device: torch.device | str | None = None,
    ) -> None:
        if not sizes_hw:
            raise ConfigError("sizes_hw is empty, expected at least one training size")
        for height, width in sizes_hw:
            if height % 32 or width % 32 or min(height, width) < 32:
                raise ConfigError(f"training size {height}x{width}: expected multiples of 32")
        if not 0 < scale[0] <= scale[1]:
            raise ConfigError(f"scale runs from {scale[0]} to {scale[1]}, expected 0 < smallest <= largest")
        for value in difficulty:
            Dials.from_difficulty(value)
        self.seed = seed
        self.sizes_hw = tuple(sizes_hw)
        self.height_pixels = height_pixels
        self.scale = scale
        self.difficulty = difficulty
        self.color_share = color_share
        self.device = None if device is None else torch.device(device)

    @property
    def vocabularies(self) -> Sequence[Vocabulary]:
        """Shapes; pairs of colour and shape."""
        return training_vocabularies()

    def batch(self, step: int, positions: Sequence[int]) -> Batch:
        """The pictures at `positions` of batch number `step`."""
        rng = generator("training batch", self.seed, step)
        by_color = bool(rng.random() < self.color_share)
        size_hw = self.sizes_hw[int(rng.integers(len(self.sizes_hw)))]
        snapshots = [self._snapshot(step, position, size_hw) for position in positions]
        paint = _paint if self.device is None else partial(_paint_on_device, device=self.device)
        images, targets = paint(snapshots, size_hw, by_color)
        return Batch(images, targets, self.vocabularies[by_color])

    def _snapshot(self, step: int, position: int, size_hw: tuple[int, int]) -> Snapshot:
        rng = generator("training picture", self.seed, step, position)
        dials = Dials.from_difficulty(float(rng.uniform(*self.difficulty)))
        scene = random_still(rng, SCENE_ASPECT, "seen", dials)
        return self._window(rng, scene, size_hw)

    def _window(self, rng: np.random.Generator, scene: Snapshot, size_hw: tuple[int, int]) -> Snapshot:
        """The scene through a camera that sees a part of it."""
        scale = math.exp(rng.uniform(math.log(self.scale[0]), math.log(self.scale[1])))
        pixels_per_unit = self.height_pixels * scale
        height, width = size_hw[0] / pixels_per_unit, size_hw[1] / pixels_per_unit
        room_x, room_y = max(0.0, SCENE_ASPECT - width) / 2, max(0.0, 1 - height) / 2
        camera = Camera(
            x=rng.uniform(-room_x, room_x),
            y=rng.uniform(-room_y, room_y),
            zoom=pixels_per_unit / size_hw[0],
            roll=scene.camera.roll,
        )
        return replace(scene, camera=camera)


def _paint(
    snapshots: Sequence[Snapshot], size_hw: tuple[int, int], by_color: bool
) -> tuple[Tensor, tuple[Targets, ...]]:
    """(B, 3, H, W) uint8, and what is in each picture."""
    images, targets = [], []
    for snapshot in snapshots:
        rendered = render(snapshot, size_hw)
        images.append(torch.from_numpy(rendered.rgb).permute(2, 0, 1).contiguous())
        areas = {segment.id: segment.area for segment in rendered.segments}
        targets.append(_targets(torch.from_numpy(rendered.ids), areas, _labels(snapshot, by_color)))
    return torch.stack(images), tuple(targets)


def _paint_on_device(
    snapshots: Sequence[Snapshot], size_hw: tuple[int, int], by_color: bool, *, device: torch.device
) -> tuple[Tensor, tuple[Targets, ...]]:
    """The same on another device, which is waited for once: for the areas."""
    images, ids = render_batch(snapshots, size_hw, device)
    labels = [_labels(snapshot, by_color) for snapshot in snapshots]
    every = sorted(set().union(*labels))
    places = torch.tensor(every, dtype=torch.int32, device=device)
    counts = torch.stack([(ids == id_).sum((1, 2)) for id_ in places]).T.tolist()
    areas = [dict(zip(every, row, strict=True)) for row in counts]
    return images, tuple(map(_targets, ids, areas, labels))


def _targets(ids: Tensor, areas: Mapping[int, int], labels: Mapping[int, int]) -> Targets:
    """The segments of a map (H, W) that have a name and are large enough."""
    wanted = [id_ for id_ in labels if areas.get(id_, 0) >= MIN_AREA]
    numbers = torch.tensor(wanted, dtype=torch.int32, device=ids.device)
    places = torch.tensor([labels[id_] for id_ in wanted], dtype=torch.int64, device=ids.device)
    return Targets(places, ids == numbers[:, None, None])


def _labels(snapshot: Snapshot, by_color: bool) -> dict[int, int]:
    """What can be taught of a picture: id and place in the vocabulary, by id. Crowds and clutter have no place."""
    places = _places(by_color)
    stuff = {stuff_id(region.stuff): places[region.stuff] for region in snapshot.regions}
    things = {
        sprite.id: places[_name(sprite.composition, by_color)]
        for sprite in snapshot.sprites
        if sprite.id != 0 and not sprite.iscrowd
    }
    return dict(sorted((stuff | things).items()))


@cache
def _places(by_color: bool) -> dict[str, int]:
    """Where each label stands in the batch's vocabulary."""
    return {category.label: place for place, category in enumerate(training_vocabularies()[by_color].categories)}


def _name(kind: Composition, by_color: bool) -> str:
    return f"{kind.color} {kind.shape}" if by_color else kind.shape

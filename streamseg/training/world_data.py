"""Training pictures out of the procedural world: never the same twice, with exact truth."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch

from ..errors import ConfigError
from ..fcclip.targets import Targets
from ..vocabulary import Vocabulary
from ..world.dials import Dials
from ..world.names import training_vocabularies
from ..world.renderer import RenderedWorld, render
from ..world.seeds import generator
from ..world.snapshot import Camera, Snapshot, WorldSegment
from ..world.stills import random_still
from .batches import Batch, Example, collate

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
    ) -> None:
        for height, width in sizes_hw:
            if height % 32 or width % 32 or min(height, width) < 32:
                raise ConfigError(f"training size {height}x{width}: expected multiples of 32")
        if not 0 < scale[0] <= scale[1]:
            raise ConfigError(f"scale runs from {scale[0]} to {scale[1]}, expected 0 < smallest <= largest")
        self.seed = seed
        self.sizes_hw = tuple(sizes_hw)
        self.height_pixels = height_pixels
        self.scale = scale
        self.difficulty = difficulty
        self.color_share = color_share

    @property
    def vocabularies(self) -> Sequence[Vocabulary]:
        """Shapes; pairs of colour and shape."""
        return training_vocabularies()

    def batch(self, step: int, positions: Sequence[int]) -> Batch:
        """The pictures at `positions` of batch number `step`."""
        rng = generator("training batch", self.seed, step)
        by_color = bool(rng.random() < self.color_share)
        size_hw = self.sizes_hw[int(rng.integers(len(self.sizes_hw)))]
        vocabulary = self.vocabularies[by_color]
        return collate([self._example(step, position, size_hw, by_color) for position in positions], vocabulary)

    def _example(self, step: int, position: int, size_hw: tuple[int, int], by_color: bool) -> Example:
        rng = generator("training picture", self.seed, step, position)
        dials = Dials.from_difficulty(float(rng.uniform(*self.difficulty)))
        scene = random_still(rng, SCENE_ASPECT, "seen", dials)
        rendered = render(self._window(rng, scene, size_hw), size_hw)
        name = f"world picture {position} of step {step}"
        return Example(
            torch.from_numpy(rendered.rgb).permute(2, 0, 1).contiguous(), self._targets(rendered, by_color), name
        )

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

    def _targets(self, rendered: RenderedWorld, by_color: bool) -> Targets:
        segments = [entry for entry in rendered.segments if not entry.iscrowd and entry.area >= MIN_AREA]
        ids = torch.from_numpy(rendered.ids)
        labels = [_places(by_color)[_name(segment, by_color)] for segment in segments]
        wanted = torch.tensor([segment.id for segment in segments], dtype=torch.int32)
        return Targets(torch.tensor(labels, dtype=torch.int64), ids == wanted[:, None, None])


@cache
def _places(by_color: bool) -> dict[str, int]:
    """Where each label stands in the batch's vocabulary."""
    return {category.label: place for place, category in enumerate(training_vocabularies()[by_color].categories)}


def _name(segment: WorldSegment, by_color: bool) -> str:
    kind = segment.composition
    return f"{kind.color} {kind.shape}" if kind is not None and by_color else segment.label

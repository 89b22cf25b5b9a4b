"""Small pictures with captions, for the CLIP's pre-training: one thing on some ground, or nothing but ground.

In a batch of everything, colour and ground tell nearly all captions apart, and a contrastive loss is content with that.
So half of the batches have a theme: their things share colour, or shape, or both, and differ in the rest alone.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .captions import caption
from .dials import Dials
from .layout import Edge, Region, random_layout
from .names import STUFF, Composition, Pool, pool
from .renderer import render
from .seeds import generator
from .snapshot import FIRST_THING_ID, Camera, Pose, Snapshot, Sprite
from .stills import VARIANTS, random_effects
from .textures import TEXTURE_VARIANTS

__all__ = ["Crop", "crop_batch", "render_crop"]

STUFF_SHARE = 0.12  # of the crops show no thing at all
INTRUDER_SHARE = 0.3  # of the crops with a thing show part of another one at the rim
# What the things of a batch share, by the cumulated share of the batches; those beyond the last are of all kinds.
THEMES: tuple[tuple[float, tuple[str, ...]], ...] = (
    (0.15, ("color",)),
    (0.25, ("color", "pattern")),
    (0.35, ("shape",)),
    (0.5, ("shape", "color")),
)
DIALS = Dials.from_difficulty(0.7)

Crop = tuple[NDArray[np.uint8], Composition | None, str]


def crop_batch(
    seed: int, step: int, count: int, size: int, *, things: Pool = "clip"
) -> tuple[NDArray[np.uint8], list[str]]:
    """Crops with captions; the same arguments give the same batch.

    Args:
        seed, step: which batch.
        count: how many.
        size: of each, in pixels.
        things: which compositions may be the subject.

    Returns:
        (count, size, size, 3) uint8 RGB, and one caption for each.
    """
    kinds = _theme(generator("theme", seed, step), pool(things))
    pictures = np.empty((count, size, size, 3), np.uint8)
    captions = []
    for index in range(count):
        rng = generator("crop", seed, step, index)
        pictures[index], kind, ground = render_crop(rng, size, kinds)
        captions.append(caption(kind if kind is not None else ground, ground if kind is not None else None, rng))
    return pictures, captions


def render_crop(rng: np.random.Generator, size: int, kinds: Sequence[Composition]) -> Crop:
    """One crop: the picture (size, size, 3), the thing out of `kinds` it shows, if any, and the largest stuff."""
    if rng.random() < STUFF_SHARE:
        return _ground_crop(rng, size)
    subject = _any(rng, kinds)
    regions = _close_up(rng, random_layout(rng))
    x, y = rng.uniform(-0.12, 0.12, 2)
    sprites = [_sprite(rng, 0, subject, Pose(x, y, _size(rng), _tilt(rng)))]
    if rng.random() < INTRUDER_SHARE:
        direction, size_units = rng.uniform(0, 2 * math.pi), rng.uniform(0.5, 1.0)
        reach = 0.62 + 0.25 * size_units
        pose = Pose(reach * math.cos(direction), reach * math.sin(direction), size_units, _tilt(rng))
        sprites.insert(int(rng.integers(2)), _sprite(rng, 1, _any(rng, kinds), pose))
    snapshot = Snapshot(regions, tuple(sprites), Camera(), random_effects(rng, DIALS))
    rendered = render(snapshot, (size, size))
    stuff = [segment for segment in rendered.segments if not segment.isthing]
    ground = max(stuff, key=lambda segment: segment.area).label if stuff else regions[0].stuff
    return rendered.rgb, subject, ground


def _theme(rng: np.random.Generator, kinds: tuple[Composition, ...]) -> Sequence[Composition]:
    """What the things of one batch are drawn from: all, or those that share something with an example."""
    example, choice = _any(rng, kinds), rng.random()
    shared = next((parts for share, parts in THEMES if choice < share), ())
    return [kind for kind in kinds if all(getattr(kind, part) == getattr(example, part) for part in shared)]


def _any(rng: np.random.Generator, kinds: Sequence[Composition]) -> Composition:
    return kinds[int(rng.integers(len(kinds)))]


def _ground_crop(rng: np.random.Generator, size: int) -> Crop:
    stuff = STUFF[int(rng.integers(len(STUFF)))].name
    surface = Region(
        stuff,
        int(rng.integers(TEXTURE_VARIANTS)),
        Edge("everywhere"),
        scale=math.exp(rng.uniform(math.log(1.2), math.log(6))),
        turn=rng.uniform(0, 2 * math.pi),
    )
    x, y = rng.uniform(-4, 4, 2)
    camera = Camera(x, y)
    return render(Snapshot((surface,), (), camera, random_effects(rng, DIALS)), (size, size)).rgb, None, stuff


def _close_up(rng: np.random.Generator, regions: tuple[Region, ...]) -> tuple[Region, ...]:
    """The same regions with textures as large as they look around a thing that fills the picture."""
    factor = math.exp(rng.uniform(math.log(1.5), math.log(4)))
    return tuple(
        Region(region.stuff, region.variant, region.edge, region.scale * factor, region.turn) for region in regions
    )


def _sprite(rng: np.random.Generator, index: int, kind: Composition, pose: Pose) -> Sprite:
    flipped = Pose(pose.x, pose.y, pose.size, pose.angle, bool(rng.random() < 0.5))
    return Sprite(
        FIRST_THING_ID + index, kind, int(rng.integers(VARIANTS)), flipped, light=float(np.exp(rng.normal(0, 0.1)))
    )


def _size(rng: np.random.Generator) -> float:
    """From a third of the crop to more than all of it: dense features will meet things at every scale."""
    return math.exp(rng.uniform(math.log(0.35), math.log(1.1)))


def _tilt(rng: np.random.Generator) -> float:
    return float(rng.normal(0, 0.25))

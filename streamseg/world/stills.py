"""Single pictures of the world, each from its own seed: for training and for scores."""

import math
from functools import cache

import numpy as np

from .dials import Dials
from .layout import random_layout
from .names import Composition, Pool, pool
from .renderer import RenderedWorld, render
from .seeds import generator
from .snapshot import CROWD_ID, FIRST_THING_ID, Camera, Effects, Pose, Snapshot, Sprite

__all__ = [
    "VARIANTS",
    "pick_kind",
    "random_clutter",
    "random_crowd",
    "random_effects",
    "random_still",
    "render_still",
]

VARIANTS = 4  # looks of one kind of thing; few, so that drawings can be reused
ATTEMPTS = 8  # to find a free place for a thing
CROWD_SIZE = (7, 12)


def render_still(
    seed: int,
    *,
    size_hw: tuple[int, int] = (256, 448),
    things: Pool = "seen",
    difficulty: float = 0.5,
) -> RenderedWorld:
    """One picture and its truth.

    Args:
        seed: which one; at least 0.
        size_hw: height and width in pixels.
        things: which compositions may appear.
        difficulty: 0 to 1.
    """
    rng = generator("still", seed)
    return render(random_still(rng, size_hw[1] / size_hw[0], things, Dials.from_difficulty(difficulty)), size_hw)


def random_still(rng: np.random.Generator, aspect: float, things: Pool, dials: Dials) -> Snapshot:
    """A scene of standing things.

    Args:
        rng: where chance comes from.
        aspect: width of the picture over its height.
        things: which compositions may appear.
        dials: how hard it is.
    """
    regions = random_layout(rng, (aspect, 1.0))
    sprites = _place(rng, aspect, _cast(rng, things, dials), dials)
    if rng.random() < dials.crowds:
        sprites += random_crowd(rng, aspect, pool(things))
    if rng.random() < dials.clutter:
        sprites += random_clutter(rng, aspect, pool(things))
    return Snapshot(regions, tuple(sprites), _camera(rng, dials), random_effects(rng, dials))


def random_effects(rng: np.random.Generator, dials: Dials) -> Effects:
    """Light and camera of one moment."""
    brightness = math.exp(rng.uniform(-0.6, 0.4) * dials.light)
    tint = np.exp(rng.normal(0, 0.1 * dials.light, 3)) * brightness
    compressed = rng.random() < dials.compression
    return Effects(
        gain=(float(tint[0]), float(tint[1]), float(tint[2])),
        blur=float(rng.uniform(0, dials.blur)),
        noise=float(rng.uniform(0, dials.noise)),
        noise_seed=int(rng.integers(2**31)),
        quality=int(rng.integers(35, 95)) if compressed else None,
    )


def pick_kind(rng: np.random.Generator, things: Pool) -> Composition:
    """One kind of thing; shapes are drawn evenly, however many kinds each has."""
    by_shape = _by_shape(things)
    members = by_shape[int(rng.integers(len(by_shape)))]
    return members[int(rng.integers(len(members)))]


@cache
def _by_shape(things: Pool) -> tuple[tuple[Composition, ...], ...]:
    kinds = pool(things)
    shapes = dict.fromkeys(kind.shape for kind in kinds)
    return tuple(tuple(kind for kind in kinds if kind.shape == shape) for shape in shapes)


def _cast(rng: np.random.Generator, things: Pool, dials: Dials) -> list[Composition]:
    """Who appears: each of its own kind, or like one already there."""
    cast: list[Composition] = []
    for _ in range(int(rng.integers(1, dials.things + 1))):
        twin = cast and rng.random() < dials.lookalikes
        cast.append(cast[int(rng.integers(len(cast)))] if twin else pick_kind(rng, things))
    return cast


def _place(rng: np.random.Generator, aspect: float, cast: list[Composition], dials: Dials) -> list[Sprite]:
    """From the farthest to the nearest; a place under too much of others is tried again elsewhere."""
    sizes = sorted(math.exp(rng.uniform(math.log(dials.smallest), math.log(dials.largest))) for _ in cast)
    poses: list[Pose] = []
    for size in sizes:
        for _ in range(ATTEMPTS):
            pose = _pose(rng, aspect, size, dials.turning)
            if all(_overlap(pose, other) <= dials.overlap for other in poses):
                break
        poses.append(pose)
    return [
        Sprite(
            FIRST_THING_ID + index,
            kind,
            int(rng.integers(VARIANTS)),
            pose,
            light=float(np.exp(rng.normal(0, 0.12 * dials.light))),
        )
        for index, (kind, pose) in enumerate(zip(cast, poses, strict=True))
    ]


def _pose(rng: np.random.Generator, aspect: float, size: float, turning: float) -> Pose:
    return Pose(
        x=float(rng.uniform(-0.5, 0.5) * aspect),
        y=float(rng.uniform(-0.45, 0.45)),
        size=size,
        angle=float(rng.uniform(-turning, turning)),
        flipped=bool(rng.random() < 0.5),
    )


def _overlap(pose: Pose, other: Pose) -> float:
    """How much of the smaller one's disc the two share, roughly: 1 where the middles coincide, 0 apart."""
    reach = 0.45 * (pose.size + other.size)
    return max(0.0, 1 - math.hypot(pose.x - other.x, pose.y - other.y) / reach)


def _camera(rng: np.random.Generator, dials: Dials) -> Camera:
    return Camera(
        zoom=math.exp(rng.uniform(-0.5, 0.5) * dials.zoom),
        roll=float(rng.normal(0, 5 * dials.shake)),
    )


def random_crowd(rng: np.random.Generator, aspect: float, kinds: tuple[Composition, ...]) -> list[Sprite]:
    """Many small things of one shape, close together: one segment."""
    shape = kinds[int(rng.integers(len(kinds)))].shape
    members = [kind for kind in kinds if kind.shape == shape]
    x, y = rng.uniform(-0.4, 0.4) * aspect, rng.uniform(-0.35, 0.35)
    crowd = []
    for _ in range(int(rng.integers(*CROWD_SIZE))):
        pose = Pose(x + rng.normal(0, 0.12), y + rng.normal(0, 0.05), rng.uniform(0.1, 0.14))
        kind = members[int(rng.integers(len(members)))]
        crowd.append(Sprite(CROWD_ID, kind, int(rng.integers(VARIANTS)), pose, iscrowd=True))
    return crowd


def random_clutter(rng: np.random.Generator, aspect: float, kinds: tuple[Composition, ...]) -> list[Sprite]:
    """A heap of odds and ends that nobody labelled."""
    x, y = rng.uniform(-0.45, 0.45) * aspect, rng.uniform(-0.4, 0.4)
    heap = []
    for _ in range(5):
        pose = Pose(x + rng.normal(0, 0.05), y + rng.normal(0, 0.05), 0.12, rng.uniform(0, 2 * math.pi))
        heap.append(Sprite(0, kinds[int(rng.integers(len(kinds)))], int(rng.integers(VARIANTS)), pose))
    return heap

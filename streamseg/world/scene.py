"""A scene: a place with residents, passers-by, a moving camera and changing light, at any time.

Everything is a function of the scene's seed and of time. Nothing is simulated step by step, so a frame in the middle of
an hour costs what the first one costs, and memory does not grow.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .dials import Dials
from .layout import Region, random_layout
from .motion import Crossing, Path, Swing, Wander
from .names import Composition, Pool, pool
from .seeds import generator
from .snapshot import FIRST_THING_ID, Camera, Effects, Snapshot, Sprite
from .stills import VARIANTS, pick_kind, random_clutter, random_crowd, random_effects

__all__ = ["IDS_PER_SCENE", "LAST_ID", "Actor", "Scene"]

LAST_ID = 2**24 - 1  # what the three bytes of a panoptic PNG hold
IDS_PER_SCENE = 4096  # identities where there are cuts: residents first, then passers-by until they run out
RESIDENT_IDS = 64
EXPOSURE_SECONDS = 0.01  # how long the shutter is open: motion blur
PASSAGE_MARGIN = 0.1


@dataclass(frozen=True, slots=True)
class Actor:
    """A thing with a path through the scene."""

    id: int
    composition: Composition
    variant: int
    path: Path
    light: float

    def sprite(self, seconds: float) -> Sprite | None:
        pose = self.path.pose(seconds)
        return None if pose is None else Sprite(self.id, self.composition, self.variant, pose, light=self.light)


@dataclass(frozen=True)
class Scene:
    """One place, deterministic in its seed and number.

    Attributes:
        seed: of the world.
        number: of the scene in it; sets the identities apart.
        aspect: width of the frame over its height.
        dials: how hard it is.
        things: which compositions may appear.
    """

    seed: int
    number: int
    aspect: float
    dials: Dials
    things: Pool

    def snapshot(self, seconds: float) -> Snapshot:
        """The moment `seconds` after the scene's beginning."""
        actors = [*self._residents, *self._passers_by(seconds)]
        present = [sprite for actor in actors if (sprite := actor.sprite(seconds)) is not None]
        present.sort(key=lambda sprite: (sprite.pose.size, sprite.id))  # the large ones are near
        camera = self.camera(seconds)
        return Snapshot(self._regions, (*self._background, *present), camera, self._effects(seconds, camera))

    def camera(self, seconds: float) -> Camera:
        """Where the camera looks at that moment."""
        x, y, zoom, roll = self._camera_swings
        tremble = [self.dials.shake * math.sin(f * seconds + p) for f, p in self._tremble]
        return Camera(
            x=x(seconds) + tremble[0],
            y=y(seconds) + tremble[1],
            zoom=math.exp(zoom(seconds)),
            roll=roll(seconds) + tremble[2],
        )

    @cached_property
    def _regions(self) -> tuple[Region, ...]:
        return random_layout(self._generator("layout"), (self.aspect, 1.0))

    @cached_property
    def _background(self) -> tuple[Sprite, ...]:
        """What stands at the back: a crowd, clutter."""
        rng = self._generator("background")
        sprites: list[Sprite] = []
        if rng.random() < self.dials.crowds:
            crowd_id = self._id(RESIDENT_IDS - 1)
            sprites += [replace(sprite, id=crowd_id) for sprite in random_crowd(rng, self.aspect, pool(self.things))]
        if rng.random() < self.dials.clutter:
            sprites += random_clutter(rng, self.aspect, pool(self.things))
        return tuple(sprites)

    @cached_property
    def _residents(self) -> tuple[Actor, ...]:
        rng = self._generator("residents")
        count = int(rng.integers(max(1, self.dials.things // 2), self.dials.things + 1))
        actors: list[Actor] = []
        for index in range(min(count, RESIDENT_IDS - 1 - self.dials.occluders)):
            twin = actors[-1] if actors and rng.random() < self.dials.lookalikes else None
            actors.append(self._twin(rng, index, twin) if twin is not None else self._resident(rng, index))
        for index in range(len(actors), len(actors) + self.dials.occluders):
            actors.append(self._occluder(rng, index))
        return tuple(actors)

    def _resident(self, rng: np.random.Generator, index: int) -> Actor:
        dials = self.dials
        size = math.exp(rng.uniform(math.log(dials.smallest), math.log(dials.largest)))
        leaves = rng.random() < dials.leaving
        reach_x = self.aspect / 2 + size if leaves else rng.uniform(0.1, 0.35) * self.aspect
        path = Wander(
            x=Swing.random(rng, rng.uniform(-0.3, 0.3) * self.aspect, reach_x, dials.speed),
            y=Swing.random(rng, rng.uniform(-0.3, 0.35), rng.uniform(0.03, 0.15), dials.speed / 3),
            angle=Swing.random(rng, 0.0, dials.turning, dials.turning),
            growth=Swing.random(rng, 0.0, rng.uniform(0, 0.4), 0.1 + 0.2 * dials.speed),
            size=size,
            flipped=bool(rng.random() < 0.5),
        )
        return self._actor(rng, index, path)

    def _twin(self, rng: np.random.Generator, index: int, other: Actor) -> Actor:
        """One more of the same kind, that crosses its way: it is about where the other will be half a period on.

        Pace and phase differ a little, so that a twin's twin does not keep to the first one's place.
        """
        path = other.path
        if not isinstance(path, Wander):
            raise TypeError(f"the path of a resident is {type(path).__name__}, expected a Wander")
        mirrored = replace(
            path,
            x=replace(
                path.x,
                frequency=path.x.frequency * rng.uniform(0.85, 1.15),
                phase=path.x.phase + math.pi * rng.uniform(0.7, 1.3),
            ),
            y=replace(path.y, middle=path.y.middle + rng.normal(0, 0.06), phase=path.y.phase + rng.uniform(0, 3)),
            size=path.size * rng.uniform(0.85, 1.15),
            flipped=not path.flipped,
        )
        variant = other.variant if rng.random() < 0.5 else int(rng.integers(VARIANTS))
        return replace(other, id=self._id(index), path=mirrored, variant=variant)

    def _occluder(self, rng: np.random.Generator, index: int) -> Actor:
        path = Wander(
            x=Swing.random(rng, rng.uniform(-0.35, 0.35) * self.aspect, 0.03, 0.02),
            y=Swing.random(rng, rng.uniform(0.0, 0.3), 0.02, 0.02),
            angle=Swing.random(rng, 0.0, 0.05, 0.05),
            growth=Swing(0.0, 0.0, 0.0, 0.0),
            size=rng.uniform(0.75, 1.0),
            flipped=bool(rng.random() < 0.5),
        )
        return self._actor(rng, index, path)

    def _passers_by(self, seconds: float) -> Iterator[Actor]:
        """Those who cross the stage now: one sets out in each slot of time, if the dials say so."""
        period = self.dials.traffic_seconds
        if period <= 0:
            return
        longest = self._passage_seconds(self.dials.largest)
        first = max(0, math.floor((seconds - longest) / period) - 1)
        ids = IDS_PER_SCENE if self.dials.cut_seconds > 0 else LAST_ID - FIRST_THING_ID + 1  # the only scene has all
        for slot in range(first, min(math.floor(seconds / period) + 1, ids - RESIDENT_IDS)):
            yield self._passer_by(slot)

    def _passer_by(self, slot: int) -> Actor:
        rng = self._generator("passer-by", slot)
        dials = self.dials
        size = math.exp(rng.uniform(math.log(dials.smallest), math.log(dials.largest)))
        edge = self._stage_width(size) / 2
        direction = 1 if rng.random() < 0.5 else -1
        y = rng.uniform(-0.3, 0.35)
        path = Crossing(
            start_seconds=(slot + rng.uniform(0, 0.9)) * dials.traffic_seconds,
            seconds=self._passage_seconds(size) * rng.uniform(0.6, 1.0),
            start=(-direction * edge, y),
            end=(direction * edge, y + rng.normal(0, 0.1)),
            angle=Swing.random(rng, 0.0, dials.turning / 2, dials.turning),
            size=size,
            flipped=direction < 0,
        )
        return self._actor(rng, RESIDENT_IDS + slot, path)

    def _stage_width(self, size: float) -> float:
        """So wide that a thing beyond it is out of sight wherever the camera looks."""
        return self.aspect * math.exp(self.dials.zoom) + 2 * self.dials.pan + size + PASSAGE_MARGIN

    def _passage_seconds(self, size: float) -> float:
        return self._stage_width(size) / max(0.05, self.dials.speed)

    def _actor(self, rng: np.random.Generator, index: int, path: Path) -> Actor:
        light = float(np.exp(rng.normal(0, 0.12 * self.dials.light)))
        return Actor(self._id(index), pick_kind(rng, self.things), int(rng.integers(VARIANTS)), path, light)

    @cached_property
    def _camera_swings(self) -> tuple[Swing, Swing, Swing, Swing]:
        rng, dials = self._generator("camera"), self.dials
        return (
            Swing.random(rng, 0.0, dials.pan, 0.3 * dials.pan),
            Swing.random(rng, 0.0, dials.pan / 4, 0.1 * dials.pan),
            Swing.random(rng, 0.0, dials.zoom, 0.2 * dials.zoom),
            Swing.random(rng, 0.0, dials.pan / 20, dials.pan / 20),
        )

    @cached_property
    def _tremble(self) -> list[tuple[float, float]]:
        rng = self._generator("tremble")
        return [(rng.uniform(17, 31), rng.uniform(0, 2 * math.pi)) for _ in range(3)]

    @cached_property
    def _light_swing(self) -> Swing:
        return Swing.random(self._generator("light"), -0.1 * self.dials.light, 0.5 * self.dials.light, 0.4)

    @cached_property
    def _lens(self) -> Effects:
        return random_effects(self._generator("lens"), self.dials)

    def _effects(self, seconds: float, camera: Camera) -> Effects:
        """The scene's own light and lens, with the light of the moment and the smear of the camera's motion."""
        lens = self._lens
        factor = math.exp(self._light_swing(seconds))
        later = self.camera(seconds + EXPOSURE_SECONDS)
        return replace(
            lens,
            gain=(lens.gain[0] * factor, lens.gain[1] * factor, lens.gain[2] * factor),
            smear=((later.x - camera.x) * camera.zoom, (later.y - camera.y) * camera.zoom),
            noise_seed=int(self._generator("noise", round(seconds * 90_000)).integers(2**31)),
        )

    def _id(self, index: int) -> int:
        return FIRST_THING_ID + self.number * IDS_PER_SCENE + index

    def _generator(self, *purpose: str | int) -> np.random.Generator:
        return generator("scene", self.seed, self.number, *purpose)

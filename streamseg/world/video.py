"""The world as a video: frames with pixels and exact truth, of any length, from a seed."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from .dials import Dials
from .names import Pool, pool
from .renderer import render
from .scene import IDS_PER_SCENE, LAST_ID, Scene
from .seeds import generator
from .snapshot import FIRST_THING_ID, Camera, Snapshot, WorldSegment

__all__ = ["World", "WorldFrame"]

SCENES = (LAST_ID + 1 - FIRST_THING_ID) // IDS_PER_SCENE // 2 * 2  # as many as have identities; then they come again
RETURN_CHANCE = 0.6  # that an even shot goes back to one of the last scenes
REMEMBERED_SHOTS = 4
MAX_SECONDS = 1e9
PLURALS = {"bus": "buses", "butterfly": "butterflies", "cactus": "cacti", "fish": "fish", "scissors": "scissors"}
CUT_JITTER = 0.4  # of the mean time between cuts


@dataclass(frozen=True, slots=True, eq=False)
class WorldFrame:
    """One frame.

    Attributes:
        index: from 0.
        pts_seconds: its time, from 0.
        rgb: (H, W, 3) uint8.
        ids: (H, W) int32, the segment of every pixel; 0 is void. A thing keeps its id for life.
        segments: those with at least one visible pixel, by id.
        camera: where it was taken from.
        scene: number of the scene; identities of different scenes differ.
        is_cut: whether the scene before was another one.
        caption: what is to be seen, in words.
    """

    index: int
    pts_seconds: float
    rgb: NDArray[np.uint8]
    ids: NDArray[np.int32]
    segments: tuple[WorldSegment, ...]
    camera: Camera
    scene: int
    is_cut: bool
    caption: str


@dataclass(frozen=True)
class World:
    """A video, deterministic in its fields. Any frame can be asked for at any time.

    Attributes:
        seed: which video.
        size_hw: height and width in pixels.
        fps: frames a second.
        seconds: how long it is; None for one without end.
        dials: how hard it is.
        things: which compositions may appear.
    """

    seed: int = 0
    size_hw: tuple[int, int] = (480, 848)
    fps: Fraction = Fraction(25)
    seconds: float | None = None
    dials: Dials = field(default_factory=lambda: Dials.from_difficulty(0.5))
    things: Pool = "all"

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}, expected a whole number of at least 0")
        if min(self.size_hw) < 32 or max(self.size_hw) > 8192:
            raise ConfigError(f"size is {self.size_hw[1]}x{self.size_hw[0]}, expected 32 to 8192 pixels a side")
        if not 0 < self.fps <= 1000:
            raise ConfigError(f"fps is {float(self.fps):g}, expected more than 0 and at most 1000")
        if self.seconds is not None and not 0 < self.seconds <= MAX_SECONDS:
            raise ConfigError(
                f"seconds is {self.seconds:g}, expected more than 0 and at most {MAX_SECONDS:g}; "
                "leave it out for a video without end"
            )
        pool(self.things)

    def __len__(self) -> int:
        """Frames; at least one. TypeError where the video has no end."""
        if self.seconds is None:
            raise TypeError("this world has no end: it was made without `seconds`")
        return max(1, math.ceil(self.seconds * self.fps - Fraction(1, 1000)))

    def __iter__(self) -> Iterator[WorldFrame]:
        index = 0
        while self.seconds is None or index < len(self):
            yield self.frame(index)
            index += 1

    def frame(self, index: int) -> WorldFrame:
        """The frame with this number, from 0; IndexError where there is none."""
        scene, seconds = self._moment(index)
        snapshot = scene.snapshot(seconds)
        rendered = render(snapshot, self.size_hw)
        is_cut = index > 0 and self._scene_number(self._shot(index - 1)) != scene.number
        return WorldFrame(
            index,
            seconds,
            rendered.rgb,
            rendered.ids,
            rendered.segments,
            snapshot.camera,
            scene.number,
            is_cut,
            describe(rendered.segments),
        )

    def snapshot(self, index: int) -> Snapshot:
        """What the frame with this number shows, before it becomes pixels."""
        scene, seconds = self._moment(index)
        return scene.snapshot(seconds)

    def _moment(self, index: int) -> tuple[Scene, float]:
        """The scene that a frame shows, and its time."""
        if index < 0 or (self.seconds is not None and index >= len(self)):
            end = "" if self.seconds is None else f" to {len(self) - 1}"
            raise IndexError(f"there is no frame {index} in this world, expected one from 0{end}")
        return self._scene(self._scene_number(self._shot(index))), float(index / self.fps)

    def _shot(self, index: int) -> int:
        """Which stretch between two cuts a frame lies in."""
        period = self.dials.cut_seconds
        if period <= 0:
            return 0
        seconds = float(index / self.fps)
        shot = math.floor(seconds / period)
        return shot + 1 if seconds >= self._cut(shot + 1) else shot if seconds >= self._cut(shot) else shot - 1

    def _cut(self, shot: int) -> float:
        """When a shot begins: near a multiple of the period, so that it needs no list of those before."""
        if shot <= 0:
            return 0.0
        jitter = generator("cut", self.seed, shot).uniform(-CUT_JITTER, CUT_JITTER)
        return (shot + jitter) * self.dials.cut_seconds

    def _scene_number(self, shot: int) -> int:
        """A new scene with each odd shot; an even one may go back to a recent scene, not to the one just left."""
        shot %= SCENES
        rng = generator("shot", self.seed, shot)
        if shot % 2 or shot < REMEMBERED_SHOTS or rng.random() >= RETURN_CHANCE:
            return shot
        return self._scene_number(shot - int(rng.integers(2, REMEMBERED_SHOTS + 1)))

    def _scene(self, number: int) -> Scene:
        return _scene(self.seed, number, self.size_hw[1] / self.size_hw[0], self.dials, self.things)


@lru_cache(maxsize=8)
def _scene(seed: int, number: int, aspect: float, dials: Dials, things: Pool) -> Scene:
    return Scene(seed, number, aspect, dials, things)


def describe(segments: tuple[WorldSegment, ...]) -> str:
    """A caption, the largest first: 'a red car, 2 blue fish and a crowd of stars on grass and road'."""
    by_size = sorted(segments, key=lambda segment: -segment.area)
    counts: dict[tuple[str, str, bool], int] = {}
    for segment in by_size:
        if segment.isthing:
            kind = (segment.text, segment.label, segment.iscrowd)
            counts[kind] = counts.get(kind, 0) + 1
    things = [_counted(*kind, count) for kind, count in counts.items()]
    stuff = [segment.label for segment in by_size if not segment.isthing]
    return " on ".join(_listed(names) for names in (things, stuff) if names)


def _counted(text: str, shape: str, iscrowd: bool, count: int) -> str:
    if count == 1 and not iscrowd:
        return f"{'an' if text[0] in 'aeio' else 'a'} {text}"
    several = text.removesuffix(shape) + PLURALS.get(shape, f"{shape}s")
    return f"a crowd of {several}" if iscrowd else f"{count} {several}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

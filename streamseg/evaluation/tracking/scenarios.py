"""What makes following hard, one difficulty at a time, and the seeds of each.

Every scenario is the procedural world with one dial turned up and the others low, so that a score says what failed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, Protocol

from ...world.dials import Dials
from ...world.seeds import generator
from ...world.video import World, WorldFrame

__all__ = ["PURPOSES", "SCENARIOS", "SIZE_HW", "Purpose", "Scenario", "Sequence", "Video", "sequences"]

SIZE_HW = (192, 336)
SEEDS_PER_SCENARIO = 3

Purpose = Literal["tuning", "reporting"]
PURPOSES: tuple[Purpose, ...] = ("tuning", "reporting")

CALM = Dials(
    things=8,
    smallest=0.2,
    largest=0.45,
    lookalikes=0.2,
    speed=0.2,
    leaving=0.0,
    traffic_seconds=0.0,
    pan=0.1,
    zoom=0.05,
    light=0.1,
    blur=1.0,
    noise=3.0,
    compression=0.2,
)


class Video(Protocol):
    """Frames with exact truth; `World` is one."""

    @property
    def seed(self) -> int: ...

    @property
    def size_hw(self) -> tuple[int, int]: ...

    @property
    def fps(self) -> Fraction: ...

    def __len__(self) -> int: ...

    def frame(self, index: int) -> WorldFrame: ...


@dataclass(frozen=True, slots=True)
class Scenario:
    """One difficulty.

    Attributes:
        name: in tables.
        text: what is hard.
        dials: of the world.
        fps, frames: of each sequence.
        vocabularies: names of built-in ones; each holds for an equal stretch of the sequence.
    """

    name: str
    text: str
    dials: Dials
    fps: Fraction = Fraction(12)
    frames: int = 72
    vocabularies: tuple[str, ...] = ("world",)

    def world(self, purpose: Purpose, number: int) -> World:
        """Its sequence number `number` for that purpose; no two share a seed."""
        seed = int(generator("tracking suite", purpose, self.name, number).integers(2**31))
        seconds = float(self.frames / self.fps)
        return World(seed=seed, size_hw=SIZE_HW, fps=self.fps, seconds=seconds, dials=self.dials, things="seen")


@dataclass(frozen=True, slots=True)
class Sequence:
    """One video to follow.

    Attributes:
        scenario: name of its difficulty.
        number: which of that difficulty, from 0.
        video: the frames and their truth.
        truth: name of the vocabulary whose category ids the truth has.
        vocabularies: under which it is segmented, one for each equal stretch.
        recipe: what else the frames depend on, as a text.
    """

    scenario: str
    number: int
    video: Video
    truth: str = "world"
    vocabularies: tuple[str, ...] = ("world",)
    recipe: str = ""

    @property
    def name(self) -> str:
        return f"{self.scenario}-{self.number}"

    def vocabulary_of(self, index: int) -> str:
        """Under which vocabulary a frame is segmented."""
        return self.vocabularies[index * len(self.vocabularies) // len(self.video)]


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("crossing", "look-alikes cross one another", replace(CALM, lookalikes=1.0, things=6, speed=0.35)),
    Scenario(
        "occlusion",
        "small things vanish behind large ones for seconds",
        replace(CALM, occluders=2, things=6, smallest=0.15, largest=0.28, speed=0.25),
        fps=Fraction(10),
        frames=90,
    ),
    Scenario(
        "return",
        "things leave the frame and come back",
        replace(CALM, leaving=1.0, speed=0.8),
        fps=Fraction(10),
        frames=90,
    ),
    Scenario(
        "crowd",
        "many small things, half of them alike",
        replace(CALM, things=24, smallest=0.12, largest=0.25, lookalikes=0.5, overlap=0.8),
    ),
    Scenario("camera", "the camera shakes, pans and zooms", replace(CALM, pan=0.8, zoom=0.6, shake=0.04)),
    Scenario("cuts", "scene cuts, some back to an earlier scene", replace(CALM, cut_seconds=1.2), frames=96),
    Scenario(
        "low-rate",
        "three frames a second",
        replace(CALM, speed=0.3, leaving=0.3),
        fps=Fraction(3),
        frames=60,
    ),
    Scenario("light", "the light changes", replace(CALM, light=1.0)),
    Scenario(
        "vocabulary",
        "the words change in mid-run, and back",
        CALM,
        vocabularies=("world", "world-colors", "world"),
    ),
)


def sequences(purpose: Purpose, scenarios: tuple[str, ...] | None = None) -> Iterator[Sequence]:
    """The sequences for one purpose, scenario by scenario; `scenarios` names those that are wanted."""
    for scenario in SCENARIOS:
        if scenarios is None or scenario.name in scenarios:
            for number in range(SEEDS_PER_SCENARIO):
                video = scenario.world(purpose, number)
                yield Sequence(scenario.name, number, video, "world", scenario.vocabularies, repr(scenario))

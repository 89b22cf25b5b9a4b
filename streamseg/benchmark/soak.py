"""Cameras for half an hour, while somebody dies every minute or nobody: do the counts balance, and does anything grow?

Real RTSP, the demo model, processes ended by SIGKILL: a worker, a decoder, an emitter in turn. The rate and the size of
the pictures are small, so that it fits beside other work; what could leak does so with frames and deaths, not with
pixels. `soak_run.py` does it; here is what is asked for, and what comes out.
"""

import statistics
from dataclasses import asdict, dataclass
from typing import Any

from ..parsing import require
from .drift import Drift

__all__ = ["KINDS", "Death", "Soak", "SoakOptions", "StreamCount"]

KINDS = ("worker", "decoder", "emitter")


@dataclass(frozen=True, slots=True)
class SoakOptions:
    """What is run.

    Attributes:
        minutes: for how long.
        streams: how many cameras.
        kill_every: seconds between two deaths; 0: nobody is killed.
        fps, size: of the cameras; size as "WIDTHxHEIGHT". Smaller frames would not go through the object store.
        short_side: of the pictures in front of the model, in pixels.
        seed: chooses who dies among several of a kind.
    """

    minutes: float = 30.0
    streams: int = 4
    kill_every: float = 60.0
    fps: int = 2
    size: str = "256x144"
    short_side: int = 96
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.minutes > 0, "minutes", self.minutes, "more than 0")
        require(self.streams >= 1, "streams", self.streams, "at least 1")
        require(self.fps >= 1, "fps", self.fps, "at least 1")
        require(self.kill_every >= 0, "kill_every", self.kill_every, "seconds, or 0 for no deaths")


@dataclass(frozen=True, slots=True)
class Death:
    """One process that was killed.

    Attributes:
        kind: of it.
        at_seconds: since the run began.
        back_seconds: until every stream had a record of a frame that was captured after it; None: not before the next.
    """

    kind: str
    at_seconds: float
    back_seconds: float | None


@dataclass(frozen=True, slots=True)
class StreamCount:
    """A stream at the end.

    Attributes:
        totals: its counts.
        records: lines that were written.
        in_order: whether each frame is there once, and later ones come later.
        balanced: decoded = emitted + dropped, nothing in flight, and as many lines as were emitted.
    """

    name: str
    totals: dict[str, Any]
    records: int
    in_order: bool

    @property
    def balanced(self) -> bool:
        counts = self.totals
        accounted = counts["emitted"] + sum(counts["dropped"].values())
        return (counts["decoded"], counts["in_flight"], self.records) == (accounted, 0, counts["emitted"])


@dataclass(frozen=True, slots=True)
class Soak:
    """What came out; memory in bytes, slopes in bytes a second.

    Attributes:
        options: what was run.
        seconds: from the first records to the end.
        cores: that the run's processes kept busy, without Ray's own and the cameras.
        streams: their counts.
        deaths: in order.
        memory: drift of a process's own memory by kind.
        whole: drift of all the run's processes together, Ray's own among them, each round of deaths by its median.
        store: drift of the object store.
        store_most: the most that it held.
    """

    options: SoakOptions
    seconds: float
    cores: float
    streams: tuple[StreamCount, ...]
    deaths: tuple[Death, ...]
    memory: dict[str, Drift | None]
    whole: Drift | None
    store: Drift | None
    store_most: float

    def to_dict(self) -> dict[str, Any]:
        balanced = {stream.name: stream.balanced for stream in self.streams}
        return {**asdict(self), "balanced": balanced, "back_seconds": self.back_seconds()}

    def back_seconds(self) -> dict[str, tuple[float, float] | None]:
        """Median and longest time until everybody had new records again, by who died."""
        found: dict[str, tuple[float, float] | None] = {}
        for kind in KINDS:
            times = [death.back_seconds for death in self.deaths if death.kind == kind and death.back_seconds]
            found[kind] = (statistics.median(times), max(times)) if times else None
        return found

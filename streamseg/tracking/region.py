"""What the host knows of a track: where it is, how it moves, when it was last seen, and whose identity it bears."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config.tracking import TrackingSettings
from .identity import Hits, Identity, IdentityBook, identity_from_state, identity_state
from .labels import decay
from .stages import Candidates

__all__ = ["Region", "candidates", "expected_offsets"]

HORIZON_SECONDS = 0.5  # for so long a velocity says where something is

Array = npt.NDArray[Any]


@dataclass(slots=True)
class Region:
    """One track. Lengths are in cells, times in seconds of the stream's clock.

    Attributes:
        y, x, area: of the last mask.
        velocity_y, velocity_x: cells per second.
        seen_at: when it was last seen.
        isthing: whether its label is one of things.
        hits: in which of the last frames it was seen.
        astray: the scene was cut since it was last seen, so its place says nothing.
        identity: once it was shown; stuff has its category's.
    """

    y: float
    x: float
    area: float
    seen_at: float
    isthing: bool
    velocity_y: float = 0.0
    velocity_x: float = 0.0
    hits: Hits = field(default_factory=Hits)
    astray: bool = False
    identity: Identity | None = None

    def see(self, centre: Array, area: float, now: float, *, moved: bool, settings: TrackingSettings) -> None:
        """It was found here.

        Args:
            centre: (2,), y and x.
            moved: it went here; otherwise it was found again, and how it got here is not known.
        """
        y, x = float(centre[0]), float(centre[1])
        elapsed = now - self.seen_at
        if not moved:
            self.velocity_y = self.velocity_x = 0.0
        elif elapsed > 0:
            kept = decay(elapsed, settings.velocity_seconds)
            self.velocity_y = kept * self.velocity_y + (1 - kept) * (y - self.y) / elapsed
            self.velocity_x = kept * self.velocity_x + (1 - kept) * (x - self.x) / elapsed
        self.y, self.x, self.area, self.seen_at, self.astray = y, x, float(area), now, False

    def is_over(self, step: int, now: float, settings: TrackingSettings) -> bool:
        """Whether it ends without a chance of being recognised: stuff, and what was never confirmed."""
        if self.hits.step == step:
            return False
        if not self.isthing:
            return now - self.seen_at > settings.active_seconds
        return not self.hits.confirmed and step - self.hits.step > settings.confirm_window - settings.confirm_hits

    def state_dict(self) -> dict[str, Any]:
        plain = ("y", "x", "area", "seen_at", "isthing", "velocity_y", "velocity_x", "astray")
        hits = [self.hits.history, self.hits.step, self.hits.confirmed]
        identity = identity_state(self.identity)
        return {name: getattr(self, name) for name in plain} | {"hits": hits, "identity": identity}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], book: IdentityBook) -> "Region":
        """The inverse of `state_dict`; `book` has the identities of stuff."""
        identity = identity_from_state(state["identity"], book)
        return cls(**{**state, "hits": Hits(*state["hits"]), "identity": identity})


def candidates(regions: Sequence[Region], step: int, now: float, settings: TrackingSettings) -> Candidates:
    """The tracks as the rounds of association see them in frame number `step`."""
    seen_at = np.array([region.seen_at for region in regions], np.float64)
    just_seen = np.array([region.hits.step == step - 1 for region in regions], bool)
    there = np.array([not region.astray for region in regions], bool)
    places = np.array([(region.y, region.x) for region in regions], np.float64).reshape(-1, 2)
    return Candidates(
        active=there & (just_seen | (now - seen_at <= settings.active_seconds)),
        isthing=np.array([region.isthing for region in regions], bool),
        placed=there & (just_seen | (now - seen_at <= settings.last_mask_seconds)),
        centre=places + _ways(regions, now),
        area=np.array([region.area for region in regions], np.float64),
    )


def expected_offsets(regions: Sequence[Region], now: float) -> npt.NDArray[np.int64]:
    """(T, 2), how far each track should have moved since it was last seen, in whole cells down and right."""
    offsets: npt.NDArray[np.int64] = np.rint(_ways(regions, now)).astype(np.int64)
    return offsets


def _ways(regions: Sequence[Region], now: float) -> Array:
    ways = [
        (region.velocity_y * seconds, region.velocity_x * seconds)
        for region in regions
        for seconds in (min(now - region.seen_at, HORIZON_SECONDS),)
    ]
    return np.array(ways, np.float64).reshape(-1, 2)

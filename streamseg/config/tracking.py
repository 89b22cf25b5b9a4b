"""How queries become tracks; the numbers are explained where they are used, in `streamseg/tracking/`."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["TrackingSettings"]


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """Association over time.

    Attributes:
        method: "streamseg" associates in stages and smooths labels, "minvis" is the published baseline (previous frame
            only, every query slot a track), "none" gives each frame the published single-picture result.
    """

    method: Literal["streamseg", "minvis", "none"] = "streamseg"

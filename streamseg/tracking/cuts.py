"""Scene cuts: the picture changes, its meaning changes, and a good part of the tracks does not find itself again.

Any one of the three alone happens without a cut: lights go on, a bus fills the view, an object turns. So all of them
are asked, and the question comes before any match is committed: what overlaps by chance must not move a track. Chance
matches are common: where a crowd gives way to another crowd, everybody finds somebody near who looks alike. So a match
counts against a cut only where the masks overlap well, and such matches have to be nearly complete to object.
"""

import numpy as np
import numpy.typing as npt

from ..config.tracking import TrackingSettings

__all__ = ["color_histogram", "histogram_change", "is_scene_cut"]

LEVELS = 4  # of each colour channel
STEP = 4  # every so many-th row and column is counted

Histogram = npt.NDArray[np.float32]


def color_histogram(rgb: npt.NDArray[np.uint8]) -> Histogram:
    """(H, W, 3) uint8 -> (64,) float32, which colours the picture has; sums to 1."""
    red, green, blue = (np.ascontiguousarray(rgb[::STEP, ::STEP, channel]) >> 6 for channel in range(3))
    colors = (red * LEVELS + green) * LEVELS + blue
    counts = np.bincount(colors.ravel(), minlength=LEVELS**3)
    shares: Histogram = (counts / counts.sum()).astype(np.float32)
    return shares


def histogram_change(before: Histogram, after: Histogram) -> float:
    """How much of the picture has another colour, from 0 (nothing) to 1 (everything): total variation distance."""
    return float(np.abs(before - after).sum() / 2)


def is_scene_cut(
    *, matched: int, active: int, clip_cosine: float, picture_change: float | None, settings: TrackingSettings
) -> bool:
    """Whether the scene was cut in front of this frame.

    Args:
        matched, active: how many tracks found a query where they should be by now, of those that could have.
        clip_cosine: of the global CLIP embeddings of this frame and the one before.
        picture_change: see `histogram_change`; None if not known, then the others decide.
    """
    if active == 0 or matched >= settings.cut_matched * active or clip_cosine >= settings.cut_cosine:
        return False
    return picture_change is None or picture_change > settings.cut_change

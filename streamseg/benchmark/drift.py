"""Whether something grows with time, told from a few noisy figures: a line, and how far it may be off.

Processes that are killed begin anew, smaller than they were. So each life of a process is held against its own mean,
and all lives of a kind share one slope: least squares with a fixed effect for each life. What a process claims while it
begins does not count, and neighbouring samples, which repeat each other, count as one mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

__all__ = ["Drift", "fit_drift"]

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Drift:
    """A slope with its confidence interval, in units a second.

    Attributes:
        mean: of what counted.
        slope: by how much it grows in a second.
        low, high: the interval that holds the true slope in 95 of 100 such measurements.
        lives, points: how many processes, and means over `bin_seconds`, it was told from.
    """

    mean: float
    slope: float
    low: float
    high: float
    lives: int
    points: int

    @property
    def is_flat(self) -> bool:
        """Whether nothing shows that it grows."""
        return self.low <= 0


def fit_drift(
    lives: Mapping[object, Sequence[tuple[float, float]]], *, settling: float, bin_seconds: float
) -> Drift | None:
    """One slope for all lives; None where they are too short or too few to tell.

    Args:
        lives: of each process, (seconds, value) samples in order.
        settling: share of each life, from its beginning, that does not count.
        bin_seconds: samples within so long become one.
    """
    points = [_settled(samples, settling, bin_seconds) for samples in lives.values() if samples]
    points = [each for each in points if len(each) > 1]
    freedom = sum(len(each) for each in points) - len(points) - 1
    if freedom < 1:
        return None
    together = np.concatenate([each - each.mean(0) for each in points])
    seconds, values = together.T
    spread = float(seconds @ seconds)
    slope = float(seconds @ values) / spread
    error = float(np.sqrt(((values - slope * seconds) ** 2).sum() / freedom / spread))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    mean = float(np.concatenate(points)[:, 1].mean())
    return Drift(mean, slope, slope - reach, slope + reach, len(points), len(together))


def _settled(samples: Sequence[tuple[float, float]], settling: float, width: float) -> npt.NDArray[np.float64]:
    """(N, 2) means of time and value, over bins that begin where a life has settled."""
    found = np.array(samples, np.float64)
    found = found[found[:, 0] >= found[0, 0] + settling * (found[-1, 0] - found[0, 0])]
    bins = ((found[:, 0] - found[0, 0]) // width).astype(np.int64)
    return np.stack([found[bins == number].mean(0) for number in np.unique(bins)])

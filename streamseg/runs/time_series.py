"""A value over the time of a stream of any length, in memory that does not grow."""

import numpy as np
import numpy.typing as npt

__all__ = ["TimeSeries"]

BINS = 120

Floats = npt.NDArray[np.float64]


class TimeSeries:
    """Sums and counts in a fixed number of bins. When time outgrows them, neighbours merge, twice as long.

    Args:
        bin_seconds: length of a bin at first.
    """

    def __init__(self, bin_seconds: float = 0.25) -> None:
        self.bin_seconds = bin_seconds
        self._begin: float | None = None
        self._end = 0.0
        self._sums = np.zeros(BINS)
        self._counts = np.zeros(BINS)

    def reach(self, seconds: float) -> None:
        """Time has come so far, whether there is a value or not; the first call says where it begins."""
        if self._begin is None:
            self._begin = self._end = seconds
        self._end = max(self._end, seconds)
        while self._end - self._begin >= BINS * self.bin_seconds:
            self._sums, self._counts = _merged(self._sums), _merged(self._counts)
            self.bin_seconds *= 2

    def add(self, seconds: float, value: float) -> None:
        """One value, at a time that has been reached or is now. What is before the beginning counts as there."""
        self.reach(seconds)
        place = int(max(0.0, seconds - (self._begin or 0.0)) / self.bin_seconds)
        self._sums[place] += value
        self._counts[place] += 1

    def means(self) -> tuple[Floats, Floats]:
        """Middles of the bins in seconds, and the mean of the values in each; bins without any are left out."""
        used = np.flatnonzero(self._counts)
        return self._middles(used), self._sums[used] / self._counts[used]

    def rates(self, most: int = BINS) -> tuple[Floats, Floats]:
        """Middles of at most so many bins, and the sum of values a second in each.

        A rest of less than half a bin is left out.
        """
        if self._begin is None:
            return np.zeros(0), np.zeros(0)
        together = -(-(self._end - self._begin) // (most * self.bin_seconds)) or 1
        length = together * self.bin_seconds
        bins = np.arange(max(1, round((self._end - self._begin) / length)))
        owner = np.arange(BINS) // int(together)
        sums = np.bincount(owner, self._sums)[: len(bins)]
        return np.asarray(self._begin + (bins + 0.5) * length, np.float64), sums / length

    def _middles(self, bins: npt.NDArray[np.int64]) -> Floats:
        return np.asarray((self._begin or 0.0) + (bins + 0.5) * self.bin_seconds, np.float64)


def _merged(values: Floats) -> Floats:
    return np.concatenate((values.reshape(-1, 2).sum(1), np.zeros(BINS // 2)))

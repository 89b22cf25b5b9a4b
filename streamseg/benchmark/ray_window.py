"""Frames a second of several streams over a time in which all of them were at work."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import StreamsegError

__all__ = ["Mark", "Window", "common_window"]

Mark = tuple[str, float]
"""A stream, and when a result of it arrived; seconds."""


@dataclass(frozen=True, slots=True)
class Window:
    """From the moment that every stream has got going to the end of the first one.

    Attributes:
        seconds: how long that was.
        results: by stream.
    """

    seconds: float
    results: Mapping[str, int]

    @property
    def fps(self) -> float:
        """Of all together."""
        return sum(self.results.values()) / self.seconds

    @property
    def fairness(self) -> float:
        """Of the slowest stream, over that of the fastest."""
        return min(self.results.values()) / max(self.results.values())


def common_window(marks: Sequence[Mark], streams: Iterable[str], *, warm_up: int) -> Window:
    """The window of a run.

    Args:
        marks: all its results, in order.
        streams: which there are.
        warm_up: results of each stream that do not count.

    Raises:
        StreamsegError: a stream had ended before another one had got going.
    """
    names = list(streams)
    times = {name: [seconds for stream, seconds in marks if stream == name] for name in names}
    few = [name for name in names if len(times[name]) <= warm_up]
    if few:
        raise StreamsegError(f"stream {few[0]} has {len(times[few[0]])} results, expected more than {warm_up}")
    begin = max(times[name][warm_up - 1] for name in names)
    end = min(times[name][-1] for name in names)
    counted = Counter(stream for stream, seconds in marks if begin < seconds <= end)
    if end <= begin or len(counted) < len(names):
        raise StreamsegError("one stream had ended before another one had got going: let them be longer")
    return Window(end - begin, {name: counted[name] for name in names})

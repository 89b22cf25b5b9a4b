"""The frames' own times as ticks of a video file, exactly."""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ..frames import FrameResult

__all__ = ["Moment", "Timeline"]


class Moment(NamedTuple):
    """A point in a stream's time: so many ticks of `time_base` seconds."""

    ticks: int
    time_base: Fraction

    @classmethod
    def of(cls, result: FrameResult) -> "Moment | None":
        """When a frame was shown; None where its source does not say."""
        if result.pts_ticks is None or result.time_base is None:
            return None
        return cls(result.pts_ticks, result.time_base)

    @classmethod
    def from_plain(cls, plain: Sequence[int] | None) -> "Moment | None":
        """The inverse of `to_plain`."""
        return None if plain is None else cls(plain[0], Fraction(plain[1], plain[2]))

    def to_plain(self) -> list[int]:
        """As whole numbers, for a JSON file."""
        return [self.ticks, *self.time_base.as_integer_ratio()]

    @property
    def seconds(self) -> Fraction:
        return self.ticks * self.time_base


class Timeline:
    """Turns the times of a stream's frames into ticks of a file that begins at 0.

    A frame without a time follows the last one at the nominal rate. So does one that would stand before it, as a clock
    that was set back makes it; ticks always grow.

    Args:
        time_base: seconds per tick of the file.
        step: ticks between frames at the nominal rate.
    """

    def __init__(self, time_base: Fraction, step: int) -> None:
        self.time_base = time_base
        self.step = step
        self._next = 0
        self._offset: int | None = None

    def tick(self, moment: Moment | None) -> int:
        """When the next frame is shown, in ticks."""
        tick = self._next if moment is None else self._placed(moment)
        self._next = tick + self.step
        return tick

    def _placed(self, moment: Moment) -> int:
        own = round(moment.seconds / self.time_base)
        last = self._next - self.step
        if self._offset is None or (self._next and own - self._offset <= last):
            self._offset = own - self._next
        return own - self._offset

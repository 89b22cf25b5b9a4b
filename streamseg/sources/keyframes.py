"""Pictures that are not whole are held back.

Most codecs code a picture as the difference from earlier ones, so damage spreads until a keyframe begins afresh.
"""

from collections import deque
from statistics import median

__all__ = ["GapWatch", "KeyframeGate"]

PATIENCE = 600
"""Pictures after the last damage. Video that is refreshed bit by bit may have no keyframes at all, and is whole again
long before."""

REMEMBERED_STEPS = 9
GAP = 1.75  # steps; one lost picture makes two of them


class KeyframeGate:
    """Closed at first, and after damage; a whole keyframe opens it.

    Args:
        intra_only: every picture of this codec stands for itself, so damage does not spread.
    """

    def __init__(self, *, intra_only: bool = False) -> None:
        self._intra_only = intra_only
        self._open = intra_only
        self._withheld = 0

    def damage(self) -> None:
        """Something was lost, or could not be decoded."""
        self._open = self._intra_only
        self._withheld = 0

    def admits(self, *, keyframe: bool, corrupt: bool) -> bool:
        """Whether the next decoded picture is whole."""
        if corrupt:
            self.damage()
            return False
        if not self._open:
            self._withheld += 1
            self._open = keyframe or self._withheld > PATIENCE
        return self._open


class GapWatch:
    """Finds packets that never came, by the time between those that did.

    Decoders say nothing where a whole H.264 picture is missing. For input that loses packets; in order of decoding.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._steps: deque[int] = deque(maxlen=REMEMBERED_STEPS)

    def is_gap(self, dts: int | None) -> bool:
        """Whether something is missing in front of the packet with this time."""
        last, self._last = self._last, dts
        if dts is None or last is None:
            return False
        step = dts - last
        usual = median(self._steps) if len(self._steps) == REMEMBERED_STEPS else None
        self._steps.append(step)
        return usual is not None and usual > 0 and not 0 <= step <= GAP * usual

"""Where decoders leave frames and the model takes them, batch by batch.

Recorded streams wait for room, so no frame of theirs is lost. Live streams never wait: their oldest frame makes room
for the newest. A batch takes from the streams in turn, and only frames that are already there, but for a short moment:
a slow stream holds nobody up, and neither does one whose results nobody takes.
"""

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from typing import Any

from ..frames import Frame

__all__ = ["Arrived", "BufferPolicy", "Ended", "Intake", "drop_oldest"]

FOLLOWED = 2  # frames of a lane that may be behind the model: one at work and one that waits for it


class BufferPolicy(Enum):
    """What happens to a frame for which there is no room."""

    WAIT = "wait"  # the decoder waits: recorded input
    NEWEST = "newest"  # the oldest frame leaves: live input


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """A frame on its way.

    Attributes:
        frame: the frame.
        number: how many wanted frames of its stream came before it, in the whole run.
        arrived_at: `time.monotonic()` when it left the decoder.
        totals: counts of its stream up to this frame, for the commit.
        origin_seconds, last_kept_seconds: see `Commit`.
    """

    frame: Frame
    number: int
    arrived_at: float
    totals: Mapping[str, Any] = field(default_factory=dict)
    origin_seconds: Fraction | None = None
    last_kept_seconds: Fraction | None = None

    @property
    def lane(self) -> str:
        """Whose frames it waits among: its stream's."""
        return self.frame.stream_id


@dataclass(frozen=True, slots=True)
class Ended:
    """A lane has no more frames.

    Attributes:
        lane: which one.
        error: why, where that is not simply the end of its stream.
        finished: it has come to its stream's end; else it is given up here, and somebody else may go on with it.
    """

    lane: str
    error: Exception | None = None
    finished: bool = True


def drop_oldest(waiting: deque[Arrived], limit: int) -> list[Arrived]:
    """Take the oldest from `waiting` until it has room for one more; what was taken."""
    dropped = []
    while len(waiting) >= limit:
        dropped.append(waiting.popleft())
    return dropped


class Intake:
    """Frames of several streams on their way to one model, a lane for each stream.

    Args:
        policies: by lane.
        limit: frames of one lane that may wait.
        endless: lanes may be added later, so that it is not over when all of them have ended.
    """

    def __init__(self, policies: Mapping[str, BufferPolicy], limit: int, *, endless: bool = False) -> None:
        self._policies: dict[str, BufferPolicy] = {}
        self._limit = limit
        self._endless = endless
        self._waiting: dict[str, deque[Arrived]] = {}
        self._ended: dict[str, Ended] = {}
        self._open: set[str] = set()
        self._turn: deque[str] = deque()
        self._out: dict[str, int] = {}  # frames that were taken, and are not done
        self._at_once: int | None = None
        self._changed = threading.Condition()
        self._stopped = False
        for lane, policy in policies.items():
            self.add(lane, policy)

    def add(self, lane: str, policy: BufferPolicy) -> None:
        """One more lane; its name is new."""
        with self._changed:
            self._policies[lane] = policy
            self._waiting[lane] = deque()
            self._out[lane] = 0
            self._open.add(lane)
            self._turn.append(lane)

    def put(self, item: Arrived) -> list[Arrived]:
        """Leave a frame; returns those that were lost for it (itself, where the lane is over)."""
        lane = item.lane
        with self._changed:
            lost: list[Arrived] = []
            if self._policies.get(lane) is BufferPolicy.NEWEST:
                lost = drop_oldest(self._waiting[lane], self._limit)
            else:
                self._changed.wait_for(lambda: self._is_over(lane) or len(self._waiting[lane]) < self._limit)
            if self._is_over(lane):
                return [*lost, item]
            self._waiting[lane].append(item)
            self._changed.notify_all()
            return lost

    def end(self, lane: str, error: Exception | None = None, *, finished: bool = True) -> None:
        """A lane's last frame has been left; see `Ended`."""
        with self._changed:
            if lane in self._open:
                self._ended.setdefault(lane, Ended(lane, error, finished))
                self._changed.notify_all()

    def give_up(self, lane: str) -> None:
        """End a lane before its stream does; its frames that wait are thrown away."""
        with self._changed:
            if lane in self._open:
                self._waiting[lane].clear()
                self._ended[lane] = Ended(lane, finished=False)
                self._changed.notify_all()

    def stop(self) -> list[Arrived]:
        """Take no more frames, and give back those that are waiting."""
        with self._changed:
            self._stopped = True
            left = [item for waiting in self._waiting.values() for item in waiting]
            for waiting in self._waiting.values():
                waiting.clear()
            self._changed.notify_all()
            return left

    def expect_done(self, at_once: int) -> None:
        """From now on `done` is called for every frame that was taken, and no lane gets further ahead of it than its
        share of `at_once`, the frames that all together may have in the model, and `FOLLOWED`. A lane whose results
        nobody takes is then left alone, and the others go on."""
        self._at_once = at_once

    def done(self, lane: str) -> None:
        """A frame that was taken is behind us."""
        with self._changed:
            if lane in self._out:
                self._out[lane] -= 1
                self._changed.notify_all()

    def take(self, max_batch: int, max_wait_seconds: float) -> tuple[list[Arrived], list[Ended]]:
        """The next batch, and the lanes that have ended and whose frames have all been taken.

        Waits for the first frame or end; then at most `max_wait_seconds` for others to join a live frame. Both empty:
        every stream has ended, or the intake has stopped.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._is_done() or self._any_news())
            if self._stopped:
                return [], []
            self._gather(max_batch, max_wait_seconds)
            batch = self._pick(max_batch)
            ended = [
                self._ended[name] for name in sorted(self._open) if name in self._ended and not self._waiting[name]
            ]
            for end in ended:
                self._remove(end.lane)
            self._changed.notify_all()
            return batch, ended

    def _remove(self, lane: str) -> None:
        self._open.discard(lane)
        self._turn.remove(lane)
        del self._policies[lane], self._waiting[lane], self._ended[lane], self._out[lane]

    def _is_over(self, lane: str) -> bool:
        return self._stopped or lane not in self._open or lane in self._ended

    def _is_done(self) -> bool:
        return not self._open and not self._endless

    def _any_news(self) -> bool:
        return any(self._ready(name) or (name in self._ended and not self._waiting[name]) for name in self._open)

    def _ready(self, lane: str) -> int:
        """Frames that may be taken."""
        waiting = len(self._waiting[lane])
        if self._at_once is None:
            return waiting
        share = -(-self._at_once // len(self._open)) + FOLLOWED
        return min(waiting, max(0, share - self._out[lane]))

    def _gather(self, max_batch: int, max_wait_seconds: float) -> None:
        """Let others join, but only where a frame of live input is waiting: a recording's next ones are not far."""
        deadline = time.monotonic() + max_wait_seconds
        while self._is_worth_waiting(max_batch) and (left := deadline - time.monotonic()) > 0:
            self._changed.wait(left)

    def _is_worth_waiting(self, max_batch: int) -> bool:
        if self._stopped:
            return False
        ready = sum(map(self._ready, self._open))
        missing = any(not self._waiting[name] and name not in self._ended for name in self._open)
        live = any(self._policies[name] is BufferPolicy.NEWEST for name in self._open if self._waiting[name])
        return 0 < ready < max_batch and missing and live

    def _pick(self, max_batch: int) -> list[Arrived]:
        """From the streams in turn, one frame at a time; the stream that was first is last next time."""
        batch: list[Arrived] = []
        while len(batch) < max_batch and any(map(self._ready, self._open)):
            for name in list(self._turn):
                if self._ready(name) and len(batch) < max_batch:
                    batch.append(self._waiting[name].popleft())
                    self._out[name] += 1
                    self._turn.remove(name)
                    self._turn.append(name)
        return batch

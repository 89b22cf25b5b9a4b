"""The frames of a recording with their numbers, from any frame on, the same ones every time.

Decoding with several threads is exact as long as the file is whole, and depends on chance where it is damaged: patches
are copied from frames that other threads are still working on. So a first pass takes all threads, and gives frames away
only once nothing damaged can have touched them any more. At the first sign of damage a second pass goes on from there
with one thread, past whatever is damaged, to the end.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing
from typing import Any, NamedTuple

from ..config.sources import DecodeSettings
from ..errors import DecodeError
from .address import Address
from .base import Position
from .decoding import Damage, decoded_frames, read_packets
from .opening import PIPED_MP4, Opened
from .restart import find_keyframes, from_keyframe, seek_to, skip_to

__all__ = ["ONE_THREAD", "Alive", "Numbered", "Playback"]

ONE_THREAD = DecodeSettings(threads=1, hardware="off")
MOST_REORDERED = 16  # frames that may be shown before one that was decoded earlier, in any codec

Alive = Callable[[], bool]
Opener = Callable[[DecodeSettings], AbstractContextManager[Opened]]


class Numbered(NamedTuple):
    """A decoded frame and its number.

    Attributes:
        number: in the file, from 0.
        frame: of PyAV, not yet converted.
        opened: where it comes from; open until the next one is asked for.
    """

    number: int
    frame: Any
    opened: Opened


class Playback:
    """Frames of one recording.

    Args:
        address: of the recording, for messages.
        opener: opens it; as often as asked, unless only once is allowed.
        decode: threads and hardware of the first pass.
        alive: asked for every packet; ends everything when it says no.
        reopens: whether the recording can be opened again; where not, one thread does it all.
    """

    def __init__(
        self, address: Address, opener: Opener, decode: DecodeSettings, alive: Alive, *, reopens: bool = True
    ) -> None:
        self.damage = Damage()
        self._address = address
        self._opener = opener
        self._alive = alive
        self._reopens = reopens
        self._passes = (decode, ONE_THREAD) if reopens else (ONE_THREAD,)

    def frames(self, after: Position | None = None) -> Generator[Numbered]:
        """Every frame in order of presentation, from `after` itself on.

        Raises:
            SourceError: it cannot be opened or read.
            DecodeError: there is no frame at all.
        """
        given = -1
        for decode in self._passes:
            self.damage = Damage()
            with closing(self._pass(decode, after, last=decode is self._passes[-1])) as frames:
                for numbered in frames:
                    if numbered.number > given:
                        given, after = numbered.number, Position(numbered.number, numbered.frame.pts)
                        yield numbered
            if not self.damage or not self._alive():
                return

    def _pass(self, decode: DecodeSettings, after: Position | None, last: bool) -> Generator[Numbered]:
        if self._reopens and after is not None and after.pts_ticks is not None:
            found = False
            with self._opener(decode) as opened:
                for number, frame in enumerate(self._resumed(opened, after, after.pts_ticks, last), after.index):
                    found = True
                    yield Numbered(number, frame, opened)
            if found:
                return
            self.damage = Damage()
        number = -1
        with self._opener(decode) as opened:
            for number, frame in enumerate(self._decoded(opened, self._packets(opened), last)):
                if after is None or number >= after.index:
                    yield Numbered(number, frame, opened)
        if number < 0 and last and self._alive():
            reason = "it is damaged or cut off" if self._reopens else PIPED_MP4
            raise DecodeError(f"{self._address.shown!r} holds no picture that can be decoded: {reason}")

    def _resumed(self, opened: Opened, after: Position, target_ticks: int, last: bool) -> Iterator[Any]:
        """Frames from `after` on, by way of a keyframe; none at all where that would not be exact."""
        keyframes = find_keyframes(self._packets(opened), after)
        if keyframes is None or self.damage or not seek_to(opened, keyframes):
            return
        begin = from_keyframe(self._packets(opened), keyframes)
        if begin is None:
            return
        keyframe, packets = begin
        frames = self._decoded(opened, packets, last)
        first = skip_to(frames, keyframe, target_ticks)
        if first is not None and not self.damage:
            yield first
            yield from frames

    def _packets(self, opened: Opened) -> Iterator[Any]:
        return read_packets(opened, self._address, self.damage, self._alive)

    def _decoded(self, opened: Opened, packets: Iterator[Any], last: bool) -> Iterator[Any]:
        context = opened.stream.codec_context
        if last and context.codec.intra_only:
            # A damaged picture would be filled up with what lay in its memory before. No other one needs it: lose it.
            context.options = {"err_detect": "explode"}
        frames = decoded_frames(opened, packets, self.damage)
        return frames if last else untouched(opened, frames, self.damage)


def untouched(opened: Opened, frames: Iterator[Any], damage: Damage) -> Iterator[Any]:
    """Frames until the first damage, less those before it that may have been decoded from something damaged."""
    context = opened.stream.codec_context
    waiting: deque[Any] = deque()
    for frame in frames:
        if damage:
            return
        waiting.append(frame)
        depth = getattr(context, "reorder_depth", MOST_REORDERED) if context.has_b_frames else 0
        while len(waiting) > depth:
            yield waiting.popleft()
    if not damage:
        yield from waiting

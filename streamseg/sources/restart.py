"""Where to begin decoding so that a recording goes on after a certain frame, exactly as if it had never stopped.

The packets up to that frame are read, not decoded. They tell whether each of them makes one frame, so that its number
is certain, and where the keyframes are. Decoding then begins one keyframe earlier than needed; what it delivers on the
way shows whether that was sound: video without real keyframes (intra refresh) is not, and begins at the beginning.
"""

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import av.error
from av.video.frame import PictureType

from .base import Position
from .opening import Opened

__all__ = ["Keyframe", "find_keyframes", "from_keyframe", "seek_to", "skip_to"]

KEYFRAMES_REMEMBERED = 8


class Keyframe(NamedTuple):
    """What tells a packet from every other one in its file, besides the time to seek to.

    Attributes:
        pts, pos, size: of the packet; `pos` is where it stands in the file.
        seek_ticks: time that containers know it by.
    """

    pts: int
    pos: int | None
    size: int
    seek_ticks: int


def find_keyframes(packets: Iterator[Any], after: Position) -> list[Keyframe] | None:
    """The last few keyframes that decoding may begin with; None where only the beginning of the file will do.

    Args:
        packets: from the beginning of the file; read until all that are shown before the frame have come.
        after: the frame to go on after, with its time.
    """
    target = after.pts_ticks
    assert target is not None
    keyframes: deque[Keyframe] = deque(maxlen=KEYFRAMES_REMEMBERED)
    earlier = found = keyframes_beyond = 0
    for packet in packets:
        if packet.pts is None:
            return None
        keyframes_beyond += packet.is_keyframe and packet.pts > target
        if keyframes_beyond == 2 or (packet.dts is not None and packet.dts > target):
            break  # a keyframe may be followed by frames that are shown before it, but not before the one before
        earlier += packet.pts < target
        found += packet.pts == target
        if packet.is_keyframe and packet.pts <= target:
            keyframes.append(_keyframe(packet))
    if (earlier, found) != (after.index, 1) or len(keyframes) < 2:
        return None
    return list(keyframes)[:-1]


def seek_to(opened: Opened, keyframes: list[Keyframe]) -> bool:
    """Move the container to the last of these keyframes, or to one before. False where it cannot."""
    try:
        opened.container.seek(keyframes[-1].seek_ticks, stream=opened.stream, backward=True)
    except (av.error.FFmpegError, OSError):
        return False
    return True


def from_keyframe(packets: Iterator[Any], keyframes: list[Keyframe]) -> tuple[Keyframe, Iterator[Any]] | None:
    """The first keyframe, and the packets from it on; None where it is not one of those known."""
    for packet in packets:
        if packet.is_keyframe:
            first = None if packet.pts is None else _keyframe(packet)._replace(seek_ticks=0)
            known = first in [keyframe._replace(seek_ticks=0) for keyframe in keyframes]
            return (first, chain([packet], packets)) if first is not None and known else None
    return None


def skip_to(frames: Iterator[Any], first: Keyframe, target_ticks: int) -> Any | None:
    """Take frames up to the one at `target_ticks` and return that; None where they are not as they should be."""
    whole = False
    for frame in frames:
        if frame.pts is None or frame.pts > target_ticks or frame.is_corrupt:
            return None
        whole |= frame.pts == first.pts and frame.pict_type == PictureType.I
        if frame.pts == target_ticks:
            return frame if whole else None
    return None


def _keyframe(packet: Any) -> Keyframe:
    return Keyframe(packet.pts, packet.pos, packet.size, packet.pts if packet.dts is None else packet.dts)

"""Packets to frames, past whatever is damaged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import av.error

from ..errors import SourceError
from .address import Address
from .opening import Opened, reason_of

__all__ = ["Damage", "decoded_frames", "read_packets"]

MAX_FAILURES = 100  # reads in a row that fail: then nothing more will come


@dataclass(slots=True)
class Damage:
    """What was lost in one file: packets that could not be read or decoded, frames that the decoder had to patch."""

    packets: int = 0
    frames: int = 0

    def __bool__(self) -> bool:
        return bool(self.packets or self.frames)

    def __str__(self) -> str:
        return f"{self.packets} lost packets, {self.frames} patched frames"


def read_packets(opened: Opened, address: Address, damage: Damage, alive: Callable[[], bool]) -> Iterator[Any]:
    """The packets of the video stream, from where the container stands to its end, or until `alive` says no.

    Empty packets are left out: a decoder would take them for the end.

    Raises:
        SourceError: the file cannot be read any more (a disk or a network that is gone).
    """
    failures = 0
    while failures < MAX_FAILURES:
        try:
            for packet in opened.container.demux(opened.stream):
                if not alive():
                    return
                failures = 0
                if packet.size:
                    yield packet
            return
        except IndexError:  # damage made the container find more streams than it began with; PyAV trips at the end
            damage.packets += 1
            return
        except av.error.InvalidDataError:  # the demuxer is done with this read, not with the file
            damage.packets += 1
            failures += 1
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(f"cannot read {address.shown!r} any more: {address.clean(reason_of(error))}") from None


def decoded_frames(opened: Opened, packets: Iterator[Any], damage: Damage) -> Iterator[Any]:
    """The frames of some packets, in order of presentation; those that the decoder still holds come last."""
    for packet in packets:
        yield from _decode(opened, packet, damage)
    before = -1
    while damage.packets != before:  # an error while the decoder is emptied hides the frames after it
        before = damage.packets
        yield from _decode(opened, None, damage)


def _decode(opened: Opened, packet: Any, damage: Damage) -> list[Any]:
    try:
        frames: list[Any] = opened.stream.codec_context.decode(packet)
    except av.error.EOFError:
        return []
    except (av.error.FFmpegError, ValueError):
        damage.packets += 1
        return []
    damage.frames += sum(bool(frame.is_corrupt) for frame in frames)
    return frames

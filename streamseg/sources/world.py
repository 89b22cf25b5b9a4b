"""The procedural world as a source: `world:seed=7,seconds=20,difficulty=0.5`.

Endless without `seconds`. `pool` says which things may appear (`world.names.pool`), and every dial of
`world.dials.Dials` can be set by its name, on top of the difficulty: `things` is how many there are at most.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

from ..errors import ConfigError
from ..frames import Frame
from ..world.dials import Dials
from ..world.video import World, WorldFrame
from .base import Kind, Position, Skipped, SourceInfo, Stop, Wanted

__all__ = ["PREFIX", "WorldSource", "is_world", "parse_world", "read_world", "to_frame"]

PREFIX = "world:"
DEFAULT_DIFFICULTY = 0.5
LONGEST_NUMBER = 18  # digits of a whole number
_OPTIONS = ("seed", "seconds", "difficulty", "size", "fps", "pool")
_RATE = re.compile(r"[0-9]{1,7}(\.[0-9]{1,9}|/[1-9][0-9]{0,6})?")
_DIALS = {field.name: type(field.default) for field in fields(Dials)}


def is_world(source: str) -> bool:
    """Whether a source's name means the procedural world."""
    return source.startswith(PREFIX) or source == PREFIX.rstrip(":")


def parse_world(source: str) -> World:
    """The world that a name such as `world:seed=7,size=848x480,fps=25,pool=seen` describes.

    Raises:
        ConfigError: an option is unknown, or its value makes no sense.
    """
    options = _options(source)
    dials = Dials.from_difficulty(_number(options.pop("difficulty", str(DEFAULT_DIFFICULTY)), "difficulty"))
    chosen: dict[str, Any] = {
        name: _whole(options.pop(name), name) if kind is int else _number(options.pop(name), name)
        for name, kind in _DIALS.items()
        if name in options
    }
    return World(dials=replace(dials, **chosen), **dict(_argument(name, text) for name, text in options.items()))


def read_world(source: str | World, stream_id: str = "world") -> Iterator[Frame]:
    """The frames of a world, with exact time."""
    world = parse_world(source) if isinstance(source, str) else source
    for frame in world:
        yield to_frame(frame, world.fps, stream_id)


def to_frame(frame: WorldFrame, fps: Fraction, stream_id: str = "world", epoch: int = 0) -> Frame:
    """A frame of the world as any other source would deliver it, without its truth."""
    rgb = frame.rgb
    rgb.flags.writeable = False
    return Frame(rgb, frame.index, stream_id, epoch, pts_ticks=frame.index, time_base=1 / fps)


class WorldSource:
    """A world as a stream; any frame of it can be asked for, so going on costs nothing.

    Args:
        world: what is shown.
        stream_id: name of the stream.
    """

    kind: Kind = "recorded"

    def __init__(self, world: World, stream_id: str) -> None:
        self.world = world
        self.stream_id = stream_id
        self.status = "rendering"
        self.heartbeat = time.monotonic()

    def info(self) -> SourceInfo:
        frames = None if self.world.seconds is None else len(self.world)
        return SourceInfo(
            self.kind,
            size_hw=self.world.size_hw,
            fps=self.world.fps,
            frames=frames,
            duration_seconds=None if frames is None else frames / self.world.fps,
            start_seconds=Fraction(0),
        )

    def frames(self, stop: Stop, *, wanted: Wanted, after: Position | None = None) -> Iterator[Frame | Skipped]:
        """As of `Source`. Frames that are not wanted are not rendered."""
        index, epoch = (0, 0) if after is None else (after.index + 1, after.epoch)
        while (self.world.seconds is None or index < len(self.world)) and not stop.is_set():
            self.heartbeat = time.monotonic()
            verdict = wanted(index, index / self.world.fps)
            if verdict == "end":
                return
            if verdict == "keep":
                yield to_frame(self.world.frame(index), self.world.fps, self.stream_id, epoch)
            else:
                yield Skipped(index, verdict)
            index += 1


def _options(source: str) -> dict[str, str]:
    text = source.removeprefix(PREFIX.rstrip(":")).removeprefix(":")
    options: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        known = (*_OPTIONS, *_DIALS)
        if not equals or name not in known:
            nearest = get_close_matches(name, known, n=1)
            hint = f" (did you mean {nearest[0]!r}?)" if nearest and nearest[0] != name else ""
            raise ConfigError(
                f"{part!r} in source {source!r}{hint}: expected key=value, with one of {', '.join(known)}"
            )
        if name in options:
            raise ConfigError(f"{name!r} stands twice in source {source!r}: keep one of the two")
        options[name] = value
    return options


def _argument(name: str, text: str) -> tuple[str, Any]:
    """One option of the world itself, as a keyword argument."""
    if name == "seed":
        return "seed", _whole(text, name)
    if name == "seconds":
        return "seconds", _number(text, name)
    if name == "size":
        return "size_hw", _size(text)
    if name == "fps":
        return "fps", _rate(text)
    return "things", text  # the pool; an unknown one is the world's to refuse


def _whole(text: str, name: str) -> int:
    if not text.isdecimal() or len(text) > LONGEST_NUMBER:
        raise ConfigError(
            f"{name} is {text!r}, expected a whole number of at least 0 and {LONGEST_NUMBER} digits at most"
        )
    return int(text)


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{name} is {text!r}, expected a number") from None


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.lower().partition("x")
    if not cross or not width.isdecimal() or not height.isdecimal() or len(text) > LONGEST_NUMBER:
        raise ConfigError(f"size is {text!r}, expected WIDTHxHEIGHT in pixels, such as 848x480")
    return int(height), int(width)


def _rate(text: str) -> Fraction:
    if not _RATE.fullmatch(text):
        raise ConfigError(f"fps is {text!r}, expected a number, such as 25, 29.97 or 30000/1001")
    return Fraction(text)

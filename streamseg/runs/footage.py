"""The pictures that a run was made from, found again and laid beside its records."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..frames import Frame, FrameResult
from ..sources.address import HIDDEN, parse_address
from ..sources.base import Source, Verdict
from ..sources.open import open_source

__all__ = ["find_footage", "missing_footage", "open_footage", "with_pictures"]

TIME_SLACK_SECONDS = 0.02  # where the rate is not known: Matroska's milliseconds, and some
UNTOLD = (HIDDEN, "${")  # of an address that holds a secret; run.json does not

Image = npt.NDArray[np.uint8]


def missing_footage(facts: Mapping[str, Any]) -> str | None:
    """Why a stream's pictures cannot be had any more; None where they should be there.

    Args:
        facts: what `run.json` says of the stream.
    """
    source = str(facts["source"])
    if facts["kind"] == "live":
        return f"{source} was live"
    if source == "-":
        return "it came through a pipe"
    if any(mark in source for mark in UNTOLD):
        return f"{source} holds a secret that is not kept"
    recording = facts.get("recording")
    if recording is not None and not Path(recording).exists():
        return f"{recording} is gone"
    return None


def find_footage(facts: Mapping[str, Any], stream: str) -> Source:
    """The source that a stream came from, where `missing_footage` knows of no reason against it.

    Raises:
        SourceError: it is not there any more.
    """
    return open_footage(str(facts.get("recording") or facts["source"]), stream)


def open_footage(location: str, stream: str) -> Source:
    """A recording that the user names: a file, a folder or glob of pictures, a URL, a world.

    Raises:
        ConfigError: it makes no sense, or is live.
        SourceError: there is nothing.
    """
    source = open_source(parse_address(location), stream)
    if source.kind == "live":
        raise ConfigError(f"{source.stream_id!r}: a live source shows other pictures now, expected a recording")
    return source


def with_pictures(
    results: Iterable[FrameResult], source: Source | None, fps: Fraction | None = None
) -> Iterator[tuple[FrameResult, Image | None]]:
    """Results with the pictures they were made from, (H, W, 3) uint8; None where there is none.

    Args:
        results: in order.
        source: where the pictures are; None for nowhere.
        fps: of the source; times may differ by half a frame.

    Raises:
        ConfigError: a picture has another time than its record says: this is another video.
        SourceError: it cannot be read.
    """
    if source is None:
        yield from ((result, None) for result in results)
        return
    pairing = _Pairing(results, TIME_SLACK_SECONDS if fps is None else float(1 / (2 * fps)))
    with closing(_closable(source.frames(threading.Event(), wanted=pairing.wanted))) as frames:
        for item in frames:
            yield from pairing.take(item.index, item.rgb if isinstance(item, Frame) else None)
    yield from pairing.rest()


class _Pairing:
    """Records that are waiting for their pictures."""

    def __init__(self, results: Iterable[FrameResult], slack_seconds: float) -> None:
        self._results = iter(results)
        self._slack = slack_seconds
        self._ahead = next(self._results, None)
        self._waiting: deque[FrameResult] = deque()

    def wanted(self, index: int, seconds: Fraction | None) -> Verdict:
        """What to do with a frame of the source; see `Wanted`."""
        while self._ahead is not None and self._ahead.index < index:
            self._advance()
        if self._ahead is None:
            return "end"
        if self._ahead.index > index:
            return "stride"
        self._check_time(self._ahead, seconds)
        self._advance()
        return "keep"

    def take(self, index: int, rgb: Image | None) -> Iterator[tuple[FrameResult, Image | None]]:
        """The record of a picture that has come, and those before it, whose pictures have not."""
        while self._waiting and self._waiting[0].index <= index:
            result = self._waiting.popleft()
            yield result, rgb if result.index == index else None

    def rest(self) -> Iterator[tuple[FrameResult, Image | None]]:
        """Records after the last picture."""
        while self._waiting or self._ahead is not None:
            if not self._waiting:
                self._advance()
            yield self._waiting.popleft(), None

    def _advance(self) -> None:
        if self._ahead is not None:
            self._waiting.append(self._ahead)
        self._ahead = next(self._results, None)

    def _check_time(self, result: FrameResult, seconds: Fraction | None) -> None:
        expected = result.pts_seconds
        if expected is not None and seconds is not None and abs(expected - seconds) > self._slack:
            raise ConfigError(
                f"frame {result.index} of the video is at {float(seconds):.3f} s, expected {float(expected):.3f} s as "
                "in the records: this is another video; name the right one with --video"
            )


def _closable(frames: Iterator[Any]) -> Any:
    """Sources give generators, which their protocol calls iterators."""
    return frames

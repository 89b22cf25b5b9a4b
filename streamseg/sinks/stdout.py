"""Frame records on standard output, for the next program of a pipe."""

import os
import sys
import threading
from collections.abc import Sequence
from io import UnsupportedOperation
from typing import Any

from ..config.sinks import StdoutSettings
from ..errors import SinkError
from ..tracks import TrackRow
from .base import Emission
from .line_pipe import LinePipe

__all__ = ["ReaderGoneError", "StdoutSink"]


class ReaderGoneError(SinkError):
    """Nobody reads standard output any more: in `streamseg ... | head`, `head` has seen enough; no failure."""


class StdoutSink:
    """Writes each record when its frame is done.

    The reader never sees half a line, whatever happens, and whole ones where several streams write: if it stalls, it
    loses whole records. With "stop" it may stall as long as it likes, as any pipe lets it.

    Args:
        settings: whether masks are written; how long a frame waits for the reader.
        descriptor: where to write; standard output where it is left out.
    """

    name = "stdout"
    external = True

    def __init__(self, settings: StdoutSettings, *, descriptor: int | None = None) -> None:
        self._masks = settings.masks
        self._seconds = settings.timeout_seconds
        self._patience = None if settings.on_error == "stop" else settings.timeout_seconds
        self._descriptor = descriptor
        self._pipe: LinePipe | None = None
        self._bell = (-1, -1)  # a pipe of our own: `close` ends a `write` that waits in another thread
        self._writing = threading.Lock()

    def open(self, state: dict[str, Any] | None) -> None:  # noqa: ARG002 - what was given away stays so
        self._pipe = LinePipe.shared(_standard_output() if self._descriptor is None else self._descriptor)
        self._bell = os.pipe()

    def write(self, emission: Emission) -> None:
        """Write one record.

        Raises:
            ReaderGoneError: the pipe is broken.
            SinkError: the reader has stalled, or nothing can be written; the record is lost.
        """
        if emission.replayed:
            return
        line = f"{emission.result.to_json(masks=self._masks)}\n".encode()
        with self._writing:
            if self._pipe is None:
                raise SinkError("standard output was closed before its reader took everything, expected a quicker one")
            try:
                sent = self._pipe.send(line, self._patience, self._bell[0])
            except OSError as error:
                raise _cannot_write(error) from None
            if not sent:
                raise self._stalled()

    def state(self) -> dict[str, Any]:
        return {}

    def close(self, remaining: Sequence[TrackRow] = ()) -> None:  # noqa: ARG002 - records alone
        """Finish the line that was begun."""
        pipe = self._let_go()
        if pipe is None:
            return
        try:
            finished = pipe.finish(self._seconds)
        except OSError as error:
            raise _cannot_write(error) from None
        if not finished:
            raise self._stalled()

    def _let_go(self) -> LinePipe | None:
        """The pipe, once no `write` uses it any more; None if there is none to close."""
        if self._pipe is None:
            return None
        os.write(self._bell[1], b"!")
        with self._writing:
            pipe, self._pipe = self._pipe, None
            for end in self._bell:
                os.close(end)
        return pipe

    def _stalled(self) -> SinkError:
        return SinkError(
            f"the reader of standard output takes nothing, expected it to within {self._seconds:g} s: let it read "
            "faster, or raise stdout.timeout_seconds"
        )


def _cannot_write(error: OSError) -> SinkError:
    if isinstance(error, BrokenPipeError):
        return ReaderGoneError("standard output is a broken pipe, expected a reader: keep it open")
    return SinkError(f"cannot write to standard output: {error.strerror}; make room, or redirect it elsewhere")


def _standard_output() -> int:
    try:
        sys.stdout.flush()
        return sys.stdout.fileno()
    except (UnsupportedOperation, AttributeError, ValueError):
        raise SinkError("there is no standard output, expected a pipe, file or terminal: leave stdout out") from None

"""Whole lines into a pipe whose reader may be slow, without a change to the pipe that others share."""

import os
import select
import threading
import time
from typing import ClassVar
from weakref import WeakValueDictionary

__all__ = ["LinePipe"]

PIECE = select.PIPE_BUF
"""Bytes that a pipe takes without making the writer wait, once `poll` calls it ready."""


class LinePipe:
    """A descriptor that lines are written to, from any number of threads: they never mix, and none stays half written.

    A line that the reader has a part of is finished before anything else is written, whoever began it.

    Args:
        descriptor: a pipe, file, socket or terminal.
    """

    _open: ClassVar["WeakValueDictionary[int, LinePipe]"] = WeakValueDictionary()
    _opening: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._lock = threading.Lock()
        self._rest = memoryview(b"")  # of a line that was begun

    @classmethod
    def shared(cls, descriptor: int) -> "LinePipe":
        """The one that everybody uses for this descriptor, for as long as anybody does."""
        with cls._opening:
            pipe = cls._open.get(descriptor)
            if pipe is None:
                pipe = cls._open[descriptor] = cls(descriptor)
            return pipe

    def send(self, line: bytes, seconds: float | None, bell: int) -> bool:
        """Write a line; True if the reader gets it, even if its end is still on the way.

        Args:
            line: with its end.
            seconds: how long to wait for the reader; None for as long as it takes.
            bell: a descriptor that is ready to be read when there is no more use in waiting.

        Raises:
            OSError: not a byte of it was written; BrokenPipeError where there is no reader any more.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        if not self._lock.acquire(timeout=-1 if seconds is None else seconds):
            return False
        try:
            if not self._push(deadline, bell):
                return False
            self._rest = memoryview(line)
            try:
                self._push(deadline, bell)
            except BrokenPipeError:
                raise
            except OSError:
                if not self._abandon(line):
                    return True  # what is wrong shows again with the next line
                raise
            return not self._abandon(line)
        finally:
            self._lock.release()

    def finish(self, seconds: float) -> bool:
        """Write the end of a line that was begun; False if the reader does not take it in time. OSError as `send`."""
        deadline = time.monotonic() + seconds
        if not self._lock.acquire(timeout=seconds):
            return False
        try:
            return self._push(deadline, None)
        finally:
            self._lock.release()

    def _abandon(self, line: bytes) -> bool:
        """Forget a line, unless the reader has a part of it."""
        if len(self._rest) < len(line):
            return False
        self._rest = memoryview(b"")
        return True

    def _push(self, deadline: float | None, bell: int | None) -> bool:
        """Write of the rest what the reader takes until then; True if that is all."""
        while self._rest:
            if not self._is_ready(deadline, bell):
                return False
            try:
                self._rest = self._rest[os.write(self.descriptor, self._rest[:PIECE]) :]
            except BrokenPipeError:
                self._rest = memoryview(b"")  # nobody will miss it
                raise
        return True

    def _is_ready(self, deadline: float | None, bell: int | None) -> bool:
        poll = select.poll()
        poll.register(self.descriptor, select.POLLOUT)
        if bell is not None:
            poll.register(bell, select.POLLIN)
        wait = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        return any(descriptor == self.descriptor for descriptor, _ in poll.poll(wait))

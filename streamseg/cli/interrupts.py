"""Ctrl-C, SIGTERM and a closed terminal as a wish: what has been segmented is written, and then the run ends."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

__all__ = ["Interrupts"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXIT_CODE = 128 + signal.SIGINT

STOPPING = "stopping: what has been segmented is still written; Ctrl-C twice more gives that up"
LAST_WARNING = "still writing; once more ends it at once, and --resume goes on from the last commit"
SHOW_CURSOR = "\x1b[?25h"  # the live display hides it, and cannot clean up after `os._exit`


class Interrupts:
    """While it is open, signals end the command in order. Only a process's main thread may set handlers.

    A signal raises KeyboardInterrupt. Within `asking`, where that would come at any moment, the first one asks instead,
    the second one is answered, and the third one ends the process; a run can be gone on with even then. Signals that
    are ignored stay so (`nohup`, jobs of a script in the background).
    """

    def __init__(self) -> None:
        self.count = 0
        self._ask: Callable[[], None] | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    @contextmanager
    def asking(self, stop: Callable[[], None]) -> Iterator[None]:
        """Within it, signals call `stop`, in a thread of its own, instead of raising.

        Raises:
            KeyboardInterrupt: at its end, if one came, and nothing else was raised.
        """
        self._ask = stop
        try:
            yield
        finally:
            self._ask = None
        if self.count:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._ask is None:
            raise KeyboardInterrupt
        self.count += 1
        if self.count == 1:
            # Not here: whoever was interrupted may hold the lock that `stop` needs.
            threading.Thread(target=self._ask, name="stop", daemon=True).start()
            _tell(STOPPING)
        elif self.count == 2:
            _tell(LAST_WARNING)
        else:
            _tell("interrupted", SHOW_CURSOR if sys.stderr.isatty() else "")
            os._exit(EXIT_CODE)


def _tell(text: str, ending: str = "") -> None:
    """Past the buffers of `sys.stderr`: a handler may run in the middle of a `print`."""
    try:
        os.write(sys.stderr.fileno(), f"\r{text}\n{ending}".encode() if sys.stderr.isatty() else f"{text}\n".encode())
    except (OSError, ValueError, AttributeError):  # nobody is there to read it
        return

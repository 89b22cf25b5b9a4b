"""One thread for each stream that decodes it, and the watchdog that gives up one that hangs."""

import logging
import threading
import time
from collections.abc import Callable

from ..frames import Frame
from ..metrics import StreamCounters
from ..sources.base import Position, Skipped, Source
from ..sources.selection import Selection
from .intake import Arrived, Intake

__all__ = ["StreamReader"]

logger = logging.getLogger(__name__)

Reopen = Callable[[], Source]


class StreamReader:
    """Reads one stream into the intake, in a thread of its own.

    A read that hangs in the library cannot be interrupted. So the watchdog leaves such a thread alone (what it still
    delivers is thrown away, and it ends when its read returns) and starts another one with a fresh source.

    Args:
        source: of the stream.
        reopen: makes a fresh source for the same stream.
        selection: the verdict on each frame.
        intake: where frames go.
        counters: of the stream.
        after: where to go on.
        number: wanted frames that came before.
    """

    def __init__(
        self,
        source: Source,
        reopen: Reopen,
        selection: Selection,
        intake: Intake,
        counters: StreamCounters,
        *,
        after: Position | None = None,
        number: int = 0,
    ) -> None:
        self.source = source
        self.counters = counters
        self.restarts = 0
        self.overtaken = "late"  # why frames are dropped that newer ones have pushed out
        self._reopen = reopen
        self._selection = selection
        self._intake = intake
        self._position = after
        self._number = number
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._given_up: list[threading.Thread] = []

    @property
    def stream_id(self) -> str:
        return self.source.stream_id

    def start(self) -> None:
        source, stop = self.source, self._stop
        source.heartbeat = time.monotonic()
        # A daemon: where a read hangs for ever, the process can still end.
        self._thread = threading.Thread(
            target=self._read, args=(source, stop), name=f"read {self.stream_id}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; see `join`."""
        self._stop.set()

    def join(self, seconds: float) -> bool:
        """Wait for the thread that reads; whether it has ended, and those that were given up, too.

        Nobody waits for these: they have hung for longer than they should have before.
        """
        if self._thread is not None:
            self._thread.join(seconds)
        return not any(thread.is_alive() for thread in (self._thread, *self._given_up) if thread is not None)

    def leave_in(self, intake: Intake) -> None:
        """From now on frames go into another intake."""
        self._intake = intake

    def watch(self, limit_seconds: float) -> None:
        """Give the reader up if it has shown no sign of life for so long."""
        silent = time.monotonic() - self.source.heartbeat
        if self._thread is None or not self._thread.is_alive() or self._stop.is_set() or silent < limit_seconds:
            return
        logger.warning("%s: the reader hung for %.0f s and is replaced", self.stream_id, silent)
        self._stop.set()
        self._given_up = [thread for thread in (*self._given_up, self._thread) if thread.is_alive()]
        self.restarts += 1
        self._stop = threading.Event()
        if self._position is not None:
            self._position = Position(self._position.index, None, self._position.epoch + 1)
        self.source = self._reopen()
        self.start()

    def _read(self, source: Source, stop: threading.Event) -> None:
        error: Exception | None = None
        try:
            for item in source.frames(stop, wanted=self._selection, after=self._position):
                if stop.is_set():
                    return
                self._take(item)
        except Exception as raised:  # a bug, too, has to end the stream and not only this thread
            error = raised
        if not stop.is_set():
            self._intake.end(source.stream_id, error)

    def _take(self, item: Frame | Skipped) -> None:
        self.counters.decoded()
        if isinstance(item, Skipped):
            epoch = 0 if self._position is None else self._position.epoch
            self._position = Position(item.index, None, epoch)
            self.counters.dropped(item.reason)
            return
        self._position = Position(item.index, item.pts_ticks, item.epoch)
        arrived = Arrived(
            item,
            self._number,
            time.monotonic(),
            self.counters.decoded_so_far(),
            self._selection.origin_seconds,
            self._selection.last_kept_seconds,
        )
        self._number += 1
        for lost in self._intake.put(arrived):
            self.counters.dropped("stopped" if lost is arrived else self.overtaken)

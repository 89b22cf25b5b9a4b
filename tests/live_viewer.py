"""Watches a live source in a thread of its own, as a runtime does, so that a test can do things to the camera."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from streamseg.config.sources import LiveSettings
from streamseg.frames import Frame
from streamseg.sources.address import parse_address
from streamseg.sources.base import Position, Skipped, Wanted, everything
from streamseg.sources.live import LiveSource

PATIENCE_SECONDS = 60.0  # for what is certain to happen, on a machine that is busy with other things

QUICK = LiveSettings(
    connect_timeout_seconds=4.0, read_timeout_seconds=4.0, first_backoff_seconds=0.1, max_backoff_seconds=0.4
)
"""Waits are short, time-outs are not: a busy machine must not look like an outage."""

IMPATIENT = LiveSettings(
    connect_timeout_seconds=0.5, read_timeout_seconds=0.5, first_backoff_seconds=0.1, max_backoff_seconds=0.4
)
"""For cameras that do not answer."""


class Viewer:
    """Iterates over a source until it ends or the `with` block does.

    Attributes:
        source: what is watched.
        items: all that it has delivered.
        error: what it raised.
    """

    def __init__(
        self,
        url: str,
        live: LiveSettings = QUICK,
        *,
        wanted: Wanted = everything,
        after: Position | None = None,
    ) -> None:
        self.source = LiveSource(parse_address(url), "cam0", live)
        self.items: list[Frame | Skipped] = []
        self.error: Exception | None = None
        self.stop = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._watch, args=(wanted, after), daemon=True)

    @property
    def frames(self) -> list[Frame]:
        return [item for item in self.items if isinstance(item, Frame)]

    @property
    def skipped(self) -> list[Skipped]:
        return [item for item in self.items if isinstance(item, Skipped)]

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it; fails where the source ends before."""
        with self._changed:
            for _ in range(int(PATIENCE_SECONDS / 0.05)):
                if condition():
                    return
                assert not self.ended, f"ended early: {self.error!r}, {self.source.status!r}"
                self._changed.wait(0.05)
        raise AssertionError(f"it never happened: {len(self.items)} items, {self.source.status!r}")

    def until_frames(self, number: int) -> None:
        """Wait for so many more."""
        number += len(self.frames)
        self.until(lambda: len(self.frames) >= number)

    def until_status(self, beginning: str) -> None:
        self.until(lambda: self.source.status.startswith(beginning))

    def end(self) -> None:
        """Wait until it ends on its own."""
        self._thread.join(PATIENCE_SECONDS)
        assert self.ended, f"it does not end: {self.source.status!r}"

    def _watch(self, wanted: Wanted, after: Position | None) -> None:
        try:
            for item in self.source.frames(self.stop, wanted=wanted, after=after):
                with self._changed:
                    self.items.append(item)
                    self._changed.notify_all()
        except Exception as error:
            self.error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop.set()
        self._thread.join(PATIENCE_SECONDS)
        assert self.ended, "it did not stop"

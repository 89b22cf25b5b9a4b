"""Work that is done side by side, and handed on in the order in which it was begun."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Turns"]


class Turns:
    """Numbers for pieces of work, and the wait until all earlier ones have been handed on."""

    def __init__(self) -> None:
        self._begun = 0
        self._done = 0
        self._changed = threading.Condition()

    def begin(self) -> int:
        """The number of the next piece of work; it has to be handed on, or all later ones wait for ever."""
        with self._changed:
            self._begun += 1
            return self._begun - 1

    @contextmanager
    def hand_on(self, number: int) -> Iterator[None]:
        """Waits for its turn; the next one begins when the block is left, by an error, too."""
        with self._changed:
            self._changed.wait_for(lambda: self._done == number)
        try:
            yield
        finally:
            with self._changed:
                self._done += 1
                self._changed.notify_all()

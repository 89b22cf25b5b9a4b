"""A bounded queue between two threads that can be called off at any time, by anybody."""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Channel"]

T = TypeVar("T")


class Channel(Generic[T]):
    """At most `limit` items in order. Nobody waits on it for ever: closing and cancelling wake both sides.

    Args:
        limit: items that may wait; None for any number.
        wake_seconds: whoever iterates wakes that often. A program's main thread has to: a signal that comes just as it
            begins to wait is handled when it wakes, and not before.
    """

    def __init__(self, limit: int | None, *, wake_seconds: float | None = None) -> None:
        self._limit = limit
        self._wake_seconds = wake_seconds
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._cancelled = False

    def put(self, item: T) -> bool:
        """Add an item, waiting for room; False if nobody will take it any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or self._has_room())
            if self._cancelled:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def offer(self, item: T) -> bool:
        """Add an item if there is room now."""
        with self._changed:
            if self._cancelled or not self._has_room():
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """Nothing more will come; what is there can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Nothing more will be taken; what is there is thrown away."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def __iter__(self) -> Iterator[T]:
        """Items as they come, until the channel is closed and empty, or cancelled."""
        while True:
            with self._changed:
                if not self._changed.wait_for(self._has_news, self._wake_seconds):
                    continue
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

    def several(self, most: int) -> Iterator[list[T]]:
        """As they come, all at once that are there by then, up to a number."""
        while True:
            with self._changed:
                self._changed.wait_for(self._has_news)
                if not self._items:
                    return
                items = [self._items.popleft() for _ in range(min(most, len(self._items)))]
                self._changed.notify_all()
            yield items

    def _has_news(self) -> bool:
        return bool(self._items) or self._closed or self._cancelled

    def _has_room(self) -> bool:
        return self._limit is None or len(self._items) < self._limit

"""A cache of pictures that is bounded by their bytes: a thousand small ones fit where ten large ones do."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

import numpy as np
from numpy.typing import NDArray

__all__ = ["PictureCache"]


class PictureCache:
    """Pictures by key; those used longest ago make room for new ones.

    Args:
        max_bytes: of all pictures together. A picture that is larger by itself is not kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self._pictures: OrderedDict[Hashable, NDArray[np.uint8]] = OrderedDict()
        self._lock = Lock()  # several threads may read streams of their own

    def __len__(self) -> int:
        return len(self._pictures)

    def get(self, key: Hashable, paint: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """The picture under a key, painted if it is not there."""
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
                return self._pictures[key]
        picture = paint()
        with self._lock:
            self._put(key, picture)
        return picture

    def _put(self, key: Hashable, picture: NDArray[np.uint8]) -> None:
        previous = self._pictures.pop(key, None)  # another thread was quicker
        self.held_bytes += picture.nbytes - (0 if previous is None else previous.nbytes)
        self._pictures[key] = picture
        while self.held_bytes > self.max_bytes:
            self.held_bytes -= self._pictures.popitem(last=False)[1].nbytes

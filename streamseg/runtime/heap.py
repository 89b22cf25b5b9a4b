"""Memory that every frame needs again, kept by the process between frames.

glibc gets large blocks from the system one by one and gives them back as soon as they are free. A forward pass on a CPU
frees and needs the same tens of megabytes for each frame, and each time the system has to map and clear every page of
them: with the demo model 7000 page faults a frame, a tenth of its time.

What is kept grows with every peak that is higher than all before, and peaks of several threads seldom fall together, so
it would creep for hours. Once a minute everything free goes back, and the next frames take what they need again.
"""

import ctypes
import os
import platform
import time

__all__ = ["KeptHeap", "keep_heap"]

# Of malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3

LARGEST_BLOCK = 32 << 20  # bytes; larger ones still come from the system: no heap of a thread has room for two of them
KEPT = 256 << 20  # bytes that are free at the end of a heap, at most, before they go back
TRIM_SECONDS = 60.0
USERS_OWN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_heap() -> bool:
    """Keep freed memory in this process, from now on; more than once changes nothing.

    Returns:
        Whether it does: not with another C library than glibc, nor where the environment says how memory is kept.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in USERS_OWN):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK) and mallopt(M_TRIM_THRESHOLD, KEPT))


class KeptHeap:
    """Keeps freed memory in this process, and gives back now and then what nobody has needed."""

    def __init__(self) -> None:
        self._kept = keep_heap()
        self._trimmed_at = time.monotonic()

    def tend(self) -> bool:
        """Call it again and again; whether it was time, and something was given back. Takes some 10 ms then."""
        now = time.monotonic()
        if not self._kept or now - self._trimmed_at < TRIM_SECONDS:
            return False
        self._trimmed_at = now
        return bool(ctypes.CDLL(None).malloc_trim(0))

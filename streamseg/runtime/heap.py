"""Memory that every frame needs again, kept by the process between frames.

glibc gets large blocks from the system one by one and gives them back as soon as they are free. A forward pass on a CPU
frees and needs the same tens of megabytes for each frame, and each time the system has to map and clear every page of
them: with the demo model 7000 page faults a frame, a tenth of its time.
"""

import ctypes
import os
import platform

__all__ = ["keep_heap"]

# Of malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3

LARGEST_BLOCK = 32 << 20  # bytes; larger ones still come from the system: no heap of a thread has room for two of them
KEPT = 256 << 20  # bytes that are free at the end of a heap, at most, before they go back
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

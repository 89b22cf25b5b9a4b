"""Where the pictures of a batch lie on their way to the device: memory that is kept, and grows to the largest batch."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, wait

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Staging"]

Pixels = npt.NDArray[np.uint8]


class Staging:
    """Bytes on the host, pinned for a GPU, and as many on the device. On a CPU both are the same memory.

    It serves one batch at a time: until that batch is done with, nothing may be staged again.

    Args:
        device: where pictures go.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._device = device
        self._host_bytes = torch.empty(0, dtype=torch.uint8)
        self._device_bytes = self._host_bytes

    def stage(
        self, picture: Callable[[int], Pixels], sizes_hw: Sequence[tuple[int, int]], helpers: Executor | None = None
    ) -> None:
        """Write pictures to the host's side.

        Args:
            picture: makes the one at a position, (h, w, 3), at its size.
            sizes_hw: of each.
            helpers: make them side by side; None does it here, one after another.
        """
        self._make_room(sum(3 * height * width for height, width in sizes_hw))
        views = [view.numpy() for view in _views(self._host_bytes, sizes_hw)]

        def write(position: int) -> None:
            np.copyto(views[position], picture(position))

        if helpers is None or len(views) == 1:
            for position in range(len(views)):
                write(position)
            return
        writing = [helpers.submit(write, position) for position in range(len(views))]
        wait(writing)  # for all, also where one fails: the memory is somebody else's next
        for done in writing:
            done.result()

    def upload(self, sizes_hw: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Send what was staged; nobody waits. Returns the (h, w, 3) uint8 pictures on the device."""
        used = sum(3 * height * width for height, width in sizes_hw)
        if self._on_gpu:
            if len(self._device_bytes) < used:  # here, so that it belongs to the stream that writes to it
                self._device_bytes = torch.empty(len(self._host_bytes), dtype=torch.uint8, device=self._device)
            self._device_bytes[:used].copy_(self._host_bytes[:used], non_blocking=True)
        return _views(self._device_bytes, sizes_hw)

    def _make_room(self, size: int) -> None:
        if len(self._host_bytes) >= size:
            return
        self._host_bytes = torch.empty(size, dtype=torch.uint8, pin_memory=self._on_gpu)
        if not self._on_gpu:
            self._device_bytes = self._host_bytes


def _views(memory: Tensor, sizes_hw: Sequence[tuple[int, int]]) -> list[Tensor]:
    """One picture behind the other."""
    views, start = [], 0
    for height, width in sizes_hw:
        size = 3 * height * width
        views.append(memory[start : start + size].view(height, width, 3))
        start += size
    return views

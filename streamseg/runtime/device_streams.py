"""The three streams of a GPU on which a batch travels, and their stand-in where there is no GPU.

Copies to the device, computation, and what goes back each have a stream of their own, so that the next batch is on its
way in while this one is computed, and a finished one never queues behind the next. Order between them is made of events
alone. Everything that is allocated under a stream belongs to it; who takes a tensor elsewhere has to keep it until the
work there is done, or say so (`hand_over`).
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["CudaStreams", "DeviceStreams", "Mark", "NoStreams", "streams_of"]


class Mark(Protocol):
    """A place in a stream."""

    def synchronize(self) -> None:
        """Wait, in this thread, until the device has come by."""


class DeviceStreams(Protocol):
    """Where the steps of a pass are issued; each step is a context, and gives marks of its own stream.

    Attributes:
        pinned: whether memory on the host has to be pinned for copies that nobody waits for.
    """

    pinned: bool

    @contextmanager
    def copy_in(self) -> Iterator[None]: ...

    @contextmanager
    def compute(self, after: Mark) -> Iterator[None]: ...

    @contextmanager
    def copy_out(self) -> Iterator[None]: ...

    def mark(self) -> Mark: ...

    def hand_over(self, tensors: Iterable[Tensor]) -> None: ...

    def settle(self) -> None: ...


class NoStreams:
    """A CPU: every step is done when it returns."""

    pinned = False

    @contextmanager
    def copy_in(self) -> Iterator[None]:
        yield

    @contextmanager
    def compute(self, after: Mark) -> Iterator[None]:
        after.synchronize()
        yield

    @contextmanager
    def copy_out(self) -> Iterator[None]:
        yield

    def mark(self) -> Mark:
        return _PASSED

    def hand_over(self, tensors: Iterable[Tensor]) -> None:
        """Nothing to say."""

    def settle(self) -> None:
        """Nothing is under way."""


class _Passed:
    def synchronize(self) -> None:
        pass


_PASSED = _Passed()


class CudaStreams:
    """Three streams of one GPU, for any number of threads.

    Args:
        device: a CUDA device.
    """

    pinned = True

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._in = torch.cuda.Stream(device)
        self._compute = torch.cuda.Stream(device)
        # A few rows of a finished batch: they go before the thousands of blocks of the next one's kernels.
        self._out = torch.cuda.Stream(device, priority=-1)
        self._issuing = threading.Lock()
        # Weights and text matrices came in on the caller's stream.
        for stream in self._all:
            stream.wait_stream(torch.cuda.current_stream(device))

    @property
    def _all(self) -> tuple[torch.cuda.Stream, ...]:
        return self._in, self._compute, self._out

    @contextmanager
    def copy_in(self) -> Iterator[None]:
        with torch.cuda.stream(self._in):
            yield

    @contextmanager
    def compute(self, after: Mark) -> Iterator[None]:
        """The device waits for `after`, not the thread. One thread at a time, so that batches do not interleave."""
        assert isinstance(after, torch.cuda.Event)
        with self._issuing, torch.cuda.stream(self._compute):
            self._compute.wait_event(after)
            yield

    @contextmanager
    def copy_out(self) -> Iterator[None]:
        """To be entered when the results are there: a stream that waited for them would hold up those of others."""
        with torch.cuda.stream(self._out):
            yield

    def mark(self) -> Mark:
        """Here, in the stream of the step that one is in. Waiting for it sleeps, and leaves the core to others."""
        event = torch.cuda.Event(blocking=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def hand_over(self, tensors: Iterable[Tensor]) -> None:
        """Whoever is on the caller's stream uses these from now on, and lets go of them while work there goes on."""
        stream = torch.cuda.current_stream(self.device)
        for tensor in tensors:
            tensor.record_stream(stream)

    def settle(self) -> None:
        """After an error: wait for what had been issued, whose buffers will be used again."""
        for stream in self._all:
            with suppress(RuntimeError):  # the error itself, where the device is lost; it is being raised already
                stream.synchronize()


def streams_of(device: torch.device) -> DeviceStreams:
    """What a device needs."""
    return CudaStreams(device) if device.type == "cuda" else NoStreams()

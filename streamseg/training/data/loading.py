"""Batches ahead of time: one background thread makes the next ones while the current one is learned from."""

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import torch

from ...fcclip.targets import Targets
from .batches import Batch, BatchSource

__all__ = ["load_batches"]

POLL_SECONDS = 0.1  # how soon a thread notices that nobody wants its batches any more


@dataclass(frozen=True)
class _Failure:
    error: BaseException


def load_batches(
    source: BatchSource, positions: Sequence[int], steps: range, *, ahead: int, device: torch.device
) -> Generator[Batch]:
    """The batches of `steps`, in order, on the device.

    Args:
        source: where they come from; its errors are raised here, when their batch is due.
        positions: this worker's part of each batch.
        steps: numbers of the batches.
        ahead: how many are made in advance; 0 for none, and no thread.
        device: for a GPU, copies start from pinned memory and nobody waits for them.
    """
    batches = _in_background(source, positions, steps, ahead, device) if ahead else _inline(source, positions, steps)
    for batch in batches:
        yield batch.to(device, non_blocking=device.type == "cuda")


def _inline(source: BatchSource, positions: Sequence[int], steps: range) -> Iterator[Batch]:
    for step in steps:
        yield source.batch(step, positions)


def _in_background(
    source: BatchSource, positions: Sequence[int], steps: range, ahead: int, device: torch.device
) -> Iterator[Batch]:
    ready: queue.Queue[Batch | _Failure] = queue.Queue(maxsize=ahead)
    unwanted = threading.Event()

    def offer(item: Batch | _Failure) -> None:
        while not unwanted.is_set():
            try:
                ready.put(item, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for batch in _inline(source, positions, steps):
                offer(_pinned(batch) if device.type == "cuda" and batch.images.device.type == "cpu" else batch)
                if unwanted.is_set():
                    return
        except BaseException as error:  # handed over: it belongs to whoever waits for the batch
            offer(_Failure(error))

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        for _ in steps:
            item = ready.get()
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        unwanted.set()
        thread.join()


def _pinned(batch: Batch) -> Batch:
    targets = tuple(Targets(target.labels.pin_memory(), target.masks.pin_memory()) for target in batch.targets)
    return Batch(batch.images.pin_memory(), targets, batch.vocabulary)

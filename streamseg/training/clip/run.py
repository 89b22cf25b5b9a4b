"""What surrounds the steps of a contrastive run: crops rendered ahead, and a log."""

import json
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import TrainingError
from ...world.crops import crop_batch
from .settings import ClipSettings

__all__ = ["CropBatch", "CropSource", "RunLog", "crops_ahead"]

CropBatch = tuple[NDArray[np.uint8], list[str]]
AHEAD = 3  # batches in the making per process


class CropSource(Protocol):
    """Crops and captions, a pure function of its arguments."""

    def __call__(self, seed: int, step: int, count: int, size: int, /) -> CropBatch:
        """(count, size, size, 3) uint8 RGB, and a caption for each."""
        ...


@contextmanager
def crops_ahead(settings: ClipSettings, first: int, source: CropSource | None = None) -> Iterator[Iterator[CropBatch]]:
    """The batches of steps `first` and following, rendered by other processes while the steps run.

    Args:
        source: None for the world's crops; otherwise a function of a module, for processes to find it by name.
    """
    orders = (
        (settings.seed, step, settings.batch_size, settings.size_at(step))
        for step in range(first, settings.total_steps)
    )
    source = source or crop_batch
    if settings.render_processes == 0:
        yield (source(*order) for order in orders)
        return
    # Spawned, not forked: a forked child would inherit the locks of torch's threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.render_processes, context, initializer=_prepare_renderer) as pool:
        try:
            yield _in_order(pool, source, orders, AHEAD * settings.render_processes)
        finally:
            pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor, source: CropSource, orders: Iterator[tuple[int, int, int, int]], ahead: int
) -> Iterator[CropBatch]:
    waiting: deque[Future[CropBatch]] = deque()
    for order in orders:
        waiting.append(pool.submit(source, *order))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _prepare_renderer() -> None:
    """Ctrl-C is for the process that trains; and one process is one thread."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


class RunLog:
    """Means over a few steps, as JSON lines in a file and as lines for people.

    Losses stay on their device until a line is due, so that steps need not wait for one another.
    """

    def __init__(self, path: Path, settings: ClipSettings, say: Callable[[str], None]) -> None:
        self.path = path
        self.settings = settings
        self.say = say
        self._pending: list[tuple[Tensor, Tensor]] = []
        self._since = time.monotonic()

    def add(self, step: int, loss: Tensor, accuracy: Tensor, learning_rate: float) -> None:
        """After each step. TrainingError where the loss is no number any more."""
        self._pending.append((loss, accuracy))
        if step % self.settings.log_every and step < self.settings.total_steps:
            return
        mean_loss, mean_accuracy = torch.tensor(self._pending).mean(0).tolist()
        if not np.isfinite(mean_loss):
            raise TrainingError(f"the loss is {mean_loss} at step {step}: lower learning_rate, or try precision: fp32")
        rate = len(self._pending) * self.settings.batch_size / (time.monotonic() - self._since)
        size = self.settings.size_at(step - 1)
        self._write(
            step=step, loss=mean_loss, accuracy=mean_accuracy, lr=learning_rate, size=size, crops_per_second=rate
        )
        self.say(
            f"step {step}/{self.settings.total_steps}  {size} px  loss {mean_loss:.3f}  accuracy {mean_accuracy:.3f}  "
            f"lr {learning_rate:.2e}  {rate:.0f} crops/s"
        )
        self._pending = []
        self._since = time.monotonic()

    def validated(self, step: int, scores: dict[str, float]) -> None:
        """After a validation; its time is not counted as training."""
        self._write(step=step, validation=scores)
        self.say(f"step {step}  zero-shot: " + "  ".join(f"{name} {value:.3f}" for name, value in scores.items()))
        self._since = time.monotonic()

    def _write(self, **values: object) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

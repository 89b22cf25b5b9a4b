"""`Segmenter.segment`, with the device kept busy: while one batch is computed, the next is resized and copied in.

    thread 1   resize | copy in | issue | .. compute .. | select |   resize | copy in | issue | ...
    thread 2            resize  | copy in | issue | .................. compute .. | select | ...

Any thread may call `segment` and gets its own results, equal to the segmenter's. Two that do so in turns have two
batches in flight, which is all that a GPU can use: one that it computes, and one that is ready when it has done that.
On a CPU the same steps follow one another.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from queue import SimpleQueue

import torch
from torch import Tensor

from ..fcclip.classifier import TextClassifier
from ..frame_batches import FrameBatch, Picture
from ..preprocess import PixelScale
from ..queries import Queries
from ..segmenter import Segmenter
from ..vocabulary import Vocabulary
from .device_streams import streams_of
from .staging import Staging

__all__ = ["IN_FLIGHT", "DevicePass"]

IN_FLIGHT = 2  # batches on a GPU: one is computed, one is ready
MOST_RESIZERS = 8  # threads; resizing a frame takes a core about as long as a large GPU takes to segment it


class DevicePass:
    """A segmenter behind three streams and pinned memory.

    Args:
        segmenter: whose steps these are; others may use it meanwhile.
        in_flight: batches on their way at once; more callers wait.
    """

    def __init__(self, segmenter: Segmenter, *, in_flight: int = IN_FLIGHT) -> None:
        self.segmenter = segmenter
        device, spec = segmenter.device, segmenter.spec
        self._scale = PixelScale.of(spec.pixel_mean, spec.pixel_std, device)
        self._streams = streams_of(device)
        self._stagings: SimpleQueue[Staging] = SimpleQueue()
        for _ in range(in_flight):
            self._stagings.put(Staging(device))
        # A CPU's cores are the model's.
        resizers = min(MOST_RESIZERS, os.cpu_count() or 1) if self._streams.pinned else 0
        self._resizers = ThreadPoolExecutor(resizers, thread_name_prefix="resize") if resizers else None

    def close(self) -> None:
        """No more calls will come; ends the threads that resize."""
        if self._resizers is not None:
            self._resizers.shutdown()

    @torch.inference_mode()
    def segment(self, frames: Sequence[Picture], vocabulary: Vocabulary | Sequence[Vocabulary]) -> list[Queries]:
        """As `Segmenter.segment`: the same arguments, results and errors. The results are complete when it returns."""
        results: dict[int, Queries] = {}
        for batch in self.segmenter.batches(frames, vocabulary):
            staging = self._stagings.get()
            try:
                queries = self._pass(batch, staging)
            except BaseException:
                self._streams.settle()
                raise
            finally:
                self._stagings.put(staging)
            results.update(zip(batch.members, queries, strict=True))
        return [results[position] for position in range(len(frames))]

    def _pass(self, batch: FrameBatch, staging: Staging) -> list[Queries]:
        streams, segmenter = self._streams, self.segmenter
        staging.stage(batch.resized, batch.resized_hw, self._resizers)
        # Encoded on the caller's stream, and held until the device is done with them: the cache may let go sooner.
        words = self._words(batch.vocabularies)
        with streams.copy_in():
            pictures = staging.upload(batch.resized_hw)
            valid_hw = self._to_device(torch.tensor(batch.resized_hw))
            uploaded = streams.mark()
        with streams.compute(after=uploaded):
            image_pass = segmenter.image_pass(self._scale.batch(pictures, batch.padded_hw), valid_hw)
            scored = [segmenter.score(image_pass, row, words) for row, words in enumerate(batch.vocabularies)]
            kept = torch.stack([frame.kept for frame in scored])
            computed = streams.mark()
        computed.synchronize()
        del words
        with streams.copy_out():
            slots = self._slots(kept)
            queries = [
                segmenter.select(image_pass, row, scored[row], slots[row], batch.geometry(row))
                for row in range(len(batch))
            ]
            selected = streams.mark()
        selected.synchronize()
        streams.hand_over(tensor for frame in queries for tensor in _tensors(frame))
        return queries

    def _words(self, vocabularies: Sequence[Vocabulary]) -> list[TextClassifier]:
        wanted = (*vocabularies, self.segmenter.objectness_vocabulary)
        return [self.segmenter.text_classifier(vocabulary) for vocabulary in wanted]

    def _slots(self, kept: Tensor) -> list[Tensor]:
        """Where each row of (B, Q) is true: found on the host, since how many there are decides what is issued next."""
        flags = torch.empty(kept.shape, dtype=torch.bool, pin_memory=self._streams.pinned)
        flags.copy_(kept, non_blocking=True)
        self._streams.mark().synchronize()
        found = [torch.nonzero(row).squeeze(1) for row in flags]
        table = torch.zeros(kept.shape, dtype=torch.int64, pin_memory=self._streams.pinned)
        for row, slots in zip(table, found, strict=True):
            row[: len(slots)] = slots
        on_device = table.to(self.segmenter.device, non_blocking=True)
        return [row[: len(slots)] for row, slots in zip(on_device, found, strict=True)]

    def _to_device(self, small: Tensor) -> Tensor:
        if not self._streams.pinned:
            return small
        return small.pin_memory().to(self.segmenter.device, non_blocking=True)


def _tensors(queries: Queries) -> list[Tensor]:
    values = [getattr(queries, field.name) for field in fields(queries)]
    return [value for value in values if isinstance(value, Tensor)]

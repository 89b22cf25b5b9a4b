"""Batches from a folder of annotated pictures, endless and addressed by step.

Epochs are laid end to end: picture number `step * batch_size + position` of an endless row of permutations, each epoch
with a fresh one. So nothing comes twice within an epoch, and whoever knows the seed knows every batch: a run that was
killed, or a worker with a part of the positions. Loading is synchronous; `FolderSource.example` is the place to read
ahead from, in as many threads or processes as one likes.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from ...errors import ConfigError, SourceError
from ...vocabulary import Vocabulary
from .batches import Batch, Example, collate
from .jitter import LargeScaleJitter
from .panoptic_folder import AnnotatedPicture, PanopticFolder, targets_from_ids

__all__ = ["BadData", "FolderSource", "epoch_order"]

BadData = Literal["refuse", "skip"]
POLICIES: tuple[BadData, ...] = ("refuse", "skip")
WARNINGS = 10  # bad entries that are named in the log, each once; the rest is counted

# What random numbers are for, so that one seed gives unrelated ones.
_ORDER, _JITTER = 0, 1

logger = logging.getLogger(__name__)


class FolderSource:
    """Annotated pictures as training data; a `BatchSource`.

    Safe to use from several threads and to send to other processes: all it keeps is which entries were found bad.

    Args:
        dataset: where pictures come from.
        batch_size: pictures in a global batch, over all workers.
        seed: decides order and augmentation.
        augment: what is done to each picture.
        bad_data: `refuse` ends training with the first bad entry; `skip` names it in the log and takes the next good
            one of the epoch's order in its place, which then comes twice.

    Raises:
        ConfigError: a setting is out of range.
        SourceError: with `refuse`, what a quick check of the folder finds; with `skip`, that nothing is left.
    """

    def __init__(
        self,
        dataset: PanopticFolder,
        *,
        batch_size: int,
        seed: int,
        augment: LargeScaleJitter | None = None,
        bad_data: BadData = "refuse",
    ) -> None:
        _require_settings(batch_size, seed, bad_data)
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed = seed
        self.augment = LargeScaleJitter() if augment is None else augment
        self.bad_data = bad_data
        self._bad: dict[int, str] = {}
        self._check()

    @property
    def vocabularies(self) -> Sequence[Vocabulary]:
        """The data set's one vocabulary."""
        return (self.dataset.vocabulary,)

    @property
    def bad_entries(self) -> Mapping[int, str]:
        """What was skipped so far by this copy of the source: number of the entry, and what is wrong with it."""
        return MappingProxyType(self._bad)

    def batch(self, step: int, positions: Sequence[int]) -> Batch:
        """The pictures at `positions` of global batch `step`; errors as of `example`."""
        return collate([self.example(step, position) for position in positions], self.dataset.vocabulary)

    def example(self, step: int, position: int) -> Example:
        """One picture of a batch, read and augmented: the same for the same arguments.

        Raises:
            SourceError: the entry is bad and `bad_data` is `refuse`, or no entry is good.
            ValueError: there is no such position in a batch.
        """
        if step < 0 or not 0 <= position < self.batch_size:
            raise ValueError(f"step {step}, position {position}: expected position 0 to {self.batch_size - 1}")
        annotated = self._read(step * self.batch_size + position)
        placement = self.augment.place(_generator(self.seed, _JITTER, step, position), annotated.size_hw)
        picture = placement.move_picture(annotated.picture).transpose(2, 0, 1)
        targets = targets_from_ids(placement.move_ids(annotated.ids), annotated.segments)
        return Example(torch.from_numpy(np.ascontiguousarray(picture)), targets, annotated.name)

    def _read(self, number: int) -> AnnotatedPicture:
        """Entry `number` of the endless row, or the next good one of its epoch."""
        for index in self._candidates(number):
            if index in self._bad:
                continue
            try:
                return self.dataset.read(index)
            except SourceError as error:
                if self.bad_data == "refuse":
                    raise type(error)(f"{error}: repair the data, or set bad_data to 'skip'") from None
                self._note(index, str(error))
        raise SourceError(
            f"no entry of {str(self.dataset.annotations)!r} can be used: check the folders of the data set"
        )

    def _candidates(self, number: int) -> Iterator[int]:
        epoch, place = divmod(number, len(self.dataset))
        order = epoch_order(self.seed, epoch, len(self.dataset))
        return (int(index) for part in (order[place:], order[:place]) for index in part)

    def _check(self) -> None:
        if self.bad_data == "refuse":
            try:
                return self.dataset.check()
            except SourceError as error:
                raise SourceError(f"{error}: repair the data, or set bad_data to 'skip'") from None
        for index, problem in self.dataset.problems().items():
            self._note(index, problem)
        if self._bad:
            logger.warning("%d of %d entries are skipped", len(self._bad), len(self.dataset))
        if len(self._bad) == len(self.dataset):
            raise SourceError(
                f"no entry of {str(self.dataset.annotations)!r} can be used (the first: {self._bad[0]}): "
                "check the folders and the vocabulary of the data set"
            )
        return None

    def _note(self, index: int, problem: str) -> None:
        """Remember a bad entry, and name it if it is new and among the first."""
        if self._bad.setdefault(index, problem) is not problem:  # another thread was faster
            return
        if len(self._bad) <= WARNINGS:
            logger.warning("skipped: %s", problem)
        elif len(self._bad) == WARNINGS + 1:
            logger.warning("further bad entries are skipped without a line each")


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, length: int) -> npt.NDArray[np.int64]:
    """The order of `length` entries in one epoch, read-only; kept for a while, since every picture asks for it."""
    order = _generator(seed, _ORDER, epoch).permutation(length)
    order.setflags(write=False)
    return order


def _generator(*key: int) -> np.random.Generator:
    """Random numbers that depend on the key alone; keys of one purpose have one length."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def _require_settings(batch_size: int, seed: int, bad_data: str) -> None:
    if batch_size < 1:
        raise ConfigError(f"batch size {batch_size}: expected at least 1")
    if seed < 0:
        raise ConfigError(f"seed {seed}: expected at least 0")
    if bad_data not in POLICIES:
        raise ConfigError(f"bad_data {bad_data!r}: expected one of {', '.join(POLICIES)}")

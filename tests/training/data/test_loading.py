"""Batches made ahead: the same ones in the same order, errors where they are due, no thread left behind."""

import threading
from collections.abc import Sequence

import pytest
import torch

from streamseg.training.data.batches import Batch
from streamseg.training.data.loading import load_batches
from tests.training.small_runs import PaintedSource

CPU = torch.device("cpu")


class CountingSource(PaintedSource):
    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__(size=32)
        self.asked: list[int] = []
        self.fails_at = fails_at

    def batch(self, step: int, positions: Sequence[int]) -> Batch:
        self.asked.append(step)
        if step == self.fails_at:
            raise ValueError(f"step {step} is bad")
        return super().batch(step, positions)


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_batches_come_in_order(ahead: int) -> None:
    source = CountingSource()
    batches = list(load_batches(source, range(1, 3), range(4, 9), ahead=ahead, device=CPU))
    assert source.asked == [4, 5, 6, 7, 8]
    for step, batch in zip(range(4, 9), batches, strict=True):
        expected = source.batch(step, range(1, 3))
        assert torch.equal(batch.images, expected.images)
        assert batch.vocabulary == expected.vocabulary


def test_no_more_than_asked_are_made_ahead() -> None:
    source = CountingSource()
    batches = load_batches(source, range(1), range(100), ahead=2, device=CPU)
    next(batches)
    batches.close()
    assert len(source.asked) <= 1 + 2 + 1  # taken, waiting, and the one in the making
    assert not [thread for thread in threading.enumerate() if thread.name == "batches"]


@pytest.mark.parametrize("ahead", [0, 2])
def test_an_error_comes_when_its_batch_is_due(ahead: int) -> None:
    batches = load_batches(CountingSource(fails_at=2), range(1), range(5), ahead=ahead, device=CPU)
    assert len(next(batches)) == len(next(batches)) == 1
    with pytest.raises(ValueError, match="step 2 is bad"):
        next(batches)
    assert not [thread for thread in threading.enumerate() if thread.name == "batches"]


@pytest.mark.cuda
def test_batches_reach_a_gpu() -> None:
    device = torch.device("cuda")
    [batch] = load_batches(PaintedSource(size=32), range(2), range(1), ahead=1, device=device)
    expected = PaintedSource(size=32).batch(0, range(2))
    assert batch.images.device.type == batch.targets[0].masks.device.type == "cuda"
    assert torch.equal(batch.images.cpu(), expected.images)

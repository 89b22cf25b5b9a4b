"""Several processes, one training: who computes what, and what they tell one another.

Every worker holds the whole model and takes an equal part of each batch. Gradients are averaged over the workers, and
the criterion's normalisers with them, so that any number of workers computes the gradient of the joint batch. With one
worker nothing is exchanged and torch.distributed is not started.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..errors import ConfigError

__all__ = ["WorkerGroup", "join_group", "start_group"]

# Others wait while one validates or writes.
PATIENCE = timedelta(hours=2)


@dataclass(frozen=True)
class WorkerGroup:
    """This worker's place among all.

    Attributes:
        rank: its number, from 0; number 0 writes files and talks.
        size: how many there are.
        local_rank: its number on its machine; chooses the GPU.
        control: a group that talks on the CPU, beside the one that averages gradients; None for one worker.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    control: Any = None

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def positions(self, batch_size: int) -> range:
        """This worker's places in a batch.

        Raises:
            ConfigError: the batch cannot be split evenly, which the average of gradients needs.
        """
        if batch_size % self.size:
            raise ConfigError(
                f"batch_size is {batch_size}, expected a multiple of the number of workers ({self.size}): "
                "change one of the two"
            )
        share = batch_size // self.size
        return range(self.rank * share, (self.rank + 1) * share)

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network, averaging gradients over the workers in its backward pass."""
        if self.size == 1:
            return network
        # Only the frozen CLIP has buffers. Newer versions of torch have another name for leaving them alone.
        known = inspect.signature(DistributedDataParallel.__init__).parameters
        leave_alone = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        options: dict[str, Any] = {leave_alone: False}
        return DistributedDataParallel(network, gradient_as_bucket_view=True, **options)

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over all workers; no gradient flows through it."""
        if self.size == 1:
            return tensor
        summed = tensor.detach().clone()
        dist.all_reduce(summed)
        return summed / self.size

    def any(self, flag: bool) -> bool:
        """Whether any worker says so. All are asked; the devices are not waited for."""
        if self.size == 1:
            return flag
        votes = torch.tensor([int(flag)])
        dist.all_reduce(votes, op=dist.ReduceOp.MAX, group=self.control)
        return bool(votes.item())

    @contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """Inside, the other workers start when the first one is through: it fills caches that they share."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            dist.barrier(group=self.control)


def join_group(rank: int, size: int, local_rank: int, *, device: torch.device) -> WorkerGroup:
    """This worker's place in the running process group, with a control group beside it.

    All workers have to call it. On CPUs both are one.
    """
    control = dist.new_group(backend="gloo", timeout=PATIENCE) if device.type == "cuda" else None
    return WorkerGroup(rank, size, local_rank, control)


@contextmanager
def start_group(rank: int, size: int, rendezvous: str, *, device: torch.device) -> Iterator[WorkerGroup]:
    """One of `size` workers on this machine, for as long as the context lasts.

    Args:
        rank: its number; also of its GPU.
        size: how many there are.
        rendezvous: a path that does not exist yet, the same for all: where they find one another.
        device: where it computes; decides who averages the gradients (NCCL or Gloo).
    """
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{rendezvous}",
        rank=rank,
        world_size=size,
        timeout=PATIENCE,
    )
    try:
        yield join_group(rank, size, rank, device=device)
    finally:
        dist.destroy_process_group()

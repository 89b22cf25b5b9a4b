"""Numbers from the device to the host, all at once: each transfer makes the host wait, however little it carries."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["to_host"]


def to_host(*tensors: Tensor) -> list[npt.NDArray[Any]]:
    """The same tensors as float32 arrays, through one transfer. Whole numbers have to be below 2^24."""
    packed = torch.cat([tensor.flatten().float() for tensor in tensors]).cpu().numpy()
    ends = np.cumsum([tensor.numel() for tensor in tensors])
    parts = np.split(packed, ends[:-1])
    return [part.reshape(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]

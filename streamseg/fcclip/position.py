"""Sine positional encoding over the two axes of a feature map (DETR, as Mask2Former uses it)."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

__all__ = ["constant_in_graphs", "settled", "sine_position_encoding", "tell_compiler"]

P = ParamSpec("P")
R = TypeVar("R")

TEMPERATURE = 10_000.0

_constants: list[Callable[..., object]] = []


def constant_in_graphs(function: Callable[P, R]) -> Callable[P, R]:
    """For pure functions of sizes: a compiled graph embeds the result instead of tracing how it is made."""
    _constants.append(function)
    return function


def tell_compiler() -> None:
    """Which functions are `constant_in_graphs`. Before compiling only, since the compiler takes seconds to load."""
    for function in _constants:
        torch.compiler.assume_constant_result(function)


def settled(table: Tensor) -> Tensor:
    """The tensor, once it has been computed: tables that are kept are read on any stream of a GPU."""
    if table.device.type == "cuda":
        torch.cuda.current_stream(table.device).synchronize()
    return table


@constant_in_graphs
@lru_cache(maxsize=64)
def sine_position_encoding(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """(1, H*W, C) float32; the first half of the channels encodes y, the second x, both scaled to (0, 2 pi].

    A pure function of the size, so it is computed once per size. Treat the result as read-only.
    """
    # Inference mode would mark the cached tensor for ever, and training could not use it afterwards.
    with torch.inference_mode(False), torch.no_grad():
        frequency = torch.arange(channels // 2, dtype=torch.float32, device=device)
        frequency = TEMPERATURE ** (2 * (frequency // 2) / (channels // 2))

        def encode(length: int) -> Tensor:
            position = torch.arange(1, length + 1, dtype=torch.float32, device=device)
            angle = (position / (length + 1e-6) * (2 * math.pi))[:, None] / frequency
            return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=-1).flatten(1)

        y = encode(height)[:, None].expand(-1, width, -1)
        x = encode(width)[None].expand(height, -1, -1)
        return settled(torch.cat((y, x), dim=-1).reshape(1, height * width, channels))

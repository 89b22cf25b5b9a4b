"""The sine positional encoding."""

import math

import pytest
import torch

from streamseg.fcclip.position import sine_position_encoding

CPU = torch.device("cpu")


def by_formula(height: int, width: int, channels: int) -> torch.Tensor:
    """DETR's encoding, one number at a time."""
    half = channels // 2
    out = torch.zeros(height * width, channels, dtype=torch.float64)
    for row in range(height):
        for column in range(width):
            for channel in range(half):
                frequency = 10_000 ** (2 * (channel // 2) / half)
                wave = math.sin if channel % 2 == 0 else math.cos
                y = (row + 1) / (height + 1e-6) * 2 * math.pi
                x = (column + 1) / (width + 1e-6) * 2 * math.pi
                out[row * width + column, channel] = wave(y / frequency)
                out[row * width + column, half + channel] = wave(x / frequency)
    return out[None]


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 1), (4, 7)])
def test_equals_the_formula(size: tuple[int, int]) -> None:
    encoding = sine_position_encoding(*size, 16, CPU)
    assert encoding.dtype == torch.float32
    torch.testing.assert_close(encoding.double(), by_formula(*size, 16), atol=1e-6, rtol=0)


def test_is_computed_once_per_size() -> None:
    assert sine_position_encoding(3, 4, 16, CPU) is sine_position_encoding(3, 4, 16, CPU)
    assert sine_position_encoding(3, 4, 16, CPU) is not sine_position_encoding(4, 3, 16, CPU)


def test_serves_training_after_inference_mode_asked_first() -> None:
    with torch.inference_mode():
        sine_position_encoding(6, 5, 8, CPU)
    scale = torch.ones(8, requires_grad=True)
    (sine_position_encoding(6, 5, 8, CPU) * scale).sum().backward()
    assert scale.grad is not None

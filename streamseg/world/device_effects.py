"""Light, blur, noise and compression on batches of pictures, with torch: the twin of `effects.py`."""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from .snapshot import Effects

__all__ = ["apply_effects"]

# The quantisation table for brightness that the JPEG standard gives as an example (ITU-T T.81, table K.1).
LUMINANCE_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def apply_effects(rgb: Tensor, effects: Sequence[Effects]) -> Tensor:
    """(B, 3, H, W) float on the 0..255 scale, each picture with its own effects -> uint8. Motion blur is left out.

    Each picture is computed by itself: the others of its batch do not show in its last bits.
    """
    return torch.stack([_apply(picture, entry) for picture, entry in zip(rgb, effects, strict=True)])


def _apply(rgb: Tensor, effects: Effects) -> Tensor:
    """(3, H, W) float -> uint8."""
    gain = torch.tensor(effects.gain, device=rgb.device)
    rgb = (rgb * gain[:, None, None]).clamp(0, 255)
    rgb = _blur(rgb, effects.blur * rgb.shape[-2] / 1000)
    if effects.noise > 0:
        rgb = _add_noise(rgb, effects.noise, effects.noise_seed)
    if effects.quality is not None:
        rgb = _compress(rgb, effects.quality)
    return rgb.round().clamp(0, 255).to(torch.uint8)


def _add_noise(rgb: Tensor, deviation: float, seed: int) -> Tensor:
    generator = torch.Generator(rgb.device).manual_seed(seed)
    noise = torch.randn(rgb.shape, generator=generator, device=rgb.device)
    return (rgb + noise * deviation).clamp(0, 255)


def _blur(rgb: Tensor, deviation: float) -> Tensor:
    """A Gaussian, rows then columns."""
    if deviation <= 0.1:
        return rgb
    reach = min(math.ceil(3 * deviation), min(rgb.shape[-2:]) - 1)
    steps = torch.arange(-reach, reach + 1, device=rgb.device)
    kernel = torch.exp(-0.5 * (steps / deviation) ** 2)
    kernel = kernel / kernel.sum()
    planes: Tensor = F.pad(rgb[:, None], (reach,) * 4, mode="reflect")
    for shape in ((1, 1, 1, -1), (1, 1, -1, 1)):
        planes = F.conv2d(planes, kernel.reshape(shape))
    return planes[:, 0]


def _compress(rgb: Tensor, quality: int) -> Tensor:
    """What JPEG's quantisation of 8x8 blocks does to brightness; colour is kept."""
    height, width = rgb.shape[-2:]
    weights = torch.tensor((0.299, 0.587, 0.114), device=rgb.device)
    luma = (rgb * weights[:, None, None]).sum(0)
    padded = F.pad(luma[None, None], (0, -width % 8, 0, -height % 8), mode="replicate")[0, 0]
    basis = _cosines(rgb.device)
    sizes = (_steps(rgb.device) * _step_factor(quality)).clamp(1, 255)
    blocks = padded.unflatten(1, (-1, 8)).unflatten(0, (-1, 8)).transpose(1, 2)  # (rows, columns, 8, 8)
    coded = ((basis @ (blocks - 128) @ basis.T) / sizes).round() * sizes
    decoded: Tensor = (basis.T @ coded @ basis + 128).transpose(1, 2).flatten(2, 3).flatten(0, 1)
    return rgb + (decoded[:height, :width] - luma)


def _step_factor(quality: int) -> float:
    """The usual meaning of a JPEG quality, as the factor on the example table."""
    return (5000 / quality if quality < 50 else 200 - 2 * quality) / 100


@lru_cache(maxsize=4)
def _steps(device: torch.device) -> Tensor:
    return torch.tensor(LUMINANCE_STEPS, dtype=torch.float32, device=device)


@lru_cache(maxsize=4)
def _cosines(device: torch.device) -> Tensor:
    """(8, 8) orthonormal cosine transform."""
    k = torch.arange(8, device=device, dtype=torch.float32)
    basis = torch.cos(math.pi / 8 * k[:, None] * (k[None] + 0.5)) / 2
    basis[0] /= math.sqrt(2)
    return basis

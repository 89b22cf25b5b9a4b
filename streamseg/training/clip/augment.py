"""Small changes to crops that leave their captions true: light, a touch of hue, mirror images, noise."""

import math

import torch
from torch import Tensor

__all__ = ["augment_crops"]

BRIGHTNESS, CONTRAST, SATURATION, HUE_DEGREES, NOISE = 0.15, 0.2, 0.2, 6.0, 10.0


def augment_crops(crops: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 3, H, W) on the 0..255 scale, float32, each changed on its own.

    Colours are words here, so hue turns by a few degrees only. Random numbers come from `generator`, on its device, so
    that the same state gives the same result wherever the crops are.
    """
    count = len(crops)

    def spread(width: float) -> Tensor:
        return (2 * torch.rand(count, generator=generator) - 1).to(crops.device) * width

    gain, shift = 1 + spread(CONTRAST), 255 * spread(BRIGHTNESS)
    matrix = _color_matrix(spread(math.radians(HUE_DEGREES)), 1 + spread(SATURATION)) * gain[:, None, None]
    center = 127.5 * (1 - gain) + shift
    changed = torch.einsum("bij,bjhw->bihw", matrix, crops) + center[:, None, None, None]
    mirrored = torch.rand(count, generator=generator).to(crops.device) < 0.5
    changed = torch.where(mirrored[:, None, None, None], changed.flip(-1), changed)
    strength = NOISE * torch.rand(count, generator=generator).to(crops.device) ** 2
    noise = torch.randn(crops.shape, generator=generator).to(crops.device)
    return changed.addcmul_(noise, strength[:, None, None, None]).clamp_(0, 255)


def _color_matrix(angle: Tensor, saturation: Tensor) -> Tensor:
    """(B, 3, 3): a rotation about the gray axis (Rodrigues' formula), and a scale around it."""
    gray = torch.full((3, 3), 1 / 3, device=angle.device)
    turn = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], device=angle.device) / math.sqrt(3)
    chroma = torch.eye(3, device=angle.device) - gray
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return gray + saturation[:, None, None] * (cosine * chroma + sine * turn)

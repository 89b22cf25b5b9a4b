"""From a picture to the network's input: resize, normalise, pad. As published."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

__all__ = ["PixelScale", "normalize_and_pad", "padded_size", "resize", "resized_size"]


def resized_size(size_hw: tuple[int, int], short_side: int, max_long_side: int) -> tuple[int, int]:
    """Size after scaling the shortest edge to `short_side`, the longest being at most `max_long_side`.

    Detectron2's rounding: 480x640 -> 800x1067, 720x1280 -> 750x1333 for 800 and 1333.
    """
    height, width = size_hw
    scale = short_side / min(height, width)
    new_height, new_width = (short_side, scale * width) if height < width else (scale * height, short_side)
    longest = max(new_height, new_width)
    if longest > max_long_side:
        shrink = max_long_side / longest
        new_height, new_width = new_height * shrink, new_width * shrink
    return max(1, int(new_height + 0.5)), max(1, int(new_width + 0.5))


def padded_size(size_hw: tuple[int, int], divisor: int) -> tuple[int, int]:
    """Both sides rounded up to a multiple of `divisor`."""
    height, width = size_hw
    return -(-height // divisor) * divisor, -(-width // divisor) * divisor


def resize(image: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 -> (h, w, 3) uint8 with Pillow's bilinear filter, which the published numbers were made with.

    Pillow's filter widens when it shrinks (antialiasing); OpenCV's does not and gives other pixels.
    """
    height, width = size_hw
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def normalize_and_pad(
    images: Sequence[npt.NDArray[np.uint8]],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    divisor: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """A batch of (h, w, 3) uint8 pictures, whose padded sizes agree.

    Bytes travel to the device and become floats there. The padding is zero after normalisation, right and below.

    Returns:
        images (B, 3, H, W) float32, and sizes without padding (B, 2) int64 as height, width, on the CPU.
    """
    sizes = [(image.shape[0], image.shape[1]) for image in images]
    scale = PixelScale.of(mean, std, device)
    batch = scale.batch([_to_device(image, device) for image in images], padded_size(sizes[0], divisor))
    return batch, torch.tensor(sizes)


@dataclass(frozen=True, slots=True, eq=False)
class PixelScale:
    """A model's mean and spread of pixels, on the device where batches are made.

    Attributes:
        center, spread: (3, 1, 1) float32.
    """

    center: Tensor
    spread: Tensor

    @classmethod
    def of(cls, mean: Sequence[float], std: Sequence[float], device: torch.device) -> "PixelScale":
        return cls(
            torch.tensor(mean, device=device)[:, None, None],
            torch.tensor(std, device=device)[:, None, None],
        )

    def batch(self, pictures: Sequence[Tensor], padded_hw: tuple[int, int]) -> Tensor:
        """(h, w, 3) uint8 pictures on the device to (B, 3, *padded_hw) float32, zero right and below."""
        batch = torch.zeros((len(pictures), 3, *padded_hw), device=self.center.device)
        for row, picture in zip(batch, pictures, strict=True):
            pixels = picture.permute(2, 0, 1).float()
            row[:, : picture.shape[0], : picture.shape[1]] = (pixels - self.center) / self.spread
        return batch


def _to_device(image: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    # Frames are read-only arrays; torch would warn that it cannot promise not to write to them. Copying costs 0.3 ms.
    tensor = torch.from_numpy(np.array(image, copy=True, order="C"))
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor

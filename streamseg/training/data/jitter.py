"""Large-scale jitter: the augmentation that FC-CLIP takes over from Mask2Former's COCO panoptic recipe.

A picture is flipped half of the time, scaled by a factor between a tenth and two, and a square of fixed size is cut out
of it or, where it is smaller, filled up with grey at the right and at the bottom (Ghiasi et al., "Simple Copy-Paste",
CVPR 2021, section 3; Mask2Former's numbers). What is drawn, and how pixels are resampled (by Pillow), follows
detectron2's `RandomFlip`, `ResizeScale` and `FixedSizeCrop`.

Drawing and doing are two steps: `LargeScaleJitter.place` turns a random generator into a `Placement`, which then moves
the picture and its segment ids alike.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...errors import ConfigError

__all__ = ["PADDING", "LargeScaleJitter", "Placement"]

PADDING = 128
"""The grey around a picture that is smaller than the crop, in every channel; around segments it is void, 0."""

Pixel = TypeVar("Pixel", np.uint8, np.int32)

STRIDE = 32  # of the backbone's coarsest features, which a network input has to be a multiple of


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the pixels of one picture go: flipped, then scaled, then cut or padded.

    Attributes:
        flip: whether left and right change places.
        scaled_hw: height and width after scaling, in pixels.
        offset_yx: the upper left corner of the crop in the scaled picture.
        size: side of the square that comes out.
    """

    flip: bool
    scaled_hw: tuple[int, int]
    offset_yx: tuple[int, int]
    size: int

    def move_picture(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 to (size, size, 3): bilinear, smoothed when it shrinks, grey where there is no picture."""
        return self._move(picture, Image.Resampling.BILINEAR, PADDING)

    def move_ids(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """(H, W) int32 segment ids to (size, size): the nearest pixel, and void, 0, where there is no picture."""
        return self._move(ids, Image.Resampling.NEAREST, 0)

    def _move(self, pixels: npt.NDArray[Pixel], resampling: Image.Resampling, padding: int) -> npt.NDArray[Pixel]:
        height, width = self.scaled_hw
        flipped = np.ascontiguousarray(pixels[:, ::-1] if self.flip else pixels)
        scaled = np.asarray(Image.fromarray(flipped).resize((width, height), resampling))
        top, left = self.offset_yx
        part = scaled[top : top + self.size, left : left + self.size]
        moved = np.full((self.size, self.size, *pixels.shape[2:]), padding, pixels.dtype)
        moved[: part.shape[0], : part.shape[1]] = part
        return moved


@dataclass(frozen=True, slots=True)
class LargeScaleJitter:
    """The random part: how far pictures are scaled, how often flipped, and how large the crop is.

    Attributes:
        size: side of the square that comes out, in pixels, a multiple of 32.
        scale: the range of the factor; at 1 the picture just fits into the square.
        flip: how often left and right change places, as a probability.

    Raises:
        ConfigError: a value is out of range.
    """

    size: int = 1024
    scale: tuple[float, float] = (0.1, 2.0)
    flip: float = 0.5

    def __post_init__(self) -> None:
        if self.size < STRIDE or self.size % STRIDE:
            raise ConfigError(f"crop size {self.size}: expected a multiple of {STRIDE}, such as 1024")
        low, high = self.scale
        if not 0 < low <= high < float("inf"):
            raise ConfigError(f"scale range {low} to {high}: expected two positive factors, the smaller one first")
        if not 0 <= self.flip <= 1:
            raise ConfigError(f"flip probability {self.flip}: expected 0 to 1")

    def place(self, random: np.random.Generator, size_hw: tuple[int, int]) -> Placement:
        """Draw a placement for a picture of this height and width.

        Three numbers are drawn, always and in this order: flip, scale, crop. The crop's offset uses one number for both
        axes, as published: large pictures are cut along their diagonal.
        """
        flip = bool(random.random() < self.flip)
        scaled_hw = self._scaled(size_hw, random.uniform(*self.scale))
        slide = random.random()
        top, left = (round(max(side - self.size, 0) * slide) for side in scaled_hw)
        return Placement(flip, scaled_hw, (top, left), self.size)

    def _scaled(self, size_hw: tuple[int, int], scale: float) -> tuple[int, int]:
        """The largest size of the same shape that fits into a square of `scale` times the crop; at least one pixel."""
        height, width = size_hw
        factor = min(self.size * scale / height, self.size * scale / width)
        return max(round(height * factor), 1), max(round(width * factor), 1)

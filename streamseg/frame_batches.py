"""Pictures of any sizes, sorted into batches that one forward pass can take.

The first step of `Segmenter.segment`, by itself, so that a runtime can do the next ones (resize, upload, compute) where
and when it likes, and still get the same batches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from .errors import ConfigError
from .preprocess import padded_size, resize
from .queries import MaskGeometry
from .vocabulary import Vocabulary

__all__ = ["FrameBatch", "HasPixels", "Picture", "batch_frames"]

Pixels = npt.NDArray[np.uint8]


@runtime_checkable
class HasPixels(Protocol):
    """A `Frame`, or anything that carries one picture."""

    @property
    def rgb(self) -> Pixels: ...


Picture = HasPixels | Pixels


@dataclass(frozen=True, slots=True, eq=False)
class FrameBatch:
    """Frames that share a padded input size.

    Attributes:
        members: where each one stood in the caller's list.
        pictures: (H, W, 3) uint8 RGB, as given.
        resized_hw: size of each at the network's input, without padding.
        padded_hw: size of the network's input.
        vocabularies: of each frame.
    """

    members: tuple[int, ...]
    pictures: tuple[Pixels, ...]
    resized_hw: tuple[tuple[int, int], ...]
    padded_hw: tuple[int, int]
    vocabularies: tuple[Vocabulary, ...]

    def __len__(self) -> int:
        return len(self.members)

    @property
    def output_hw(self) -> list[tuple[int, int]]:
        """Size of each picture, and of its map."""
        return [(picture.shape[0], picture.shape[1]) for picture in self.pictures]

    def resized(self, position: int) -> Pixels:
        """One picture at the size at which the network sees it."""
        return resize(self.pictures[position], self.resized_hw[position])

    def geometry(self, position: int) -> MaskGeometry:
        """How that picture's mask logits map back to it."""
        return MaskGeometry(self.padded_hw, self.resized_hw[position], self.output_hw[position])


def batch_frames(
    frames: Sequence[Picture],
    vocabulary: Vocabulary | Sequence[Vocabulary],
    *,
    input_size: Callable[[tuple[int, ...]], tuple[int, int]],
    divisor: int,
    max_batch: int,
) -> list[FrameBatch]:
    """Check frames and group them.

    Args:
        frames: `Frame` objects or (H, W, 3) uint8 RGB arrays.
        vocabulary: one for all, or one per frame.
        input_size: of `Segmenter`, height and width at the network's input.
        divisor: what the padded size is a multiple of.
        max_batch: most frames of a batch.

    Raises:
        ConfigError: a picture is not (H, W, 3) uint8, or the numbers of frames and vocabularies differ.
    """
    pictures = [_pixels(frame, position) for position, frame in enumerate(frames)]
    vocabularies = _one_each(vocabulary, len(pictures))
    sizes = [input_size(picture.shape[:2]) for picture in pictures]
    groups: dict[tuple[int, int], list[int]] = {}
    for position, size in enumerate(sizes):
        groups.setdefault(padded_size(size, divisor), []).append(position)
    return [
        FrameBatch(
            tuple(members),
            tuple(pictures[i] for i in members),
            tuple(sizes[i] for i in members),
            padded_hw,
            tuple(vocabularies[i] for i in members),
        )
        for padded_hw, group in groups.items()
        for members in (group[start : start + max_batch] for start in range(0, len(group), max_batch))
    ]


def _pixels(frame: Picture, position: int) -> Pixels:
    image: Any = frame.rgb if isinstance(frame, HasPixels) else frame
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ConfigError(
            f"frame {position} is {found}, expected a uint8 RGB array of shape (height, width, 3); "
            "convert it first (OpenCV reads BGR: use image[:, :, ::-1])"
        )
    if 0 in image.shape:
        raise ConfigError(f"frame {position} has no pixels: shape {image.shape}, expected at least 1x1")
    return image


def _one_each(vocabulary: Vocabulary | Sequence[Vocabulary], count: int) -> list[Vocabulary]:
    if isinstance(vocabulary, Vocabulary):
        return [vocabulary] * count
    given: Any = vocabulary  # by its types it cannot be text, but that is the mistake people make
    for text in [given] if isinstance(given, str) else [entry for entry in given if isinstance(entry, str)]:
        raise ConfigError(f"vocabulary is the text {text!r}, expected a Vocabulary: use Vocabulary.parse or .load")
    vocabularies = list(vocabulary)
    if len(vocabularies) != count:
        raise ConfigError(f"{len(vocabularies)} vocabularies for {count} frames, expected one, or one per frame")
    return vocabularies

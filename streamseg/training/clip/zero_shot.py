"""What a contrastive run has learnt so far: crops that it never saw, named among all the words there are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ...fcclip.spec import ModelSpec
from ...fcclip.text import VILD_TEMPLATES, build_text_encoder
from ...world.crops import render_crop
from ...world.names import COLORS, PATTERNS, SHAPES, STUFF, Composition, compositions, exposure
from ...world.seeds import generator

__all__ = ["LabelledCrops", "labelled_crops", "zero_shot_accuracy"]

BATCH = 128
SINGLE_PROMPT = VILD_TEMPLATES[:1]  # hundreds of pairs of words do not need the ensemble


@dataclass(frozen=True, slots=True, eq=False)
class LabelledCrops:
    """Crops with what they really show, of everything the world can make.

    Attributes:
        pictures: (N, size, size, 3) uint8 RGB.
        things: what each shows; None for stuff alone.
        grounds: the stuff that each shows most of.
    """

    pictures: NDArray[np.uint8]
    things: tuple[Composition | None, ...]
    grounds: tuple[str, ...]


@lru_cache(maxsize=2)  # a run asks for the same ones again and again
def labelled_crops(seed: int, count: int, size: int) -> LabelledCrops:
    """`count` crops of `size` pixels; the same arguments give the same ones."""
    crops = [render_crop(generator("validation crop", seed, index), size, compositions()) for index in range(count)]
    pictures, things, grounds = zip(*crops, strict=True)
    return LabelledCrops(np.stack(pictures), things, grounds)


@torch.inference_mode()
def zero_shot_accuracy(
    clip_model: nn.Module, spec: ModelSpec, crops: LabelledCrops, embed: Callable[[NDArray[np.uint8]], Tensor]
) -> dict[str, float]:
    """Shares of crops that are named rightly.

    Args:
        clip_model: an open_clip model of `spec`, in eval mode.
        embed: (N, size, size, 3) uint8 RGB pictures to their embeddings (N, D).

    Returns:
        `stuff`, among the crops of stuff alone; and for crops of things `shape`, `color` (among the twelve of the right
        shape) and `pattern` (likewise), with `never_` in front for compositions that the CLIP was not trained on.
        Kinds of which there is no crop are left out.
    """
    encoder = build_text_encoder(clip_model, spec)
    image = _image_embeddings(crops.pictures, embed)
    stuff, shapes = _names(STUFF), _names(SHAPES)
    hits: dict[str, list[bool]] = {}
    nearest_stuff = _nearest(image, encoder.encode_names(stuff))
    nearest_shape = _nearest(image, encoder.encode_names(shapes))
    pairs = {shape: _attribute_texts(encoder, shape) for shape in {t.shape for t in crops.things if t is not None}}
    for index, (thing, ground) in enumerate(zip(crops.things, crops.grounds, strict=True)):
        if thing is None:
            hits.setdefault("stuff", []).append(stuff[nearest_stuff[index]] == ground)
            continue
        prefix = "never_" if exposure(thing) == "never" else ""
        colors, patterns = (_nearest(image[index : index + 1], texts)[0] for texts in pairs[thing.shape])
        hits.setdefault(f"{prefix}shape", []).append(shapes[nearest_shape[index]] == thing.shape)
        hits.setdefault(f"{prefix}color", []).append(COLORS[colors].name == thing.color)
        hits.setdefault(f"{prefix}pattern", []).append(PATTERNS[patterns].name == thing.pattern)
    return {name: float(np.mean(found)) for name, found in sorted(hits.items())}


def _attribute_texts(encoder: Any, shape: str) -> tuple[Tensor, Tensor]:
    """Embeddings of 'red car', 'blue car', ...; and of 'plain car', 'striped car', ..."""
    colors = encoder.encode_names([f"{color.name} {shape}" for color in COLORS], SINGLE_PROMPT)
    patterns = encoder.encode_names([f"{pattern.name} {shape}" for pattern in PATTERNS], SINGLE_PROMPT)
    return colors, patterns


def _image_embeddings(pictures: NDArray[np.uint8], embed: Callable[[NDArray[np.uint8]], Tensor]) -> Tensor:
    """(N, D) float32 on the CPU, unit length."""
    starts = range(0, len(pictures), BATCH)
    parts = [embed(pictures[start : start + BATCH]).float().cpu() for start in starts]
    return F.normalize(torch.cat(parts), dim=-1)


def _nearest(image: Tensor, texts: Tensor) -> list[int]:
    found: list[int] = (image @ texts.T).argmax(-1).tolist()
    return found


def _names(named: Sequence[Any]) -> list[str]:
    return [entry.name for entry in named]

"""FC-CLIP in small: the real code with a few thousand numbers, so that a forward pass takes milliseconds.

Weights are the deterministic ones of `reference_weights.py`: with torch's own initialisation masks come out all empty
or all full, and tests would pass for want of anything to see.
"""

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from torch import Tensor, nn

from streamseg.fcclip.backbone import ClipBackbone, ResNetBackbone, build_backbone
from streamseg.fcclip.mask_decoder import MaskDecoder
from streamseg.fcclip.model import FCCLIP
from streamseg.fcclip.pixel_decoder import PixelDecoder
from streamseg.fcclip.reference_weights import reference_tensor
from streamseg.fcclip.spec import ModelSpec, get_spec
from streamseg.fcclip.text import TextEmbeddings
from streamseg.fcclip.weights import official_key
from streamseg.preprocess import normalize_and_pad
from streamseg.segmenter import Segmenter

SMALL_CONVNEXT = replace(
    get_spec("demo-untrained"),
    name="small-convnext",
    num_queries=24,
    hidden_dim=64,
    mask_dim=64,
    pixel_decoder_layers=1,
    pixel_decoder_ffn_dim=64,
    mask_decoder_layers=3,
    mask_decoder_ffn_dim=64,
    short_side=64,
    max_long_side=160,
    beta=0.8,
    training_vocabulary="coco",
)
SMALL_RESNET = replace(
    SMALL_CONVNEXT,
    name="small-resnet",
    family="resnet",
    clip_model="tiny",
    clip_config=None,
    backbone_channels=(32, 64, 128, 256),
    embed_dim=32,
    ensemble_on_valid_mask=True,
)
IMAGE_SIZE_OF_TINY_RESNET = 96  # an attention pool of 3x3 cells


def tiny_resnet_clip() -> CLIP:
    """CLIP's ResNet with one block per stage, an eighth of RN50's width."""
    return CLIP(
        embed_dim=SMALL_RESNET.embed_dim,
        vision_cfg={"layers": (1, 1, 1, 1), "width": 8, "image_size": IMAGE_SIZE_OF_TINY_RESNET},
        text_cfg={"context_length": 77, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
        quick_gelu=True,
    )


def fill(model: nn.Module, prefix: str = "") -> None:
    """Give every entry its deterministic value."""
    for key, value in model.state_dict().items():
        value.copy_(reference_tensor(official_key(prefix + key), value.shape, value.dtype))


def small_backbone(spec: ModelSpec) -> ClipBackbone:
    backbone = ResNetBackbone(tiny_resnet_clip()) if spec.family == "resnet" else build_backbone(spec)
    fill(backbone, "backbone.")
    return backbone


def small_model(spec: ModelSpec = SMALL_CONVNEXT) -> FCCLIP:
    model = FCCLIP(
        spec, small_backbone(spec), PixelDecoder(spec), MaskDecoder(spec), nn.Embedding(1, spec.embed_dim)
    ).eval()
    fill(model)
    _calibrate(model)
    return model


@torch.no_grad()
def _calibrate(model: FCCLIP) -> None:
    """Make masks small enough to leave room for one another, and void likely enough to win some queries.

    The deterministic weights do that for the published widths only.
    """
    model.mask_decoder.mask_embed.layers[2].bias[0] -= 2
    spec, device = model.spec, torch.device("cpu")
    image, _ = normalize_and_pad([picture(64, 96)], mean=spec.pixel_mean, std=spec.pixel_std, divisor=32, device=device)
    mean = F.normalize(F.normalize(model(image).predictions.class_embedding[0], dim=-1).mean(0, keepdim=True), dim=-1)
    void = F.normalize(model.void_embedding.weight, dim=-1)
    model.void_embedding.weight.copy_(F.normalize(void - (void @ mean.T) * mean, dim=-1) + 0.08 * mean)


class WordVectors:
    """A text encoder that makes a vector of each name out of its letters, and remembers what it was asked.

    Attributes:
        asked: names that it encoded, in order.
    """

    fingerprint = "word-vectors"

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.asked: list[str] = []

    def check_names(self, names: Sequence[str]) -> None:
        """Any name will do."""

    def encode_names(self, names: Sequence[str]) -> Tensor:
        self.asked += names
        rows = [np.random.default_rng(zlib.crc32(name.encode())).normal(size=self.dim) for name in names]
        rows.append(np.zeros(self.dim))  # np.stack wants one at least
        return F.normalize(torch.from_numpy(np.stack(rows)).float(), dim=-1)[:-1]


def small_segmenter(model: FCCLIP | None = None, **options: Any) -> Segmenter:
    """All queries are kept unless `min_objectness` says otherwise."""
    model = model or small_model()
    options.setdefault("min_objectness", 0.0)
    return Segmenter(model, TextEmbeddings(WordVectors(model.spec.embed_dim), None), **options)


def picture(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Coloured rectangles on noise: something with regions, at any size."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 60, (height, width, 3), dtype=np.uint8)
    for _ in range(6):
        top, left = random.integers(0, height), random.integers(0, width)
        bottom, right = top + 1 + random.integers(0, height), left + 1 + random.integers(0, width)
        image[top:bottom, left:right] = random.integers(0, 256, 3, dtype=np.uint8)
    return image

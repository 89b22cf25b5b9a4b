"""The frozen convolutional CLIP: backbone of the mask generator and out-of-vocabulary classifier at once.

FC-CLIP (arXiv 2308.02487), section 3.2 and 3.3: a convolutional CLIP keeps its meaning at resolutions it was never
trained on, so the features that feed the mask generator are also the ones that are pooled under each mask and read
against the text.
"""

import logging
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .pooling import mask_pool
from .spec import ModelSpec

__all__ = ["BackboneFeatures", "ClipBackbone", "ConvNextBackbone", "ResNetBackbone", "build_backbone", "build_clip"]


@dataclass(frozen=True, slots=True)
class BackboneFeatures:
    """What one pass through the CLIP trunk yields.

    Attributes:
        stem: (B, C, H/2, W/2) for ResNet, (B, C, H/4, W/4) for ConvNeXt; kept for comparison with the original.
        res2, res3, res4, res5: (B, C, H/s, W/s) with s = 4, 8, 16, 32.
        dense: (B, C, H/32, W/32), the feature that CLIP's own head would pool.
    """

    stem: Tensor
    res2: Tensor
    res3: Tensor
    res4: Tensor
    res5: Tensor
    dense: Tensor


class ClipBackbone(nn.Module):
    """A frozen open_clip model. Its weights never get a gradient and its norms never leave eval mode."""

    def __init__(self, clip_model: nn.Module) -> None:
        super().__init__()
        self.clip_model: Any = clip_model
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        del (
            mode
        )  # frozen (paper section 3.2): batch statistics and dropout must not come alive with the head's training
        return super().train(False)

    @property
    def logit_scale(self) -> Tensor:
        """CLIP's own temperature, as a logarithm (scalar)."""
        scale: Tensor = self.clip_model.logit_scale
        return scale

    def forward(self, images: Tensor) -> BackboneFeatures:
        """(B, 3, H, W), normalised, H and W multiples of 32 -> features at four strides."""
        raise NotImplementedError

    def mask_embeddings(self, dense: Tensor, mask_logits: Tensor) -> Tensor:
        """CLIP's image embedding of each masked region (paper section 3.3, "out-of-vocabulary classifier").

        Args:
            dense: (B, C, h, w), `BackboneFeatures.dense`.
            mask_logits: (B, Q, h, w); pixels above 0 belong to the mask.

        Returns:
            (B, Q, D), not normalised. An empty mask gives a row without meaning, but never NaN.
        """
        raise NotImplementedError


class ConvNextBackbone(ClipBackbone):
    """CLIP ConvNeXt: average under the mask, then CLIP's norm and projection."""

    def forward(self, images: Tensor) -> BackboneFeatures:
        trunk = self.clip_model.visual.trunk
        stem = trunk.stem(images)
        res2 = trunk.stages[0](stem)
        res3 = trunk.stages[1](res2)
        res4 = trunk.stages[2](res3)
        res5 = trunk.stages[3](res4)
        return BackboneFeatures(stem, res2, res3, res4, res5, dense=trunk.norm_pre(res5))

    def mask_embeddings(self, dense: Tensor, mask_logits: Tensor) -> Tensor:
        pooled = mask_pool(dense, mask_logits)
        batch, queries, channels = pooled.shape
        visual = self.clip_model.visual
        # The head pools globally before it normalises; over a single pixel that pooling is the identity.
        embeddings: Tensor = visual.head(visual.trunk.head(pooled.reshape(batch * queries, channels, 1, 1)))
        return embeddings.reshape(batch, queries, -1)


class ResNetBackbone(ClipBackbone):
    """CLIP ResNet: the attention pool, restricted to the mask."""

    def forward(self, images: Tensor) -> BackboneFeatures:
        visual = self.clip_model.visual
        x = visual.act1(visual.bn1(visual.conv1(images)))
        x = visual.act2(visual.bn2(visual.conv2(x)))
        stem = visual.act3(visual.bn3(visual.conv3(x)))
        res2 = visual.layer1(visual.avgpool(stem))
        res3 = visual.layer2(res2)
        res4 = visual.layer3(res3)
        res5 = visual.layer4(res4)
        return BackboneFeatures(stem, res2, res3, res4, res5, dense=res5)

    def mask_embeddings(self, dense: Tensor, mask_logits: Tensor) -> Tensor:
        pool = self.clip_model.visual.attnpool
        batch, channels, height, width = dense.shape
        heads = pool.num_heads
        tokens = dense.flatten(2).transpose(1, 2)  # (B, hw, C)

        # The mean token is the query only: unlike in CLIP itself it is no key (as in the original).
        query = tokens.mean(1, keepdim=True) + pool.positional_embedding[:1]
        keys = tokens + self._spatial_positions(height, width)

        def split(x: Tensor) -> Tensor:
            return x.reshape(batch, -1, heads, channels // heads).transpose(1, 2)

        outside = (mask_logits <= 0).flatten(2)
        empty = outside.all(-1, keepdim=True)
        # A row with no key at all would be 0/0; it attends everywhere and is set to zero below.
        bias = torch.zeros_like(outside, dtype=dense.dtype).masked_fill_(outside & ~empty, float("-inf"))
        attended = F.scaled_dot_product_attention(
            split(pool.q_proj(query)).expand(-1, -1, mask_logits.shape[1], -1),
            split(pool.k_proj(keys)),
            split(pool.v_proj(keys)),
            attn_mask=bias[:, None].expand(-1, heads, -1, -1),
        )
        attended = attended.transpose(1, 2).reshape(batch, -1, channels)
        embeddings: Tensor = pool.c_proj(attended.masked_fill(empty, 0.0))
        return embeddings

    def _spatial_positions(self, height: int, width: int) -> Tensor:
        """CLIP's positional embedding at the size of this feature map: (1, h*w, C)."""
        positions = self.clip_model.visual.attnpool.positional_embedding[1:]
        side = round(positions.shape[0] ** 0.5)
        grid = positions.T.reshape(1, -1, side, side)
        # Interpolated in float32: bfloat16 positions would be rounded twice.
        grid = F.interpolate(grid.float(), size=(height, width), mode="bilinear", align_corners=False).to(grid.dtype)
        return grid.flatten(2).transpose(1, 2)


def build_backbone(spec: ModelSpec) -> ClipBackbone:
    """The CLIP of `spec` with random weights, frozen; `weights.py` fills them."""
    return {"convnext": ConvNextBackbone, "resnet": ResNetBackbone}[spec.family](build_clip(spec))


def build_clip(spec: ModelSpec) -> nn.Module:
    """The open_clip model of `spec` with random weights, trainable."""
    import open_clip  # here, since it takes seconds, and whoever is given a segmenter builds none

    if spec.clip_config is not None and spec.clip_model not in open_clip.list_models():
        with as_file(files("streamseg") / "data" / "models" / spec.clip_config) as path:
            open_clip.add_model_config(path)
    # open_clip warns through the root logger that it was given no weights, which is the plan.
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        clip_model: nn.Module = open_clip.create_model(
            spec.clip_model, pretrained=None, load_weights=False, force_quick_gelu=spec.force_quick_gelu
        )
    finally:
        root.setLevel(level)
    return clip_model

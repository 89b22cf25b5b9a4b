"""The pixel decoder: CLIP's features at strides 8-32 talk to each other, then one step up to stride 4.

Mask2Former (Cheng et al., CVPR 2022), section 3.2 and appendix; FC-CLIP keeps it unchanged.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import BackboneFeatures
from .deformable_attention import MultiScaleDeformableAttention, reference_points
from .position import constant_in_graphs, settled, sine_position_encoding
from .spec import ModelSpec

__all__ = ["PixelDecoder", "PixelFeatures"]

NORM_GROUPS = 32


@dataclass(frozen=True, slots=True)
class PixelFeatures:
    """What the mask decoder reads.

    Attributes:
        scales: three maps (B, C, H/s, W/s), s = 32, 16, 8.
        mask_features: (B, C, H/4, W/4); a query's mask is its dot product with these.
    """

    scales: tuple[Tensor, Tensor, Tensor]
    mask_features: Tensor


class ConvNorm(nn.Conv2d):
    """A convolution that carries its norm, so that both sit under one name in the published files."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = nn.GroupNorm(NORM_GROUPS, out_channels)

    def forward(self, input: Tensor) -> Tensor:
        normed: Tensor = self.norm(super().forward(input))
        return normed


class EncoderLayer(nn.Module):
    """Deformable attention and a feed-forward net, each followed by its norm."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        dim = spec.hidden_dim
        self.self_attn = MultiScaleDeformableAttention(dim, 3, spec.num_heads, spec.num_points)
        self.norm1 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, spec.pixel_decoder_ffn_dim)
        self.linear2 = nn.Linear(spec.pixel_decoder_ffn_dim, dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward(self, x: Tensor, position: Tensor, centres: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        x = self.norm1(x + self.self_attn(x, position, centres, shapes))
        normed: Tensor = self.norm2(x + self.linear2(F.relu(self.linear1(x))))
        return normed


class Encoder(nn.Module):
    """The stack of layers; named so that its keys read as the published ones do."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(spec) for _ in range(spec.pixel_decoder_layers))


class DeformableTransformer(nn.Module):
    """All cells of the three scales in one sequence, through the encoder."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.encoder = Encoder(spec)
        self.level_embed = nn.Parameter(torch.randn(3, spec.hidden_dim))

    def forward(self, scales: list[Tensor]) -> list[Tensor]:
        """(B, C, H, W) per scale in, the same shapes out."""
        shapes = [(scale.shape[-2], scale.shape[-1]) for scale in scales]
        channels, device = scales[0].shape[1], scales[0].device
        x = torch.cat([scale.flatten(2).transpose(1, 2) for scale in scales], dim=1)
        position = torch.cat(
            [
                sine_position_encoding(*shape, channels, device) + self.level_embed[level]
                for level, shape in enumerate(shapes)
            ],
            dim=1,
        ).to(x.dtype)
        centres = _centres_in_pixels(tuple(shapes), device)
        for layer in self.encoder.layers:
            x = layer(x, position, centres, shapes)
        outputs = x.split([height * width for height, width in shapes], dim=1)
        return [output.transpose(1, 2).unflatten(2, shape) for output, shape in zip(outputs, shapes, strict=True)]


class PixelDecoder(nn.Module):
    """Backbone features to the three scales and the mask features."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        dim = spec.hidden_dim
        stride4, *strides8_to_32 = spec.backbone_channels
        self.input_proj = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, dim, 1), nn.GroupNorm(NORM_GROUPS, dim))
            for channels in reversed(strides8_to_32)
        )
        self.transformer = DeformableTransformer(spec)
        self.adapter_1 = ConvNorm(stride4, dim, kernel_size=1)
        self.layer_1 = ConvNorm(dim, dim, kernel_size=3)
        self.mask_features = nn.Conv2d(dim, spec.mask_dim, 1)

    def forward(self, features: BackboneFeatures) -> PixelFeatures:
        coarse_to_fine = (features.res5, features.res4, features.res3)
        projected = [project(scale) for project, scale in zip(self.input_proj, coarse_to_fine, strict=True)]
        stride32, stride16, stride8 = self.transformer(projected)
        lateral = self.adapter_1(features.res2)
        top_down = F.interpolate(stride8, size=lateral.shape[-2:], mode="bilinear", align_corners=False)
        stride4 = F.relu(self.layer_1(lateral + top_down))
        return PixelFeatures((stride32, stride16, stride8), self.mask_features(stride4))


@constant_in_graphs
@lru_cache(maxsize=64)
def _centres_in_pixels(shapes: tuple[tuple[int, int], ...], device: torch.device) -> Tensor:
    """Each cell's own centre, expressed in pixels of every level: (S, L, 2). Read-only."""
    with torch.inference_mode(False), torch.no_grad():
        points = reference_points(shapes, device)
        sizes = torch.tensor([(width, height) for height, width in shapes], dtype=torch.float32, device=device)
        return settled(points[:, None] * sizes - 0.5)

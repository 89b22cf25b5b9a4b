"""How the mask generator starts: the published initialisation, drawn from one seed.

Mask2Former's rules, module by module: Xavier for the projections and transformers, Kaiming for the convolutions of the
pixel decoder, torch's own defaults for the small MLPs and tables. Deformable attention starts as eight directions, one
for each head, with equal weights (Zhu et al., "Deformable DETR", ICLR 2021, appendix).
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..fcclip.deformable_attention import MultiScaleDeformableAttention
from ..fcclip.mask_decoder import MaskDecoder
from ..fcclip.model import FCCLIP
from ..fcclip.pixel_decoder import PixelDecoder

__all__ = ["initialize_head"]


@torch.no_grad()
def initialize_head(model: FCCLIP, seed: int, temperature: float = 0.07) -> None:
    """Draw the weights of everything but CLIP; the same seed gives the same weights, whatever was drawn before.

    Args:
        model: whose mask generator is drawn.
        seed: of the weights.
        temperature: of the trained classifier; its logit scale starts at the inverse (published 0.07).
    """
    generator = torch.Generator().manual_seed(seed)
    for module in _head_modules(model):
        _torch_default(module, generator)
    _initialize_pixel_decoder(model.pixel_decoder, generator)
    _initialize_mask_decoder(model.mask_decoder, generator)
    with torch.no_grad():
        model.mask_decoder.logit_scale.fill_(math.log(1 / temperature))


def _head_modules(model: FCCLIP) -> Iterator[nn.Module]:
    for part in (model.pixel_decoder, model.mask_decoder, model.void_embedding):
        yield from part.modules()


def _torch_default(module: nn.Module, generator: torch.Generator) -> None:
    """What torch's constructors draw, from our own generator."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
        if module.bias is not None:
            bound = 1 / math.sqrt(module.weight[0].numel())
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, generator=generator)
    elif isinstance(module, nn.LayerNorm | nn.GroupNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)


def _initialize_pixel_decoder(decoder: PixelDecoder, generator: torch.Generator) -> None:
    for project in decoder.input_proj:
        convolution = project[0]  # type: ignore[index]
        nn.init.xavier_uniform_(convolution.weight, generator=generator)
        nn.init.zeros_(convolution.bias)
    for convolution in (decoder.adapter_1, decoder.layer_1, decoder.mask_features):
        nn.init.kaiming_uniform_(convolution.weight, a=1, generator=generator)
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
    _xavier(decoder.transformer.encoder, generator)
    nn.init.normal_(decoder.transformer.level_embed, generator=generator)
    for module in decoder.transformer.modules():
        if isinstance(module, MultiScaleDeformableAttention):
            _initialize_deformable_attention(module, generator)


def _initialize_deformable_attention(attention: MultiScaleDeformableAttention, generator: torch.Generator) -> None:
    nn.init.zeros_(attention.sampling_offsets.weight)
    attention.sampling_offsets.bias.copy_(_directions(attention).flatten())
    nn.init.zeros_(attention.attention_weights.weight)
    nn.init.zeros_(attention.attention_weights.bias)
    for project in (attention.value_proj, attention.output_proj):
        nn.init.xavier_uniform_(project.weight, generator=generator)
        nn.init.zeros_(project.bias)


def _directions(attention: MultiScaleDeformableAttention) -> Tensor:
    """(heads, levels, points, 2): head i looks along its own direction, point p at distance p + 1 (in the max norm)."""
    angles = torch.arange(attention.num_heads, dtype=torch.float32) * (2 * math.pi / attention.num_heads)
    unit = torch.stack((angles.cos(), angles.sin()), dim=-1)
    unit = unit / unit.abs().amax(-1, keepdim=True)
    distances = torch.arange(1, attention.num_points + 1, dtype=torch.float32)
    steps = unit[:, None, None] * distances[:, None]
    return steps.expand(-1, attention.num_levels, -1, -1)


def _initialize_mask_decoder(decoder: MaskDecoder, generator: torch.Generator) -> None:
    for layers in (
        decoder.transformer_self_attention_layers,
        decoder.transformer_cross_attention_layers,
        decoder.transformer_ffn_layers,
    ):
        _xavier(layers, generator)
    for name, parameter in decoder.named_parameters():
        if name.endswith(("in_proj_bias", "out_proj.bias")):
            nn.init.zeros_(parameter)


def _xavier(module: nn.Module, generator: torch.Generator) -> None:
    """Every matrix of `module`; biases and norms stay as they are."""
    for parameter in module.parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter, generator=generator)

"""The mask decoder: learned queries attend to the pixels of their own mask, layer after layer.

Mask2Former (Cheng et al., CVPR 2022), section 3.2.1 "masked attention"; the class embedding from mask-pooled pixel
features is FC-CLIP's (arXiv 2308.02487, section 3.3 "in-vocabulary classifier").
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .pixel_decoder import PixelFeatures
from .pooling import mask_pool
from .position import sine_position_encoding
from .spec import ModelSpec

__all__ = ["MaskDecoder", "QueryPredictions"]


@dataclass(frozen=True, slots=True)
class QueryPredictions:
    """What the queries say at one stage of the decoder.

    Attributes:
        mask_logits: (B, Q, H/4, W/4), before sigmoid.
        class_embedding: (B, Q, D) in CLIP's space, not normalised; its cosine with a text is the class score.
        query_embedding: (B, Q, C), the query after the decoder's norm.
        pixel_feature: (B, Q, C), mean of the mask features under the query's mask.
    """

    mask_logits: Tensor
    class_embedding: Tensor
    query_embedding: Tensor
    pixel_feature: Tensor


class Attention(nn.Module):
    """Multi-head attention with `torch.nn.MultiheadAttention`'s parameters, and a mask that all heads share."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """query (B, Q, C), key and value (B, K, C), bias (B, Q, K) added to the scores -> (B, Q, C)."""
        weights = self.in_proj_weight.chunk(3)
        biases = self.in_proj_bias.chunk(3)
        q, k, v = (
            F.linear(x, weight, b).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for x, weight, b in zip((query, key, value), weights, biases, strict=True)
        )
        if bias is not None:
            bias = bias[:, None].expand(-1, self.num_heads, -1, -1)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        out: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return out


class SelfAttentionLayer(nn.Module):
    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.self_attn = Attention(spec.hidden_dim, spec.num_heads)
        self.norm = nn.LayerNorm(spec.hidden_dim)

    def forward(self, queries: Tensor, query_position: Tensor) -> Tensor:
        placed = queries + query_position
        normed: Tensor = self.norm(queries + self.self_attn(placed, placed, queries))
        return normed


class CrossAttentionLayer(nn.Module):
    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.multihead_attn = Attention(spec.hidden_dim, spec.num_heads)
        self.norm = nn.LayerNorm(spec.hidden_dim)

    def forward(self, queries: Tensor, query_position: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        attended = self.multihead_attn(queries + query_position, keys, values, bias)
        normed: Tensor = self.norm(queries + attended)
        return normed


class FeedForwardLayer(nn.Module):
    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.linear1 = nn.Linear(spec.hidden_dim, spec.mask_decoder_ffn_dim)
        self.linear2 = nn.Linear(spec.mask_decoder_ffn_dim, spec.hidden_dim)
        self.norm = nn.LayerNorm(spec.hidden_dim)

    def forward(self, queries: Tensor) -> Tensor:
        normed: Tensor = self.norm(queries + self.linear2(F.relu(self.linear1(queries))))
        return normed


class MLP(nn.Module):
    """Three linear layers with ReLU between them."""

    def __init__(self, in_dim: int, hidden_dim: int, out_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            (nn.Linear(in_dim, hidden_dim), nn.Linear(hidden_dim, hidden_dim), nn.Linear(hidden_dim, out_dim))
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        out: Tensor = self.layers[-1](x)
        return out


class MaskDecoder(nn.Module):
    """Q learned queries to Q mask proposals with class embeddings."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        dim, layers = spec.hidden_dim, spec.mask_decoder_layers
        self.query_feat = nn.Embedding(spec.num_queries, dim)
        self.query_embed = nn.Embedding(spec.num_queries, dim)
        self.level_embed = nn.Embedding(3, dim)
        self.transformer_cross_attention_layers = nn.ModuleList(CrossAttentionLayer(spec) for _ in range(layers))
        self.transformer_self_attention_layers = nn.ModuleList(SelfAttentionLayer(spec) for _ in range(layers))
        self.transformer_ffn_layers = nn.ModuleList(FeedForwardLayer(spec) for _ in range(layers))
        self.decoder_norm = nn.LayerNorm(dim)
        self.mask_embed = MLP(dim, dim, spec.mask_dim)
        self._mask_pooling_proj = nn.Sequential(nn.LayerNorm(spec.mask_dim), nn.Linear(spec.mask_dim, dim))
        self.class_embed = MLP(dim, dim, spec.embed_dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, features: PixelFeatures) -> QueryPredictions:
        """The queries' last word: all that inference needs."""
        queries = self.query_feat.weight.expand(features.mask_features.shape[0], -1, -1)
        # Interpolation and the dot product with a query are both linear, so they commute: shrinking the mask features
        # once per scale replaces computing a full-size mask ten times only to shrink it (equal up to rounding).
        shrunk = [_resize(features.mask_features, scale.shape[-2:]) for scale in features.scales]
        memories = self._memories(features)
        for layer in range(len(self.transformer_ffn_layers)):
            mask_embedding = self.mask_embed(self.decoder_norm(queries))
            attention_logits = mask_embedding @ shrunk[layer % 3].flatten(2)
            queries = self._step(layer, queries, memories[layer % 3], attention_logits)
        return self._predict(queries, features.mask_features)

    def forward_all_stages(self, features: PixelFeatures) -> list[QueryPredictions]:
        """Predictions before the first layer and after each one, as training with deep supervision needs them.

        This is the published computation, step by step; `forward` gives its last entry with less work.
        """
        queries = self.query_feat.weight.expand(features.mask_features.shape[0], -1, -1)
        memories = self._memories(features)
        stages = [self._predict(queries, features.mask_features)]
        for layer in range(len(self.transformer_ffn_layers)):
            target_hw = features.scales[layer % 3].shape[-2:]
            attention_logits = _resize(stages[-1].mask_logits.detach(), target_hw).flatten(2)
            queries = self._step(layer, queries, memories[layer % 3], attention_logits)
            stages.append(self._predict(queries, features.mask_features))
        return stages

    def _memories(self, features: PixelFeatures) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of the three scales, before each layer's own projection: (B, H*W, C) each."""
        memories = []
        for level, scale in enumerate(features.scales):
            values = scale.flatten(2).transpose(1, 2) + self.level_embed.weight[level]
            position = sine_position_encoding(scale.shape[-2], scale.shape[-1], scale.shape[1], scale.device)
            memories.append((values + position.to(values.dtype), values))
        return memories

    def _step(self, layer: int, queries: Tensor, memory: tuple[Tensor, Tensor], attention_logits: Tensor) -> Tensor:
        """One decoder layer: masked cross-attention, self-attention, feed-forward. attention_logits: (B, Q, H*W)."""
        keys, values = memory
        bias = _attention_bias(attention_logits).to(queries.dtype)
        position = self.query_embed.weight
        queries = self.transformer_cross_attention_layers[layer](queries, position, keys, values, bias)
        queries = self.transformer_self_attention_layers[layer](queries, position)
        out: Tensor = self.transformer_ffn_layers[layer](queries)
        return out

    def _predict(self, queries: Tensor, mask_features: Tensor) -> QueryPredictions:
        normed = self.decoder_norm(queries)
        mask_logits = (self.mask_embed(normed) @ mask_features.flatten(2)).unflatten(-1, mask_features.shape[-2:])
        pixel_feature = mask_pool(mask_features, mask_logits)
        class_embedding = self.class_embed(self._mask_pooling_proj(pixel_feature) + normed)
        return QueryPredictions(mask_logits, class_embedding, normed, pixel_feature)


def _resize(x: Tensor, size_hw: torch.Size) -> Tensor:
    return F.interpolate(x, size=size_hw, mode="bilinear", align_corners=False)


def _attention_bias(mask_logits: Tensor) -> Tensor:
    """0 where a query may look, -inf elsewhere; a query with nowhere to look may look everywhere.

    A float bias, not a boolean mask: on CPUs it is three times as fast.
    """
    outside = mask_logits < 0
    nowhere = outside.all(-1, keepdim=True)
    return torch.zeros_like(mask_logits).masked_fill_(outside & ~nowhere, float("-inf"))

"""Weights that anyone can rebuild: every value is a pure function of its name and shape.

The published implementation was run on these weights, and its outputs are kept. An implementation that gives the same
outputs on them computes the same function, whatever it was trained on. Trained weights are not needed for that, and
nobody has to ship 1.4 GB. The scheme keeps activations in the range that training would give them.

All arithmetic is float32 numpy. Values are exact on every machine, but for the row mean in `_table`, whose last bit
may depend on the numpy build.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .checkpoint import write_checkpoint
from .weights import EMPTY_WEIGHT_KEY, official_key

__all__ = ["reference_state_dict", "reference_tensor", "write_reference_checkpoint"]

Array = NDArray[np.float32]

_TEMPERATURES = {
    "backbone.clip_model.logit_scale": math.log(100),
    "sem_seg_head.predictor.logit_scale": math.log(60),
}
# Added to element 0 of a bias, so that masks come out neither empty nor full, and some queries void.
_BIAS_OFFSETS = {
    "sem_seg_head.pixel_decoder.mask_features.bias": 3.0,
    "sem_seg_head.predictor.mask_embed.layers.2.bias": -3.2,
    "sem_seg_head.predictor.class_embed.layers.2.bias": 0.2,
}
# Learned tables: (key ends with, scale of the noise, added to element 0).
_TABLES = (
    ("token_embedding.weight", 0.2, 0.0),
    ("clip_model.positional_embedding", 0.1, 0.0),
    ("attnpool.positional_embedding", 2.0, 0.0),
    ("query_feat.weight", 1.0, 0.0),
    ("query_embed.weight", 1.0, 0.0),
    ("level_embed.weight", 1.0, 0.0),
    ("transformer.level_embed", 1.0, 0.0),
    ("void_embedding.weight", 1.0, 8.0),
)
# Gains of weight matrices other than 1: (key contains, key ends with, gain).
_GAINS = (
    (
        "clip_model.visual.",
        ("conv1.weight", "conv2.weight", "conv3.weight", "downsample.0.weight"),
        1.4,
    ),
    ("visual.attnpool", ("q_proj.weight", "k_proj.weight"), 0.25),
    (".resblocks.", ("attn.in_proj_weight", "attn.out_proj.weight", "mlp.c_fc.weight"), 2.0),
    (".resblocks.", ("mlp.c_proj.weight",), 3.0),
    ("predictor.transformer_self_attention", ("out_proj.weight",), 0.2),
    ("predictor.transformer_cross_attention", ("out_proj.weight",), 0.2),
    ("predictor.transformer_ffn", ("linear2.weight",), 0.4),
    ("pixel_decoder", ("sampling_offsets.weight",), 0.3),
    ("predictor.mask_embed", ("layers.2.weight",), 2.0),
)
_CENTRED_FAN_IN = 128


def reference_tensor(key: str, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """The value of one entry.

    Args:
        key: its name in the official layout; the noise depends on all of it.
        shape: its shape, () for a scalar.
        dtype: integer entries (counters) are 0.
    """
    if not dtype.is_floating_point:
        return torch.zeros(tuple(shape), dtype=dtype)
    if key == EMPTY_WEIGHT_KEY:  # as training constructs it: the no-object class weighs 0.1
        values = np.ones(tuple(shape), dtype=np.float32)
        values[-1] = 0.1
    elif key in _TEMPERATURES:
        values = np.full(tuple(shape), _TEMPERATURES[key], dtype=np.float32)
    else:
        noise = _noise(key, tuple(shape))
        values = _vector(key, noise) if noise.ndim == 1 else _table(key, noise)
    return torch.from_numpy(values).to(dtype)


def reference_state_dict(shapes: Mapping[str, tuple[Sequence[int], torch.dtype]]) -> dict[str, Tensor]:
    """The values of many entries: official name -> (shape, dtype)."""
    return {key: reference_tensor(key, shape, dtype) for key, (shape, dtype) in shapes.items()}


def write_reference_checkpoint(model: nn.Module, path: Path | str, *, num_training_classes: int = 133) -> None:
    """Write an official-format `.pth` with these weights for every entry of `model`. The model itself is not touched.

    Args:
        model: an `FCCLIP`; only names, shapes and types of its entries are read.
        path: replaced in one step if it exists. WeightsError if it cannot be written.
        num_training_classes: length of the training criterion's class weights, without the no-object class.
    """
    shapes: dict[str, tuple[Sequence[int], torch.dtype]] = {
        official_key(key): (value.shape, value.dtype) for key, value in model.state_dict().items()
    }
    shapes[EMPTY_WEIGHT_KEY] = ((num_training_classes + 1,), torch.float32)
    write_checkpoint(path, {"model": reference_state_dict(shapes)})


def _noise(key: str, shape: tuple[int, ...]) -> Array:
    """Uniform noise of zero mean and unit variance, seeded by the name."""
    count = math.prod(shape)
    raw = np.random.PCG64(zlib.crc32(key.encode())).random_raw((count + 1) // 2)
    bits = raw.astype("<u8", copy=False).view("<u4")[:count]
    noise = (bits >> np.uint32(8)).astype(np.float32)  # 24 bits: this and the next two steps are exact
    noise *= np.float32(2.0**-23)
    noise -= np.float32(1.0)
    noise *= np.float32(math.sqrt(3.0))
    return noise.reshape(shape)


def _vector(key: str, noise: Array) -> Array:
    """Norms, statistics, layer scales and biases."""
    leaf = key.rpartition(".")[2]
    if leaf == "running_mean":
        return _affine(noise, 0.02)
    if leaf == "running_var":
        return _affine(np.abs(noise), 0.1, 1.0)
    if leaf == "gamma":
        return _affine(noise, 0.03, 0.3)
    if leaf == "weight":
        return _affine(noise, 0.1, 1.0)
    if key.endswith("sampling_offsets.bias"):
        return _affine(noise, 1.5)
    bias = _affine(noise, 0.02)
    if key in _BIAS_OFFSETS:
        bias[0] += np.float32(_BIAS_OFFSETS[key])
    return bias


def _table(key: str, noise: Array) -> Array:
    """Embeddings and weight matrices (two or more dimensions)."""
    for suffix, scale, offset in _TABLES:
        if key.endswith(suffix):
            table = _affine(noise, scale)
            table.reshape(-1)[0] += np.float32(offset)
            return table
    is_projection = key.rpartition(".")[2] == "text_projection"  # used as x @ P, so the inputs are its rows
    fan_in = noise.shape[0] if is_projection else math.prod(noise.shape[1:])
    table = _affine(noise, _gain(key) / math.sqrt(fan_in))
    if fan_in >= _CENTRED_FAN_IN and not is_projection:
        rows = table.reshape(table.shape[0], -1)
        rows -= rows.mean(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
    return table


def _gain(key: str) -> float:
    for part, suffixes, gain in _GAINS:
        if part in key and key.endswith(suffixes):
            return gain
    return 1.0


def _affine(noise: Array, scale: float, offset: float = 0.0) -> Array:
    """offset + scale * noise, in place."""
    noise *= np.float32(scale)
    if offset:
        noise += np.float32(offset)
    return noise

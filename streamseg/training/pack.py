"""From a trained demo model to the one file that the package ships.

Float16 where it is large, and of the token table only the rows that the world's captions, vocabularies and prompts use:
a third of what the checkpoint takes. Loading widens both again (`fcclip/weights.py`, `fcclip/word_rows.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import WeightsError
from ..fcclip.checkpoint import write_safetensors
from ..fcclip.model import FCCLIP, build_fcclip
from ..fcclip.spec import get_spec
from ..fcclip.text import VILD_TEMPLATES, build_text_encoder
from ..fcclip.weights import load_weights, official_key
from ..fcclip.word_rows import pack_word_rows
from ..world.captions import every_text
from ..world.names import world_vocabulary

__all__ = ["MAX_BYTES", "Packed", "pack_demo", "world_tokens"]

MAX_BYTES = 25_000_000
HALF_MAX = torch.finfo(torch.float16).max


@dataclass(frozen=True, slots=True)
class Packed:
    """What `pack_demo` wrote.

    Attributes:
        path: the file.
        file_bytes: its size.
        token_rows: rows of the token table in it.
    """

    path: Path
    file_bytes: int
    token_rows: int


def pack_demo(head: Path | str, out: Path | str, *, clip: Path | str | None = None, model: str = "demo") -> Packed:
    """Write the weights of a demo model as they are shipped.

    Args:
        head: a checkpoint of the mask generator, with CLIP inside or not.
        out: the `.safetensors` to write; replaced if it exists.
        clip: for a head without CLIP: the file of `train_clip`.
        model: whose weights they are.

    Raises:
        WeightsError: a file does not fit the model, holds what float16 cannot, or the result is too large to ship.
    """
    network = build_fcclip(get_spec(model), initialize=False)
    load_weights(network, head, clip=clip)
    tokens = world_tokens(network)
    state = {official_key(name): _small(name, tensor) for name, tensor in network.state_dict().items()}
    packed = pack_word_rows(state, tokens)
    size = sum(tensor.nbytes for tensor in packed.values())
    if size > MAX_BYTES:
        raise WeightsError(f"{head} packs to {size} bytes, expected at most {MAX_BYTES}: make the model smaller")
    write_safetensors(out, packed)
    return Packed(Path(out), Path(out).stat().st_size, len(tokens))


def world_tokens(network: FCCLIP) -> Tensor:
    """(n,) int64, ascending: each token that the model of a world ever reads, padding included."""
    encoder = build_text_encoder(network.backbone.clip_model, network.spec)
    tokens: Tensor = encoder.tokenize(list(_lines())).unique()
    return tokens


def _lines() -> Iterator[str]:
    yield from every_text()
    yield from (template.format("car") for template in VILD_TEMPLATES)
    for kind in ("shapes", "colors", "training"):
        yield from (name for category in world_vocabulary(kind).categories for name in category.names)


def _small(name: str, tensor: Tensor) -> Tensor:
    """Float16 for matrices and kernels; norms, biases and scales are few, and stay as they are."""
    if tensor.ndim < 2 or not tensor.is_floating_point():
        return tensor
    if not bool(tensor.abs().max() <= HALF_MAX):
        raise WeightsError(f"{name} holds numbers beyond float16, expected a trained model: has the training diverged?")
    return tensor.half()

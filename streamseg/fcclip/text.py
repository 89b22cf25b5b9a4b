"""Words to vectors: CLIP's text encoder over the prompt ensemble, and what is remembered of it.

FC-CLIP (arXiv 2308.02487), section 4.1: each name is put into the 14 prompts of ViLD, each prompt's embedding is
normalised, their mean is normalised again. The encoder is open_clip's public `encode_text`, float32 and frozen; prompts
reach it as a tree of their common beginnings (`prompt_tree.py`), or one by one at full length where that is impossible.

The embedding of a name depends on the model, the templates and the name, never on which other names are asked for with
it, down to the last bit. So it does not matter who filled a cache, or in which order.
"""

import copy
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import VocabularyError
from ..prompts import VILD_TEMPLATES
from .prompt_tree import build_trees, encode_tree, takes_trees, text_tower
from .spec import ModelSpec
from .text_cache import EmbeddingCache
from .weights import weights_fingerprint

__all__ = [
    "VILD_TEMPLATES",
    "NameEncoder",
    "TextEmbeddings",
    "TextEncoder",
    "Tokenizer",
    "build_text_encoder",
    "encode_full_length",
]

logger = logging.getLogger(__name__)

FULL_LENGTH_BATCH = 32  # prompts of 77 tokens; larger batches are no faster on a CPU
NAMES_PER_STEP = 16  # between two reports of progress
NAMES_PER_FILE = 256  # written to the cache while a long vocabulary is still being encoded

# Two tokenizers that agree on this are taken for the same one: case, accents, digits, punctuation, other scripts.
TOKENIZER_PROBE = "A Photo of naïve café-bars, 2 dogs' beds & 1,203 <things> in 東京."
# Change it when the computation changes, so that older caches are passed over.
ENCODING_VERSION = 1


class Tokenizer(Protocol):
    """open_clip's tokenizers, as far as they are used here."""

    def __call__(self, texts: list[str], context_length: int) -> Tensor:
        """(len(texts), context_length) int64, padded with 0, cut silently where a text is too long."""
        ...


class TextEncoder:
    """The text side of a frozen open_clip model.

    Works on the device where the model is, in float32 under any autocast; results are float32 on the CPU. Weights that
    were cast to a smaller type are computed with in float32 too, but what the cast rounded away is lost.

    Args:
        clip_model: open_clip's `CLIP` or `CustomTextCLIP`; never modified, and must not change after the first use.
        tokenizer: the one that belongs to it.
        batch_size: most tokens per pass through the transformer.
    """

    def __init__(self, clip_model: nn.Module, tokenizer: Tokenizer, *, batch_size: int = 256) -> None:
        self.clip_model = clip_model
        self.tokenizer = tokenizer
        self.batch_size = batch_size

    @property
    def context_length(self) -> int:
        """Most tokens in a prompt, start and end included (77)."""
        length: int = self._tower.context_length
        return length

    @property
    def embed_dim(self) -> int:
        """D, the width of the joint image-text space."""
        projection = self._tower.text_projection
        width: int = projection.out_features if isinstance(projection, nn.Linear) else projection.shape[1]
        return width

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        """(N, context_length) int64: start token, text, end token, zeros.

        Raises:
            VocabularyError: a prompt needs more tokens than CLIP has positions for.
        """
        return self._tokenize(prompts, subjects=prompts)

    def unread(self, names: Sequence[str]) -> list[str]:
        """Those of `names` with a token whose row in the token table is zero: no text with it was ever learnt from."""
        if self._read_tokens is None or not names:
            return []
        tokens = self.tokenizer(list(names), self.context_length)
        inside = torch.arange(tokens.shape[1]) <= tokens.argmax(-1, keepdim=True)  # zeros follow the end token
        known = (self._read_tokens[tokens] | ~inside).all(-1)
        return [name for name, whole in zip(names, known.tolist(), strict=True) if not whole]

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """(N, D) float32 on the CPU, in the order given, not normalised.

        Prompts of one call share passes, so the last bits of a row may depend on the other rows.

        Raises:
            VocabularyError: as `tokenize`.
        """
        tokens = self.tokenize(prompts)
        with self._computing() as clip_model:
            embeddings = self._encode(clip_model, tokens)
        return embeddings.clone()  # not an inference tensor: training may use it

    def encode_names(self, names: Sequence[str], templates: Sequence[str] = VILD_TEMPLATES) -> Tensor:
        """(len(names), D) float32 on the CPU, unit length: the prompt ensemble of each name.

        Args:
            names: any text.
            templates: prompts with `{}` where the name goes.

        Raises:
            VocabularyError: a name needs more tokens than CLIP has positions for, in one of the templates.
        """
        if not names:
            return torch.zeros(0, self.embed_dim)
        tokens = self._tokenize_names(names, templates)
        with self._computing() as clip_model:
            # Name by name: in a pass that several names share, the last bits of one would depend on the others.
            means = [
                F.normalize(self._encode(clip_model, ensemble), dim=-1).mean(0)
                for ensemble in torch.split(tokens, len(templates))
            ]
            embeddings = F.normalize(torch.stack(means), dim=-1)
        return embeddings.clone()

    def check_names(self, names: Sequence[str], templates: Sequence[str] = VILD_TEMPLATES) -> None:
        """Raise now what `encode_names` would raise, which may take minutes to get there."""
        self._tokenize_names(names, templates)

    @cached_property
    def fingerprint(self) -> str:
        """Changes with whatever changes an embedding: weights, architecture, tokenizer. Not with the image side."""
        tower = self._tower
        modules = [(name, module) for name, module in tower.named_modules() if not name.startswith("visual")]
        facts = {
            "version": ENCODING_VERSION,
            "modules": sorted({type(module).__name__ for _, module in modules if module is not tower}),  # QuickGELU...
            "heads": [module.num_heads for _, module in modules if hasattr(module, "num_heads")],
            "pooling": getattr(tower, "text_pool_type", getattr(tower, "pool_type", None)),
            "causal": getattr(tower, "attn_mask", None) is not None,
            "context_length": self.context_length,
            "tokenizer": self.tokenizer([TOKENIZER_PROBE], self.context_length).tolist(),
        }
        weights = weights_fingerprint(
            (name, parameter)
            for name, parameter in tower.named_parameters()
            if not name.startswith(("visual.", "logit_scale", "logit_bias"))
        )
        return hashlib.sha256(f"{weights} {json.dumps(facts, sort_keys=True)}".encode()).hexdigest()[:16]

    @cached_property
    def _read_tokens(self) -> Tensor | None:
        """(number of tokens,) bool, which ones have a row; None where all of them do, as in every published CLIP."""
        rows = self._tower.token_embedding.weight.detach().ne(0).any(-1).cpu()
        return None if bool(rows.all()) else rows

    @property
    def _tower(self) -> Any:
        return text_tower(self.clip_model)

    def _tokenize_names(self, names: Sequence[str], templates: Sequence[str]) -> Tensor:
        """(len(names) * len(templates), context_length); a name's prompts are neighbours."""
        prompts = [template.format(name) for name in names for template in templates]
        return self._tokenize(prompts, subjects=[name for name in names for _ in templates])

    def _tokenize(self, prompts: Sequence[str], subjects: Sequence[str]) -> Tensor:
        """`subjects` are what an error names instead of the prompts."""
        length = self.context_length
        if not prompts:
            return torch.zeros(0, length, dtype=torch.int64)
        # The tokenizer cuts silently. With room for one token more, that token is there exactly if one was needed.
        tokens = self.tokenizer(list(prompts), length + 1)
        too_long = tokens[:, length].nonzero()
        if len(too_long):
            worst = int(too_long[0])
            raise VocabularyError(
                f"{_shown(subjects[worst])} needs {self._count_tokens(prompts[worst])} tokens as a prompt, "
                f"CLIP takes at most {length}, start and end included; write it shorter"
            )
        return tokens[:, :length]

    def _count_tokens(self, prompt: str) -> int:
        # A token stands for at least one byte; the tokenizer may spell out what it cleans up, hence the factor.
        wide = self.tokenizer([prompt], 4 * len(prompt.encode("utf-8", "replace")) + 2)
        return int(wide[0].count_nonzero())

    @contextmanager
    def _computing(self) -> Iterator[nn.Module]:
        """Float32, no gradients, and the model without its image side."""
        device = next(self._tower.parameters()).device.type
        with torch.inference_mode(), torch.autocast(device, enabled=False), _exact_matmul(device):
            yield _float32(self.clip_model)

    def _encode(self, clip_model: nn.Module, tokens: Tensor) -> Tensor:
        """(N, context_length) tokens to (N, D) on the CPU, as trees where that is right."""
        if not self._trees_are_right:
            return encode_full_length(clip_model, tokens)
        embeddings = torch.empty(len(tokens), self.embed_dim)
        ends = tokens.argmax(dim=-1).tolist()  # the end token has the highest number
        sequences = [row[: end + 1] for row, end in zip(tokens.tolist(), ends, strict=True)]
        for tree in build_trees(sequences, self.batch_size):
            embeddings[tree.prompts] = encode_tree(clip_model, tree).float().cpu()
        return embeddings

    @cached_property
    def _trees_are_right(self) -> bool:
        """Tried once on two prompts that branch: an open_clip that ignores the mask would otherwise go unnoticed."""
        tokens = self.tokenize(["a photo of a cat.", "a photo of a small dog in the scene"])
        with self._computing() as clip_model:
            if takes_trees(clip_model):
                expected = encode_full_length(clip_model, tokens)
                sequences = [row[: int(row.argmax()) + 1].tolist() for row in tokens]
                [tree] = build_trees(sequences, self.batch_size + tokens.numel())
                found = encode_tree(clip_model, tree).float().cpu()
                if torch.allclose(found, expected[tree.prompts], atol=1e-3 * float(expected.abs().max()), rtol=0):
                    return True
        logger.warning("text encoder: full length, several times slower (not CLIP's usual causal transformer)")
        return False


def encode_full_length(clip_model: nn.Module, tokens: Tensor) -> Tensor:
    """The plain twin of the prompt tree: all 77 positions of each prompt.

    Args:
        clip_model: an open_clip model.
        tokens: (N, context_length) int64.

    Returns:
        (N, D) float32 on the CPU, not normalised.
    """
    model: Any = clip_model
    device = next(text_tower(clip_model).parameters()).device
    batches = torch.split(tokens, FULL_LENGTH_BATCH)
    return torch.cat([model.encode_text(batch.to(device), normalize=False).float().cpu() for batch in batches])


def build_text_encoder(clip_model: nn.Module, spec: ModelSpec) -> TextEncoder:
    """The text encoder of a model's CLIP (`backbone.clip_model`), with the tokenizer that belongs to it."""
    import open_clip  # here, as in `build_clip`

    return TextEncoder(clip_model, open_clip.get_tokenizer(spec.clip_model))


class NameEncoder(Protocol):
    """What `TextEmbeddings` asks of an encoder."""

    @property
    def fingerprint(self) -> str: ...

    def check_names(self, names: Sequence[str]) -> None: ...

    def encode_names(self, names: Sequence[str]) -> Tensor: ...


class TextEmbeddings:
    """Embeddings of names, each encoded once: from memory, else from disk, else from the encoder.

    Args:
        encoder: what computes those that are new.
        cache: where to keep them between runs; None for nowhere.
        progress: called as progress(done, total) with numbers of names, while new ones are encoded.
        notice: called with names that are asked for the first time, wherever their embeddings come from.
    """

    def __init__(
        self,
        encoder: NameEncoder,
        cache: EmbeddingCache | None,
        *,
        progress: Callable[[int, int], None] | None = None,
        notice: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        self.encoder = encoder
        self.cache = cache
        self.progress = progress
        self.notice = notice
        self._rows: dict[str, NDArray[np.float32]] = {}

    def __call__(self, names: Sequence[str]) -> Tensor:
        """(len(names), D) float32 on the CPU, unit length; row i belongs to names[i], duplicates included.

        Raises:
            VocabularyError: a name is too long for CLIP; nothing was encoded then.
        """
        missing = self._missing(names)
        if missing and self.notice is not None:
            self.notice(missing)
        if missing and self.cache is not None:
            kept = self.cache.load(self._key)
            self._rows.update((name, kept[name]) for name in missing if name in kept)
            missing = self._missing(names)
        if missing:
            self._encode(missing)
        if not names:
            return self.encoder.encode_names([])
        # Outside of inference mode, whatever the caller's: the result may be cached, and trained against.
        with torch.inference_mode(mode=False):
            return torch.from_numpy(np.stack([self._rows[name] for name in names]))

    def _missing(self, names: Sequence[str]) -> list[str]:
        return [name for name in dict.fromkeys(names) if name not in self._rows]

    def _encode(self, names: list[str]) -> None:
        self.encoder.check_names(names)
        unsaved: list[str] = []
        try:
            for start in range(0, len(names), NAMES_PER_STEP):
                if self.progress is not None:
                    self.progress(start, len(names))
                step = names[start : start + NAMES_PER_STEP]
                self._rows.update(zip(step, self.encoder.encode_names(step).numpy(), strict=True))
                unsaved += step
                if len(unsaved) >= NAMES_PER_FILE:
                    self._save(unsaved)
                    unsaved = []
        finally:  # an interrupted run has not worked in vain
            self._save(unsaved)
        if self.progress is not None:
            self.progress(len(names), len(names))

    def _save(self, names: list[str]) -> None:
        if self.cache is not None and names:
            self.cache.store(self._key, names, np.stack([self._rows[name] for name in names]))

    @cached_property
    def _key(self) -> str:
        """Folder name: everything that an embedding depends on beside the name."""
        templates = hashlib.sha256("\n".join(VILD_TEMPLATES).encode()).hexdigest()[:8]
        return f"{self.encoder.fingerprint}-{templates}"


def _shown(name: str, width: int = 60) -> str:
    return repr(name if len(name) <= width else f"{name[: width - 3]}...")


@contextmanager
def _exact_matmul(device: str) -> Iterator[None]:
    """No TF32: what is computed here is kept, perhaps for a run that needs full precision."""
    if device != "cuda":
        yield
        return
    matmul: Any = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "ieee"
    try:
        yield
    finally:
        matmul.fp32_precision = before


def _float32(clip_model: nn.Module) -> nn.Module:
    """The text side in float32: the model's own tensors where they are that already, else copies."""
    view = copy.copy(clip_model)
    view._modules = {name: module for name, module in clip_model._modules.items() if name != "visual"}
    if all(parameter.dtype == torch.float32 for parameter in view.parameters()):
        return view
    return copy.deepcopy(view).float()

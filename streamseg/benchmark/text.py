"""How much faster names are encoded than by the full-length text encoder, and how well both agree."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..fcclip.backbone import build_backbone
from ..fcclip.spec import ModelSpec
from ..fcclip.text import VILD_TEMPLATES, TextEncoder, build_text_encoder, encode_full_length
from ..vocabulary import Vocabulary

__all__ = ["benchmark_text"]

NAMES_PER_ROUND = 2


def benchmark_text(spec: ModelSpec, *, prompts: int = 2100, seconds: float = 60.0) -> dict[str, Any]:
    """Encode ADE20K's names both ways in turns, on random weights, with the threads that torch has now.

    Each round encodes the same two names (28 prompts) at full length and as this package does; the speed-up is the
    median over the rounds, so that what else the machine does hits both sides.

    Args:
        prompts: at most this many prompts (14 to a name, at least one round).
        seconds: no round starts after this time.

    Returns:
        model, threads, prompts measured, `full_length_prompts_per_second`, `prompts_per_second` (medians), `speedup`,
        and `max_difference` between the embeddings of both, which are of unit length.
    """
    encoder = build_text_encoder(build_backbone(spec).clip_model, spec)
    names = [name for category in Vocabulary.load("ade20k").categories for name in category.names]
    names = names[: max(prompts // len(VILD_TEMPLATES), NAMES_PER_ROUND)]
    encode_names_at_full_length(encoder, names[:NAMES_PER_ROUND])  # warm-up
    encoder.encode_names(names[:NAMES_PER_ROUND])

    plain_seconds, seconds_taken, differences = [], [], []
    stop = time.perf_counter() + seconds
    for start in range(0, len(names) - NAMES_PER_ROUND + 1, NAMES_PER_ROUND):
        these = names[start : start + NAMES_PER_ROUND]
        plain, expected = _timed(encode_names_at_full_length, encoder, these)
        taken, found = _timed(TextEncoder.encode_names, encoder, these)
        plain_seconds.append(plain)
        seconds_taken.append(taken)
        differences.append(float((found - expected).abs().max()))
        if time.perf_counter() > stop:
            break
    prompts_per_round = NAMES_PER_ROUND * len(VILD_TEMPLATES)
    return {
        "model": spec.name,
        "threads": torch.get_num_threads(),
        "prompts": prompts_per_round * len(seconds_taken),
        "full_length_prompts_per_second": prompts_per_round / statistics.median(plain_seconds),
        "prompts_per_second": prompts_per_round / statistics.median(seconds_taken),
        "speedup": statistics.median(a / b for a, b in zip(plain_seconds, seconds_taken, strict=True)),
        "max_difference": max(differences),
    }


@torch.inference_mode()
def encode_names_at_full_length(encoder: TextEncoder, names: Sequence[str]) -> Tensor:
    """(len(names), D), what `TextEncoder.encode_names` gives, without the prompt tree."""
    prompts = [template.format(name) for name in names for template in VILD_TEMPLATES]
    embeddings = F.normalize(encode_full_length(encoder.clip_model, encoder.tokenize(prompts)), dim=-1)
    return F.normalize(embeddings.reshape(len(names), len(VILD_TEMPLATES), -1).mean(1), dim=-1)


def _timed(
    encode: Callable[[TextEncoder, Sequence[str]], Tensor], encoder: TextEncoder, names: Sequence[str]
) -> tuple[float, Tensor]:
    begin = time.perf_counter()
    embeddings = encode(encoder, names)
    return time.perf_counter() - begin, embeddings

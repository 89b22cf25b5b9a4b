"""The contrastive loss, with regard for captions that are true of more than their own picture.

Captions of rendered crops repeat, and many are true of other crops of the batch too: "a car" of every car. Plain
InfoNCE would push those away. As in UniCL (arXiv 2204.03610), all true pairs share the target's mass; beyond that, a
pair that the captions leave open ("a red car" beside a picture of which only "a car" was said) takes no part.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...world.captions import Meaning, meaning

__all__ = ["Pairs", "contrastive_loss", "pair_up"]

SUBJECT, BACKGROUND = 0, 3  # positions in a meaning


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Which texts are true of which pictures.

    Attributes:
        texts: the batch's captions, each once (T).
        positive: (B, T) bool; the text is true of the picture, by what the picture's own caption says.
        open: (B, T) bool; neither said nor contradicted by it.
    """

    texts: tuple[str, ...]
    positive: Tensor
    open: Tensor

    def to(self, device: torch.device) -> "Pairs":
        return Pairs(self.texts, self.positive.to(device), self.open.to(device))


def pair_up(captions: Sequence[str]) -> Pairs:
    """The pairs of a batch, by its captions alone.

    A text is contradicted where both name a subject, colour, pattern or background, and not the same; it is left open
    where it names something of which the picture's caption is silent. Stuff that is only the background of a picture is
    neither its subject nor absent, so that is open too.
    """
    texts = tuple(dict.fromkeys(captions))
    own, said = [meaning(line) for line in captions], [meaning(text) for text in texts]
    pictures, words = _codes(own, own + said)[:, None], _codes(said, own + said)[None]
    contradicted = ((pictures != words) & (pictures >= 0) & (words >= 0)).any(-1)
    unknown = ((pictures < 0) & (words >= 0)).any(-1)
    behind = (pictures[..., BACKGROUND] == words[..., SUBJECT]) & (pictures[..., BACKGROUND] >= 0)
    return Pairs(
        texts,
        positive=torch.from_numpy(~contradicted & ~unknown),
        open=torch.from_numpy((~contradicted & unknown) | behind),
    )


def contrastive_loss(image: Tensor, text: Tensor, pairs: Pairs, logit_scale: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric InfoNCE with soft targets (UniCL, equations 3 and 4), less the open pairs.

    Args:
        image: (B, D) embeddings, of any length.
        text: (T, D) of `pairs.texts`.
        logit_scale: scalar, the factor on cosine similarities.

    Returns:
        The loss, and the share of pictures for which the best text of the batch is true.
    """
    logits = logit_scale * F.normalize(image.float(), dim=-1) @ F.normalize(text.float(), dim=-1).T
    logits = logits.masked_fill(pairs.open, float("-inf"))
    loss = (_cross_entropy(logits, pairs.positive, 1) + _cross_entropy(logits, pairs.positive, 0)) / 2
    hit = pairs.positive.gather(1, logits.detach().argmax(1, keepdim=True))
    return loss, hit.float().mean()


def _cross_entropy(logits: Tensor, positive: Tensor, dim: int) -> Tensor:
    """Against targets that share one mass among the positives along `dim`; each row and column has at least one."""
    log_probability = logits.log_softmax(dim).masked_fill(~positive, 0.0)
    return -(log_probability.sum(dim) / positive.sum(dim)).mean()


def _codes(meanings: Sequence[Meaning], known: Sequence[Meaning]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """(N, 4) numbers instead of names, -1 for what is left unsaid."""
    names = sorted({name for entry in known for name in astuple(entry) if name is not None})
    numbers: dict[str | None, int] = {name: index for index, name in enumerate(names)} | {None: -1}
    return np.array([[numbers[name] for name in astuple(entry)] for entry in meanings], dtype=np.int64)

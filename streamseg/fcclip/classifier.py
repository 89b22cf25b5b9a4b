"""From embeddings to class scores: two classifiers over the same text, and their geometric ensemble.

FC-CLIP (arXiv 2308.02487), section 3.3: the in-vocabulary classifier compares a query's trained class embedding with
the text, the out-of-vocabulary classifier compares the frozen CLIP's own mask-pooled feature with the same text;
equation 7 multiplies the two, trusting the frozen one more where training never saw the category.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["ClassScores", "TextClassifier", "class_logits", "geometric_ensemble", "published_log_scores"]

MAX_LOGIT_SCALE = 100.0


@dataclass(frozen=True, slots=True)
class TextClassifier:
    """A vocabulary as a matrix.

    Attributes:
        embeddings: (S, D) unit rows, one per synonym, categories one after another.
        synonyms: how many rows each of the K categories has.
        seen: (K,) bool; the category shares a name with the training vocabulary.
    """

    embeddings: Tensor
    synonyms: tuple[int, ...]
    seen: Tensor
    _columns: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if sum(self.synonyms) != len(self.embeddings) or len(self.synonyms) != len(self.seen):
            raise ValueError(
                f"{len(self.embeddings)} text rows and {len(self.seen)} seen flags do not fit synonyms {self.synonyms}"
            )
        object.__setattr__(self, "_columns", _padded_columns(self.synonyms).to(self.embeddings.device))

    def __len__(self) -> int:
        return len(self.synonyms)

    def to(self, device: torch.device) -> "TextClassifier":
        return TextClassifier(self.embeddings.to(device), self.synonyms, self.seen.to(device))

    def best_synonym(self, logits: Tensor) -> Tensor:
        """(..., S) scores of synonyms -> (..., K), the best of each category."""
        if len(self.synonyms) == len(self.embeddings):
            return logits
        return logits[..., self._columns].amax(-1)


@dataclass(frozen=True, slots=True)
class ClassScores:
    """What the class step says about the queries of one frame.

    Attributes:
        in_vocabulary_logits: (..., Q, K+1), void last.
        out_of_vocabulary_logits: (..., Q, K).
        log_scores: (..., Q, K) log of the geometric ensemble, normalised over the categories, without void.
        void_probability: (..., Q), from the in-vocabulary classifier.
    """

    in_vocabulary_logits: Tensor
    out_of_vocabulary_logits: Tensor
    log_scores: Tensor
    void_probability: Tensor


def class_logits(
    embedding: Tensor, text: TextClassifier, logit_scale: Tensor, void_embedding: Tensor | None = None
) -> Tensor:
    """Cosine scores against the text, scaled; the maximum over each category's synonyms.

    Args:
        embedding: (..., Q, D), any length.
        text: the vocabulary.
        logit_scale: scalar, as a logarithm; capped at 100 as in CLIP.
        void_embedding: (1, D), any length; appended as the last category where given.

    Returns:
        (..., Q, K) or, with void, (..., Q, K+1), float32.
    """
    scale = logit_scale.float().exp().clamp(max=MAX_LOGIT_SCALE)
    unit = F.normalize(embedding.float(), dim=-1) * scale
    logits = text.best_synonym(unit @ text.embeddings.T)
    if void_embedding is None:
        return logits
    return torch.cat((logits, unit @ F.normalize(void_embedding.float(), dim=-1).T), dim=-1)


def geometric_ensemble(
    in_vocabulary_logits: Tensor,
    out_of_vocabulary_logits: Tensor,
    seen: Tensor,
    *,
    alpha: float,
    beta: float,
    valid: Tensor | None = None,
) -> ClassScores:
    """Equation 7: p_in^(1-a) * p_out^a with a = alpha for seen and beta for unseen categories.

    Args:
        in_vocabulary_logits: (..., Q, K+1), void last.
        out_of_vocabulary_logits: (..., Q, K).
        seen: (K,) bool.
        alpha, beta: weight of the out-of-vocabulary classifier, in [0, 1].
        valid: (..., Q) bool; where False the in-vocabulary classifier stands alone. None: valid everywhere.
    """
    # Filled on the device: `torch.where` would bring both numbers there, and wait for it.
    weight = torch.full_like(seen, beta, dtype=in_vocabulary_logits.dtype).masked_fill(seen, alpha)
    if valid is not None:
        weight = weight * valid[..., None]
    # In logarithms throughout: the product form underflows, and 0 * log(0) would be NaN.
    log_in = in_vocabulary_logits[..., :-1].log_softmax(-1)
    log_out = out_of_vocabulary_logits.log_softmax(-1)
    mixed = (1 - weight) * log_in + weight * log_out
    return ClassScores(
        in_vocabulary_logits,
        out_of_vocabulary_logits,
        log_scores=mixed.log_softmax(-1),
        void_probability=in_vocabulary_logits.softmax(-1)[..., -1],
    )


def published_log_scores(log_scores: Tensor, void_probability: Tensor) -> Tensor:
    """The published `mask_cls`: log of the ensemble times (1 - p_void), then p_void, with a floor of 1e-8.

    Args:
        log_scores: (..., Q, K), normalised over K.
        void_probability: (..., Q).

    Returns:
        (..., Q, K+1), void last.
    """
    void = void_probability[..., None]
    return torch.cat((log_scores.exp() * (1 - void), void), dim=-1).add(1e-8).log()


def _padded_columns(synonyms: Sequence[int]) -> Tensor:
    """(K, most synonyms) column numbers; short rows repeat their last column, which changes no maximum."""
    counts = torch.tensor(synonyms)
    starts = counts.cumsum(0) - counts
    steps = torch.arange(int(counts.max()))
    return starts[:, None] + steps.minimum(counts[:, None] - 1)

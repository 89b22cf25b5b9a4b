"""What the staged tracker remembers of every track."""

from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config.tracking import TrackingSettings
from ..queries import Queries
from .gallery import remember
from .labels import hysteresis, log_posterior
from .observation import COVERAGE_STEPS, Observation, beats_void
from .rows import TrackRows, unit_embeddings

__all__ = ["TrackBank"]


@dataclass(frozen=True, slots=True, eq=False)
class TrackBank(TrackRows):
    """T tracks, and further of each:

    Attributes:
        coverage: (T, h, w) uint8, the last mask, in quarters of a cell.
        query_embedding, pixel_feature: (T, C), running means of unit length.
        log_sum: (T, K), weighted sum of class log scores.
        void_sum: (T,), weighted sum of p(void).
        weight: (T,), sum of the weights of both; older frames fade.
        label, challenger, challenged: (T,) int64, see `labels.hysteresis`.
        gallery: (T, G, C) with `stored` (T,) int64, see `gallery.remember`.
    """

    coverage: Tensor
    query_embedding: Tensor
    pixel_feature: Tensor
    log_sum: Tensor
    void_sum: Tensor
    weight: Tensor
    label: Tensor
    challenger: Tensor
    challenged: Tensor
    gallery: Tensor
    stored: Tensor

    @classmethod
    def born(cls, seen: Observation, queries: Queries, rows: Tensor, gallery_embeddings: int) -> Self:
        """New tracks out of the queries `rows` (M,) int64."""
        weight = seen.weight[rows]
        inside, clip = unit_embeddings(queries, rows)
        clip_weight = weight * queries.clip_valid[rows]
        embedding = seen.query_embedding[rows]
        gallery = torch.zeros(len(rows), gallery_embeddings, embedding.shape[1], device=embedding.device)
        gallery[:, 0] = embedding
        return cls(
            in_vocabulary_sum=weight[:, None] * inside,
            clip_sum=clip_weight[:, None] * clip,
            in_vocabulary_weight=weight,
            clip_weight=clip_weight,
            coverage=to_steps(seen.coverage[rows]),
            query_embedding=embedding,
            pixel_feature=seen.pixel_feature[rows],
            log_sum=weight[:, None] * seen.log_scores[rows],
            void_sum=weight * seen.void_probability[rows],
            weight=weight,
            label=seen.label[rows],
            challenger=seen.label[rows],
            challenged=torch.zeros_like(rows),
            gallery=gallery,
            stored=torch.ones_like(rows),
        )

    def masks(self) -> Tensor:
        """(T, h, w) float32 coverage."""
        return self.coverage.float() / COVERAGE_STEPS

    def log_posteriors(self) -> Tensor:
        """(T, K)."""
        return log_posterior(self.log_sum, self.weight)

    def scores(self) -> Tensor:
        """(T,), probability of the label times 1 - p(void)."""
        label = self.log_posteriors().gather(1, self.label[:, None])[:, 0]
        return label.exp() * (1 - self.void_sum / self.weight)

    def keep(self) -> Tensor:
        """(T,) bool, the published rule on the fused scores: some category is likelier than void."""
        return beats_void(self.log_posteriors().amax(-1), self.void_sum / self.weight)

    def seen_again(
        self,
        seen: Observation,
        queries: Queries,
        rows: Tensor,
        *,
        class_decay: Tensor,
        embedding_decay: Tensor,
        sure: Tensor,
        novelty: float,
    ) -> Self:
        """These M tracks with what the queries `rows` show of them; labels stay.

        Args:
            rows: (M,) int64, the query of each track.
            class_decay, embedding_decay: (M,), what is left of what was there before.
            sure: (M,) bool; elsewhere query embeddings and mask features stay as they were.
            novelty: see `gallery.remember`.
        """
        weight = seen.weight[rows]
        inside, clip = unit_embeddings(queries, rows)
        clip_weight = weight * queries.clip_valid[rows]
        embedding = seen.query_embedding[rows]
        kept = torch.where(sure, embedding_decay, 1.0)[:, None]
        gallery, stored = remember(self.gallery, self.stored, embedding, novelty)
        return replace(
            self,
            in_vocabulary_sum=self.in_vocabulary_sum + weight[:, None] * inside,
            clip_sum=self.clip_sum + clip_weight[:, None] * clip,
            in_vocabulary_weight=self.in_vocabulary_weight + weight,
            clip_weight=self.clip_weight + clip_weight,
            coverage=to_steps(seen.coverage[rows]),
            query_embedding=F.normalize(kept * self.query_embedding + (1 - kept) * embedding, dim=-1),
            pixel_feature=F.normalize(kept * self.pixel_feature + (1 - kept) * seen.pixel_feature[rows], dim=-1),
            log_sum=class_decay[:, None] * self.log_sum + weight[:, None] * seen.log_scores[rows],
            void_sum=class_decay * self.void_sum + weight * seen.void_probability[rows],
            weight=class_decay * self.weight + weight,
            gallery=torch.where(sure[:, None, None], gallery, self.gallery),
            stored=torch.where(sure, stored, self.stored),
        )

    def labelled(self, isthing: Tensor, settings: TrackingSettings) -> Self:
        """The same tracks, with the labels that their class scores call for by now; `isthing` (K,) bool."""
        smoothing = settings.smoothing
        label, challenger, challenged = hysteresis(
            self.log_posteriors(),
            self.label,
            self.challenger,
            self.challenged,
            isthing,
            ratio=settings.label_ratio if smoothing else 1.0,
            frames=settings.label_frames if smoothing else 1,
            kind_frames=settings.kind_frames if smoothing else 1,
        )
        return replace(self, label=label, challenger=challenger, challenged=challenged)

    def relabelled(self, log_scores: Tensor, void_probability: Tensor) -> Self:
        """The same tracks under other words: (T, K') log scores and (T,) p(void) of their mean embeddings."""
        label = log_scores.argmax(-1)
        return replace(
            self,
            log_sum=self.weight[:, None] * log_scores,
            void_sum=self.weight * void_probability,
            label=label,
            challenger=label,
            challenged=torch.zeros_like(label),
        )


def to_steps(coverage: Tensor) -> Tensor:
    """Coverage as bytes."""
    return (coverage * COVERAGE_STEPS).round().to(torch.uint8)

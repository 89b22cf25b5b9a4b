"""Tensors with one row per track, on the device of the queries, and what every method keeps of a track for its end.

Rows stand in order of birth and are dense, so a restored tracker computes exactly what the original would have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..queries import Queries
from .identity import EmbeddingSums

__all__ = ["TrackRows", "unit_embeddings"]


@dataclass(frozen=True, slots=True, eq=False)
class TrackRows:
    """T tracks; methods add fields of their own, tensors all of them.

    Attributes:
        in_vocabulary_sum, clip_sum: (T, D), weighted sums of unit embeddings over the track's life.
        in_vocabulary_weight, clip_weight: (T,), sums of their weights.
    """

    in_vocabulary_sum: Tensor
    clip_sum: Tensor
    in_vocabulary_weight: Tensor
    clip_weight: Tensor

    def __len__(self) -> int:
        return len(self.clip_weight)

    def select(self, rows: Tensor) -> Self:
        """Some of the tracks."""
        return type(self)(**{name: value[rows] for name, value in self._tensors().items()})

    def extended(self, others: Self) -> Self:
        """These tracks, then the others."""
        later = others._tensors()
        return type(self)(**{name: torch.cat((value, later[name])) for name, value in self._tensors().items()})

    def with_rows(self, rows: Tensor, values: Self) -> Self:
        """The same tracks with other values in some rows."""
        changed = values._tensors()
        return type(self)(**{name: value.index_copy(0, rows, changed[name]) for name, value in self._tensors().items()})

    def to(self, device: torch.device) -> Self:
        """The same tracks on another device."""
        return type(self)(**{name: value.to(device) for name, value in self._tensors().items()})

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """(T, D) twice: mean in-vocabulary and CLIP embedding; zeros where there was none."""
        return (
            self.in_vocabulary_sum / self.in_vocabulary_weight.clamp(min=1e-12)[:, None],
            self.clip_sum / self.clip_weight.clamp(min=1e-12)[:, None],
        )

    def embedding_sums(self, rows: Sequence[int]) -> list[EmbeddingSums]:
        """What the identities of some tracks keep of them, on the host: one transfer."""
        if not rows:
            return []
        chosen = torch.tensor(rows, device=self.clip_weight.device)
        weights = torch.stack((self.in_vocabulary_weight[chosen], self.clip_weight[chosen]), dim=1)
        packed = torch.cat((self.in_vocabulary_sum[chosen], self.clip_sum[chosen], weights), dim=1).cpu().numpy()
        dim = self.clip_sum.shape[1]
        return [EmbeddingSums(row[:dim].copy(), row[dim:-2].copy(), row[-2:].copy()) for row in packed]

    def without_sums(self, rows: Sequence[int]) -> Self:
        """The same tracks, of which some begin to sum up embeddings anew."""
        if not rows:
            return self
        kept = torch.ones_like(self.clip_weight)
        kept[torch.tensor(rows, device=kept.device)] = 0
        return replace(
            self,
            in_vocabulary_sum=self.in_vocabulary_sum * kept[:, None],
            clip_sum=self.clip_sum * kept[:, None],
            in_vocabulary_weight=self.in_vocabulary_weight * kept,
            clip_weight=self.clip_weight * kept,
        )

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """A copy of everything."""
        return {name: value.cpu().numpy().copy() for name, value in self._tensors().items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], device: torch.device) -> Self:
        """The inverse of `state_dict`."""
        return cls(**{field.name: torch.tensor(state[field.name], device=device) for field in fields(cls)})

    def _tensors(self) -> dict[str, Tensor]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def unit_embeddings(queries: Queries, rows: Tensor) -> tuple[Tensor, Tensor]:
    """(M, D) in-vocabulary and CLIP embeddings of some queries, of unit length: directions are what gets averaged.

    Zeros where the CLIP embedding means nothing.
    """
    inside = F.normalize(queries.in_vocabulary_embedding[rows].float(), dim=-1)
    clip = F.normalize(queries.out_of_vocabulary_embedding[rows].float(), dim=-1)
    return inside, torch.where(queries.clip_valid[rows, None], clip, 0.0)

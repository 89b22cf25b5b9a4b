"""MinVIS, the published baseline (Huang et al., NeurIPS 2022, arXiv 2208.02245), made causal.

Queries of neighbouring frames are matched by the cosine of their embeddings alone, as many as there are, with a plain
Hungarian assignment. There are no births and no deaths: every query slot is a track from the first frame on. The paper
averages class scores over the whole video; here the mean goes up to the frame at hand.

The model has a fixed number of slots, and the segmenter leaves out those that are nothing. So slots are opened as
needed, never more than one frame's queries, and one without a query keeps its last embedding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..config.tracking import TrackingSettings
from ..frames import MAX_SEGMENT_ID
from ..queries import Queries
from ..tracks import TrackRow
from ..vocabulary import Vocabulary
from .assign import assign
from .association import Association, Associator, Classify
from .checks import check_state, check_vocabulary
from .identity import Identity, identity_from_state, identity_state
from .observation import beats_void, published_keep
from .rows import TrackRows, unit_embeddings
from .transfer import to_host

__all__ = ["MinVISTracker"]

STATE_VERSION = 1


@dataclass(slots=True)
class Slot:
    """A query slot, and whom it shows."""

    identity: Identity | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SlotBank(TrackRows):
    """S slots, and further of each:

    Attributes:
        query_embedding: (S, C), of the last query, unit length.
        class_sum: (S, K), sum of class probabilities, without void.
        void_sum: (S,), sum of p(void).
        frames: (S,), how many were summed.
    """

    query_embedding: Tensor
    class_sum: Tensor
    void_sum: Tensor
    frames: Tensor

    @classmethod
    def opened(cls, queries: Queries, rows: Tensor) -> Self:
        """New slots for some queries."""
        inside, clip = unit_embeddings(queries, rows)
        ones = torch.ones(len(rows), device=rows.device)
        return cls(
            in_vocabulary_sum=inside,
            clip_sum=clip,
            in_vocabulary_weight=ones,
            clip_weight=queries.clip_valid[rows].float(),
            query_embedding=F.normalize(queries.query_embedding[rows].float(), dim=-1),
            class_sum=queries.class_log_scores[rows].float().exp(),
            void_sum=queries.void_probability[rows].float(),
            frames=ones,
        )

    def plus(self, new: Self) -> Self:
        """These slots with one query more each: sums add up, embeddings are replaced."""
        return replace(
            self,
            in_vocabulary_sum=self.in_vocabulary_sum + new.in_vocabulary_sum,
            clip_sum=self.clip_sum + new.clip_sum,
            in_vocabulary_weight=self.in_vocabulary_weight + new.in_vocabulary_weight,
            clip_weight=self.clip_weight + new.clip_weight,
            query_embedding=new.query_embedding,
            class_sum=self.class_sum + new.class_sum,
            void_sum=self.void_sum + new.void_sum,
            frames=self.frames + new.frames,
        )

    def labels_and_scores(self) -> tuple[Tensor, Tensor]:
        """(S,) int64, and (S,) its mean probability times 1 - mean p(void)."""
        best, label = self.class_sum.max(-1)
        return label, best / self.frames * (1 - self.void_sum / self.frames)

    def keep(self) -> Tensor:
        """(S,) bool, the published rule on the mean scores: some category is likelier than void."""
        best = self.class_sum.amax(-1) / self.frames
        return beats_void(best.log(), self.void_sum / self.frames)


class MinVISTracker(Associator):
    """What the methods promise stands at `Associator`.

    Args:
        settings: when an identity is confirmed; nothing else of them applies.
        vocabulary: of the queries to come.
        last_id: the largest id.
        fused_rule: ask the published rule of a slot's mean scores, as the staged tracker does, and not of each frame.
    """

    kind = "minvis"

    def __init__(
        self,
        settings: TrackingSettings,
        vocabulary: Vocabulary,
        *,
        last_id: int = MAX_SEGMENT_ID,
        fused_rule: bool = False,
    ) -> None:
        super().__init__(settings, vocabulary, last_id=last_id)
        self._fused_rule = fused_rule
        self._restart()

    def _restart(self) -> None:
        self._step = 0
        self._slots: list[Slot] = []
        self._bank: SlotBank | None = None

    @torch.inference_mode()
    def update(
        self,
        queries: Queries,
        *,
        frame: int,
        seconds: Fraction | float | None,
        picture_change: float | None = None,  # noqa: ARG002 - scene cuts mean nothing to this method
    ) -> Association:
        check_vocabulary(queries, self._register.vocabulary)
        self._step += 1
        rows = self._assigned(queries)
        chosen = torch.from_numpy(rows).to(queries.mask_logits.device)
        keep = published_keep(queries)
        if self._bank is None:
            return Association(np.zeros(0, np.int64), chosen, chosen.float(), keep, {})
        slots = self._bank.select(chosen)
        labels, scores = slots.labels_and_scores()
        if self._fused_rule:
            keep = slots.keep()
        host_labels, host_scores, host_keep = to_host(labels, scores, keep)
        naming = self._register.name(
            [self._slots[row] for row in rows.tolist()],
            host_labels.astype(np.int64),
            host_scores,
            host_keep.astype(bool),
            frame=frame,
            pts=None if seconds is None else float(seconds),
            step=self._step,
            dim=self._bank.clip_sum.shape[1],
        )
        self._leave([(int(rows[query]), identity) for query, identity in naming.left])
        return Association(naming.ids, labels, scores, keep, naming.states, ended=self._register.take_ended())

    @torch.inference_mode()
    def change_vocabulary(self, vocabulary: Vocabulary, classify: Classify) -> None:
        if self._bank is not None:
            log_scores, void = classify(*self._bank.embeddings(), self._bank.clip_weight > 0)
            frames = self._bank.frames
            self._bank = replace(
                self._bank, class_sum=log_scores.float().exp() * frames[:, None], void_sum=void.float() * frames
            )
            isthing = np.array([category.isthing for category in vocabulary.all_categories], bool)
            turned = isthing[log_scores.argmax(-1).cpu().numpy()]
            self._release([row for row, slot in enumerate(self._slots) if not (turned[row] and is_thing(slot))])
        self._register.change_vocabulary(vocabulary)

    @torch.inference_mode()
    def finish(self) -> tuple[TrackRow, ...]:
        self._release(range(len(self._slots)))
        self._restart()
        return self._register.close()

    def state_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "version": STATE_VERSION,
            "register": self._register.state_dict(),
            "step": self._step,
            "slots": [identity_state(slot.identity) for slot in self._slots],
            "bank": None if self._bank is None else self._bank.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        check_state(state, self.kind, STATE_VERSION)
        self._register.load_state_dict(state["register"])
        self._step = state["step"]
        self._slots = [Slot(identity_from_state(slot, self._register.book)) for slot in state["slots"]]
        self._bank = None if state["bank"] is None else SlotBank.from_state(state["bank"], torch.device("cpu"))

    def _assigned(self, queries: Queries) -> npt.NDArray[np.int64]:
        """(N,) int64, the slot of each query, after the slots have taken them in."""
        device = queries.mask_logits.device
        new = SlotBank.opened(queries, torch.arange(len(queries), device=device))
        if self._bank is None:
            self._bank = new if len(queries) else None
            self._slots = [Slot() for _ in range(len(queries))]
            return np.arange(len(queries))
        bank = self._bank.to(device)
        (cosine,) = to_host(bank.query_embedding @ new.query_embedding.T)
        rows = np.full(len(queries), -1)
        pairs = assign(1 - cosine)
        rows[pairs[:, 1]] = pairs[:, 0]
        slots, members = torch.from_numpy(pairs.T.copy()).to(device)
        bank = bank.with_rows(slots, bank.select(slots).plus(new.select(members)))
        opened = np.flatnonzero(rows < 0)
        rows[opened] = np.arange(len(opened)) + len(self._slots)
        self._slots += [Slot() for _ in opened]
        self._bank = bank.extended(new.select(torch.from_numpy(opened).to(device)))
        return rows

    def _release(self, rows: Sequence[int]) -> None:
        """Take some slots from their identities; things end with that."""
        identities = [(row, self._slots[row].identity) for row in rows]
        for row in rows:
            self._slots[row].identity = None
        self._leave([(row, identity) for row, identity in identities if identity is not None])

    def _leave(self, left: Sequence[tuple[int, Identity]]) -> None:
        if self._bank is None:
            return
        rows = [row for row, _ in left]
        for (_, identity), sums in zip(left, self._bank.embedding_sums(rows), strict=True):
            self._register.release(identity, sums)
        self._bank = self._bank.without_sums(rows)


def is_thing(slot: Slot) -> bool:
    return slot.identity is not None and slot.identity.isthing

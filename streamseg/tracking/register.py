"""From tracks to ids: which identity each query of a frame has, and which identities are over.

An identity begins when a query of its track is first shown: the published rule keeps it, and its label is one of the
user's. So ids and rows go to what the user can see, and never to background.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..config.tracking import TrackingSettings
from ..frames import MAX_SEGMENT_ID, State
from ..tracks import TrackRow
from ..vocabulary import Vocabulary
from .identity import EmbeddingSums, Identity, IdentityBook, stuff_keys

__all__ = ["Naming", "Owner", "Register"]


class Owner(Protocol):
    """A track of any method: its identity, once it has one. Stuff tracks share theirs."""

    identity: Identity | None


@dataclass(frozen=True, slots=True, eq=False)
class Naming:
    """One frame's ids.

    Attributes:
        ids: (N,) int64, 0 for none.
        states: state and age of each of them.
        left: queries whose track changed its identity with its label, and the identity that it had before.
    """

    ids: npt.NDArray[np.int64]
    states: dict[int, tuple[State, int]]
    left: list[tuple[int, Identity]] = field(default_factory=list)


class Register:
    """The identities of one stream.

    Args:
        vocabulary: what labels mean.
        settings: when a track is confirmed.
        last_id: the largest id; a panoptic PNG has room for 24 bits.
    """

    def __init__(self, vocabulary: Vocabulary, settings: TrackingSettings, last_id: int = MAX_SEGMENT_ID) -> None:
        self.settings = settings
        self.book = IdentityBook(last_id)
        self.epoch = 0
        self._ended: list[TrackRow] = []
        self._use(vocabulary)

    def name(
        self,
        owners: Sequence[Owner | None],
        labels: npt.NDArray[Any],
        scores: npt.NDArray[Any],
        keep: npt.NDArray[np.bool_],
        *,
        frame: int,
        pts: float | None,
        step: int,
        dim: int,
    ) -> Naming:
        """Give the N queries of a frame their ids.

        Args:
            owners: each query's track, if it has one.
            labels, scores, keep: (N,), as of `Association`.
            frame, pts, step: index, time in seconds, and number among those associated.
            dim: length of class embeddings.
        """
        naming = Naming(np.zeros(len(owners), np.int64), {})
        best: dict[int, tuple[Identity, int, float]] = {}
        for query, (owner, label, score, kept) in enumerate(
            zip(owners, labels.tolist(), scores.tolist(), keep.tolist(), strict=True)
        ):
            identity = self._identity(owner, label, kept, frame, pts, dim)
            if owner is not None:
                if owner.identity is not None and owner.identity is not identity:
                    naming.left.append((query, owner.identity))
                owner.identity = identity
            if identity is None:
                continue
            naming.ids[query] = identity.id
            if identity.id not in best or score > best[identity.id][2]:
                best[identity.id] = (identity, label, score)
        for identity, label, score in best.values():
            self._see(identity, label, score, frame, pts, step)
            naming.states[identity.id] = (identity.state, frame - identity.first_frame)
        return naming

    def release(self, identity: Identity, sums: EmbeddingSums) -> None:
        """A track is gone from its identity. A thing ends with it; stuff goes on."""
        identity.leave(sums)
        if identity.isthing:
            self._ended.append(identity.row(self.epoch))

    def take_ended(self) -> tuple[TrackRow, ...]:
        """The rows of what has ended since the last call, by id."""
        rows = tuple(sorted(self._ended, key=lambda row: row.id))
        self._ended = []
        return rows

    def close(self) -> tuple[TrackRow, ...]:
        """Stuff ends too, after all its tracks were released. Returns all rows."""
        self._ended += [identity.row(self.epoch) for identity in self.book.stuff.values()]
        self.book.stuff = {}
        return self.take_ended()

    def start_epoch(self, epoch: int) -> None:
        """Ids begin at 1 again; `close` comes first."""
        self.epoch = epoch
        self.book.restart()

    def change_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Other words. Stuff that they do not name ends, after all its tracks were released."""
        self._use(vocabulary)
        for key in [key for key in self.book.stuff if key not in self._keys]:
            self._ended.append(self.book.stuff.pop(key).row(self.epoch))

    def holds(self, identity: Identity, label: int) -> bool:
        """Whether a track with this identity may keep it under this label."""
        if identity.isthing:
            return bool(self.isthing[label])
        key = self._key(label)
        return key is not None and self.book.stuff.get(key) is identity

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "vocabulary": self.vocabulary.to_json(),
            "book": self.book.state_dict(),
            "ended": [row.to_json("-") for row in self._ended],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch = state["epoch"]
        self._use(Vocabulary.from_json(state["vocabulary"]))
        self.book.load_state_dict(state["book"])
        self._ended = [TrackRow.from_json(line) for line in state["ended"]]

    def _use(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.isthing = np.array([category.isthing for category in vocabulary.all_categories], bool)
        self._keys = stuff_keys(vocabulary)

    def _key(self, label: int) -> tuple[str, int] | None:
        """Of a stuff category that the user named."""
        return self._keys[label] if label < len(self._keys) else None

    def _identity(
        self, owner: Owner | None, label: int, kept: bool, frame: int, pts: float | None, dim: int
    ) -> Identity | None:
        """The identity that a query has under its label."""
        before = None if owner is None else owner.identity
        if before is not None and self.holds(before, label):
            return before
        key = self._key(label)
        if key is not None:  # named stuff needs no track: there is one identity, whoever shows it
            return self.book.of_stuff(key, frame, pts, dim) if kept else self.book.stuff.get(key)
        if owner is None or not kept or label >= len(self.vocabulary) or not self.isthing[label]:
            return None
        return self.book.new(frame, pts, isthing=True, dim=dim)

    def _see(self, identity: Identity, label: int, score: float, frame: int, pts: float | None, step: int) -> None:
        identity.see(frame, pts, score)
        identity.hits.hit(step, self.settings.confirm_hits, self.settings.confirm_window)
        if label < len(self.vocabulary):
            category = self.vocabulary.categories[label]
            identity.call(frame, category.label, category.id, self.vocabulary.version)

"""Who is who: ids, and what is known of each identity when it ends.

A *thing* has an identity of its own. All regions of one *stuff* category share one identity per epoch, since nothing
tells two patches of grass apart.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..frames import MAX_SEGMENT_ID, State
from ..tracks import LabelSpan, TrackRow
from ..vocabulary import Vocabulary

__all__ = [
    "EmbeddingSums",
    "Hits",
    "Identity",
    "IdentityBook",
    "StuffKey",
    "identity_from_state",
    "identity_state",
    "stuff_keys",
]

MAX_LABEL_SPANS = 32  # of one track; the latest stay

StuffKey = tuple[str, int]
"""The label of a stuff category, and a number that tells those of one label apart."""

Vector = npt.NDArray[np.float32]


@dataclass(slots=True)
class Hits:
    """In which of the last frames something was seen.

    Attributes:
        history: one bit per frame up to `step`, the latest lowest.
        step: number of the last frame that it was seen in.
        confirmed: it was seen often enough, once.
    """

    history: int = 0
    step: int = 0
    confirmed: bool = False

    def hit(self, step: int, needed: int, window: int) -> None:
        """It was seen in frame `step`."""
        self.history = ((self.history << min(step - self.step, window)) | 1) & ((1 << window) - 1)
        self.step = step
        self.confirmed = self.confirmed or self.history.bit_count() >= needed


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingSums:
    """Weighted sums of unit embeddings, (D,) each, and their weights (2,)."""

    in_vocabulary: Vector
    clip: Vector
    weights: Vector

    @classmethod
    def nothing(cls, dim: int) -> "EmbeddingSums":
        """Of no embedding."""
        return cls(np.zeros(dim, np.float32), np.zeros(dim, np.float32), np.zeros(2, np.float32))

    def __add__(self, other: "EmbeddingSums") -> "EmbeddingSums":
        return EmbeddingSums(
            self.in_vocabulary + other.in_vocabulary, self.clip + other.clip, self.weights + other.weights
        )

    def means(self) -> tuple[Vector, Vector]:
        """Zeros where nothing was summed."""
        inside, clip = np.maximum(self.weights, 1e-12)
        return self.in_vocabulary / inside, self.clip / clip


@dataclass(slots=True)
class Identity:
    """One id, from its first frame on. Attributes as of `TrackRow`, and:

    Attributes:
        hits: say whether it is confirmed.
        past: embeddings of its regions that are gone (stuff may have had many).
    """

    id: int
    isthing: bool
    first_frame: int
    first_pts: float | None
    last_frame: int = -1
    last_pts: float | None = None
    frames: int = 0
    score_sum: float = 0.0
    labels: list[LabelSpan] = field(default_factory=list)
    hits: Hits = field(default_factory=Hits)
    past: EmbeddingSums = field(default_factory=lambda: EmbeddingSums.nothing(0))

    @property
    def state(self) -> State:
        return "confirmed" if self.hits.confirmed else "tentative"

    def see(self, frame: int, pts: float | None, score: float) -> None:
        """It was seen in this frame."""
        self.last_frame, self.last_pts = frame, pts
        self.frames += 1
        self.score_sum += score

    def call(self, frame: int, label: str, category_id: int, version: int) -> None:
        """What it is called from this frame on."""
        last = self.labels[-1] if self.labels else None
        if last is None or (last.label, last.category_id, last.vocabulary_version) != (label, category_id, version):
            self.labels = [*self.labels[1 - MAX_LABEL_SPANS :], LabelSpan(frame, label, category_id, version)]

    def leave(self, sums: EmbeddingSums) -> None:
        """One of its regions is gone, with these embeddings."""
        self.past = self.past + sums

    def row(self, epoch: int) -> TrackRow:
        """What is left of it, after all its regions have left."""
        in_vocabulary, clip = self.past.means()
        return TrackRow(
            id=self.id,
            epoch=epoch,
            isthing=self.isthing,
            first_frame=self.first_frame,
            last_frame=self.last_frame,
            first_pts=self.first_pts,
            last_pts=self.last_pts,
            frames=self.frames,
            confirmed=self.hits.confirmed,
            score=self.score_sum / max(1, self.frames),
            labels=tuple(self.labels),
            in_vocabulary_embedding=in_vocabulary.astype(np.float16),
            clip_embedding=clip.astype(np.float16),
        )

    def state_dict(self) -> dict[str, Any]:
        plain = ("id", "isthing", "first_frame", "first_pts", "last_frame", "last_pts", "frames", "score_sum")
        spans = [[span.from_frame, span.label, span.category_id, span.vocabulary_version] for span in self.labels]
        hits = [self.hits.history, self.hits.step, self.hits.confirmed]
        lists = {"labels": spans, "hits": hits, "past": asdict(self.past)}
        return {name: getattr(self, name) for name in plain} | lists

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Identity":
        spans = [LabelSpan(*span) for span in state["labels"]]
        past = EmbeddingSums(**state["past"])
        return cls(**{**state, "labels": spans, "hits": Hits(*state["hits"]), "past": past})


class IdentityBook:
    """Gives out ids, from 1 in each epoch, each of them once.

    Args:
        last_id: the largest there is; after it no new identity is given.
    """

    def __init__(self, last_id: int = MAX_SEGMENT_ID) -> None:
        self.last_id = last_id
        self.next_id = 1
        self.stuff: dict[StuffKey, Identity] = {}

    @property
    def ids_left(self) -> int:
        return max(0, self.last_id + 1 - self.next_id)

    def new(self, frame: int, pts: float | None, *, isthing: bool, dim: int) -> Identity | None:
        """A new identity; None where all ids are used up. `dim` is the length of embeddings."""
        if self.ids_left == 0:
            return None
        self.next_id += 1
        return Identity(self.next_id - 1, isthing, frame, pts, past=EmbeddingSums.nothing(dim))

    def of_stuff(self, key: StuffKey, frame: int, pts: float | None, dim: int) -> Identity | None:
        """The identity of a stuff category, new where it has none yet."""
        if key not in self.stuff:
            identity = self.new(frame, pts, isthing=False, dim=dim)
            if identity is None:
                return None
            self.stuff[key] = identity
        return self.stuff[key]

    def skip(self, last: int) -> None:
        """Give no id up to this one any more."""
        self.next_id = max(self.next_id, last + 1)

    def restart(self) -> None:
        """The next epoch."""
        self.next_id = 1
        self.stuff = {}

    def state_dict(self) -> dict[str, Any]:
        stuff = [[list(key), identity.state_dict()] for key, identity in self.stuff.items()]
        return {"next_id": self.next_id, "stuff": stuff}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.next_id = state["next_id"]
        self.stuff = {(key[0], key[1]): Identity.from_state(identity) for key, identity in state["stuff"]}


def identity_state(identity: Identity | None) -> Any:
    """What a track notes of its identity: a thing's is its own, stuff's stands in the book."""
    if identity is None:
        return None
    return identity.state_dict() if identity.isthing else identity.id


def identity_from_state(state: Any, book: IdentityBook) -> Identity | None:
    """The inverse of `identity_state`."""
    if state is None or isinstance(state, Mapping):
        return None if state is None else Identity.from_state(state)
    return next(identity for identity in book.stuff.values() if identity.id == state)


def stuff_keys(vocabulary: Vocabulary) -> tuple[StuffKey | None, ...]:
    """For each category: how its stuff is known when the words change; None for things. Background has none."""
    seen: dict[str, int] = {}
    keys: list[StuffKey | None] = []
    for category in vocabulary.categories:
        if category.isthing:
            keys.append(None)
            continue
        seen[category.label] = seen.get(category.label, 0) + 1
        keys.append((category.label, seen[category.label]))
    return tuple(keys)

"""What every method of association offers: queries in, identities out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..config.tracking import TrackingSettings
from ..frames import MAX_SEGMENT_ID, State
from ..queries import Queries
from ..tracks import TrackRow
from ..vocabulary import Vocabulary
from .register import Register

__all__ = ["Association", "Associator", "Classify"]

Classify = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Class scores for embeddings, under words that the function knows: in-vocabulary embeddings (N, D), CLIP embeddings
(N, D) and whether these mean something (N,) bool, to log scores (N, K + background) and void probability (N,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Association:
    """What became of one frame's N queries, in their order. Tensors are on the queries' device.

    Attributes:
        ids: (N,) int64 on the host, the id that a query's pixels get; 0: none (no track, or one that was never shown).
        labels: (N,) int64, position in the vocabulary's categories, then background. A tracked query has its track's.
        scores: (N,) float32, the weight in the merge: the track's (a query's own without one) probability of that label
            times 1 - p(void).
        keep: (N,) bool, whether the published rule keeps the query: void is not the likeliest. With fused scores the
            rule is asked of these, so that a track does not vanish for a frame in which the model hesitates.
        states: for each id of `ids`, the track's state and its age in frames.
        events: as of `FrameResult.events`.
        ended: tracks that are over, by id.
    """

    ids: npt.NDArray[np.int64]
    labels: Tensor
    scores: Tensor
    keep: Tensor
    states: Mapping[int, tuple[State, int]]
    events: tuple[str, ...] = ()
    ended: tuple[TrackRow, ...] = ()


class Associator(ABC):
    """Association over time for one stream. Passive, causal, of bounded size.

    Args:
        settings: how queries become tracks.
        vocabulary: of the queries to come.
        last_id: the largest id.

    Attributes:
        kind: the method's name in the settings.
    """

    kind: ClassVar[str]

    def __init__(self, settings: TrackingSettings, vocabulary: Vocabulary, *, last_id: int = MAX_SEGMENT_ID) -> None:
        self._register = Register(vocabulary, settings, last_id)

    @property
    def epoch(self) -> int:
        """Ids are unique within it."""
        return self._register.epoch

    @property
    def ids_left(self) -> int:
        """How many more identities this epoch can name.

        At 0 nothing new gets an id (its pixels stay void, and tracks that have one go on); whoever runs the stream then
        starts the next epoch.
        """
        return self._register.book.ids_left

    def skip_ids(self, last: int) -> None:
        """Give no id up to `last` to anything new in this epoch: they may have been given out already."""
        self._register.book.skip(last)

    @abstractmethod
    def update(
        self,
        queries: Queries,
        *,
        frame: int,
        seconds: Fraction | float | None,
        picture_change: float | None = None,
    ) -> Association:
        """Associate one frame; frames come in order.

        Args:
            queries: under the vocabulary of the tracker; masks of one size within an epoch.
            frame: the frame's index.
            seconds: the frame's time; None where there is none, then frames count as `assumed_fps` of them a second.
            picture_change: `cuts.histogram_change` from the frame before; None if not known: a scene cut is then
                recognised without it.

        Raises:
            ConfigError: the vocabulary is another one (`change_vocabulary` comes first), or the masks have changed size
                (`start_epoch` comes first).
        """

    @abstractmethod
    def change_vocabulary(self, vocabulary: Vocabulary, classify: Classify) -> None:
        """Other words from the next frame on. Live tracks get their labels at once and keep their identities.

        Those that turn from thing to stuff or back end; the next `Association.ended` lists them.
        """

    def start_epoch(self, epoch: int) -> tuple[TrackRow, ...]:
        """All tracks end, and ids begin at 1 again; returns the rows, by id."""
        rows = self.finish()
        self._register.start_epoch(epoch)
        return rows

    @abstractmethod
    def finish(self) -> tuple[TrackRow, ...]:
        """All tracks end, with the stream; returns the rows, by id."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything there is to know, as nested dicts and lists of numpy arrays, numbers, texts and None."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`, bit for bit: the same frames give the same associations.

        Raises:
            ConfigError: it is the state of another method or version.
        """

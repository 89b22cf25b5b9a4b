"""Queries of one stream, frame by frame, to results whose identities hold: association, then fusion."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..config.run import PanopticSettings
from ..config.tracking import TrackingSettings
from ..fcclip.classifier import ClassScores
from ..frames import Frame, FrameResult
from ..panoptic import panoptic_from_association, panoptic_from_queries
from ..queries import Queries
from ..tracking.association import Associator, Classify
from ..tracking.build import build_associator
from ..tracking.cuts import color_histogram, histogram_change
from ..tracks import TrackRow
from ..vocabulary import Vocabulary

__all__ = ["NamesQueries", "Step", "Tracker"]


class NamesQueries(Protocol):
    """What a tracker asks of a segmenter: its model's name, and scores for embeddings under new words."""

    @property
    def spec(self) -> Any: ...

    def class_scores(
        self, in_embedding: Tensor, out_embedding: Tensor, valid: Tensor, vocabulary: Vocabulary
    ) -> ClassScores: ...


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One frame: its result, and the tracks that ended with it."""

    result: FrameResult
    ended: tuple[TrackRow, ...] = ()


class Tracker:
    """Follows one stream: what comes out of the segmenter goes in, results with identities come out.

    Frames come in order. A new epoch ends all tracks; another vocabulary relabels them, identities kept.

    Args:
        segmenter: whose queries these are.
        settings: how queries become tracks.
        panoptic: how tracked queries become a map.
    """

    def __init__(
        self,
        segmenter: NamesQueries,
        settings: TrackingSettings | None = None,
        *,
        panoptic: PanopticSettings | None = None,
    ) -> None:
        self.settings = settings or TrackingSettings()
        self.panoptic = panoptic or PanopticSettings()
        self.model: str = segmenter.spec.name
        self.identities = 0
        self._segmenter = segmenter
        self._associator: Associator | None = None
        self._vocabulary: Vocabulary | None = None
        self._extra_epochs = 0
        self._before = 0  # identities of earlier epochs
        self._histogram: npt.NDArray[np.float32] | None = None
        self._skipped: tuple[int, int] | None = None

    def update(self, queries: Queries, frame: Frame) -> FrameResult:
        """The result of the next frame.

        Args:
            queries: of `Segmenter.segment` for this frame.
            frame: its `rgb` is looked at for scene cuts.
        """
        return self.step(queries, frame).result

    def step(self, queries: Queries, frame: Frame) -> Step:
        """As `update`, with the tracks that ended."""
        if self.settings.method == "none":
            return Step(self._alone(queries, frame))
        frame = self._in_epoch(frame)
        associator, ended, events = self._prepare(queries, frame)
        association = associator.update(
            queries, frame=frame.index, seconds=seconds_of(frame), picture_change=self._picture_change(frame)
        )
        panoptic = panoptic_from_association(
            queries,
            keep=association.keep,
            labels=association.labels,
            scores=association.scores,
            ids=association.ids,
            output_hw=self.panoptic.output_size,
            score_threshold=self.panoptic.score_threshold,
            overlap_threshold=self.panoptic.overlap_threshold,
        )
        self.identities = max(self.identities, self._before + max(association.states, default=0))
        result = FrameResult.from_map(
            frame,
            panoptic.ids,
            panoptic.segments,
            model=self.model,
            vocabulary=queries.vocabulary,
            states=association.states,
            events=(*events, *association.events),
        )
        return Step(result, (*ended, *association.ended))

    def finish(self) -> tuple[TrackRow, ...]:
        """The tracks that are still alive; the stream has ended."""
        return () if self._associator is None else self._associator.finish()

    def skip_ids(self, epoch: int, last: int) -> None:
        """Give no id up to `last` to anything new in this epoch of results.

        For going on from an older state, where what came later has been given away and cannot be computed again.
        """
        self._skipped = (epoch, last)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next frame depends on: plain values and arrays."""
        if self._associator is None:
            return {}
        return {
            "extra_epochs": self._extra_epochs,
            "before": self._before,
            "identities": self.identities,
            "histogram": self._histogram,
            "associator": self._associator.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any], vocabulary: Vocabulary) -> None:
        """Go on from what `state_dict` returned, under the vocabulary of that time."""
        if not state:
            return
        self._associator = build_associator(self.settings, vocabulary)
        self._associator.load_state_dict(state["associator"])
        self._vocabulary = vocabulary
        self._extra_epochs, self._before = state["extra_epochs"], state["before"]
        self.identities = state["identities"]
        self._histogram = state["histogram"]

    @staticmethod
    def words_of(state: Mapping[str, Any]) -> Vocabulary | None:
        """The vocabulary under which `state_dict` was called; None for a state without any."""
        return Vocabulary.from_json(state["associator"]["register"]["vocabulary"]) if state else None

    def _alone(self, queries: Queries, frame: Frame) -> FrameResult:
        """The published single-picture result: ids mean nothing beyond the frame."""
        events = self._vocabulary_events(queries.vocabulary)
        panoptic = panoptic_from_queries(
            queries,
            output_hw=self.panoptic.output_size,
            score_threshold=self.panoptic.score_threshold,
            overlap_threshold=self.panoptic.overlap_threshold,
        )
        return FrameResult.from_map(
            frame, panoptic.ids, panoptic.segments, model=self.model, vocabulary=queries.vocabulary, events=events
        )

    def _in_epoch(self, frame: Frame) -> Frame:
        """The frame, in the epoch of its result: one more than its source says for each time that all ids were used."""
        if self._associator is not None and self._associator.ids_left == 0:
            self._extra_epochs += 1
        return replace(frame, epoch=frame.epoch + self._extra_epochs) if self._extra_epochs else frame

    def _prepare(self, queries: Queries, frame: Frame) -> tuple[Associator, tuple[TrackRow, ...], tuple[str, ...]]:
        """The associator, brought to the frame's epoch and words."""
        associator = self._associator
        if associator is None:
            associator = self._associator = build_associator(self.settings, queries.vocabulary)
        ended: tuple[TrackRow, ...] = ()
        if frame.epoch != associator.epoch:
            self._before, self._histogram = self.identities, None
            ended = associator.start_epoch(frame.epoch)
        if self._skipped is not None and self._skipped[0] == frame.epoch:
            associator.skip_ids(self._skipped[1])
            self._skipped = None
        events = self._vocabulary_events(queries.vocabulary)
        if events:
            associator.change_vocabulary(queries.vocabulary, self._classify_with(queries.vocabulary))
        return associator, ended, events

    def _vocabulary_events(self, vocabulary: Vocabulary) -> tuple[str, ...]:
        changed = self._vocabulary is not None and vocabulary != self._vocabulary
        self._vocabulary = vocabulary
        return ("vocabulary_changed",) if changed else ()

    def _classify_with(self, vocabulary: Vocabulary) -> Classify:
        def classify(in_embedding: Tensor, out_embedding: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
            scores = self._segmenter.class_scores(in_embedding, out_embedding, valid, vocabulary)
            return scores.log_scores, scores.void_probability

        return classify

    def _picture_change(self, frame: Frame) -> float | None:
        before, self._histogram = self._histogram, color_histogram(frame.rgb)
        return None if before is None else histogram_change(before, self._histogram)


def seconds_of(frame: Frame) -> Fraction | None:
    """Time for association: the stream's own for recordings, and of capture for cameras, whose own may be missing."""
    if frame.captured_at is not None:
        return Fraction(round(frame.captured_at.timestamp() * 1_000_000), 1_000_000)
    return frame.pts_seconds

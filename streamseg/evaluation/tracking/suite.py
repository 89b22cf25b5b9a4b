"""Every sequence through every method, on the same queries."""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from ...config.tracking import TrackingSettings
from ...segmenter import Segmenter
from ...testing import WorldSegmenter
from ...tracking.association import Associator
from ...tracking.build import build_associator
from ...tracking.minvis import MinVISTracker
from ...vocabulary import Vocabulary
from .follow import MapFrame, follow, follow_truth
from .queries import LooksAt, SeenFrame, load_or_look
from .scenarios import Sequence
from .scores import METRICS, Row, ScoreSheet

__all__ = ["FUSED_MINVIS", "PERFECT", "Eyes", "Eyesight", "Method", "Progress", "maps_of", "run_suite"]

Eyes = Literal["demo", "oracle"]
"""Whose queries: the demo model's, or those of a scripted segmenter that knows the truth and errs as a model does."""

PERFECT: Literal["perfect identities"] = "perfect identities"
"""What the same queries give when each bears the identity of what it shows: nobody can do better by association."""

FUSED_MINVIS: Literal["minvis, fused rule"] = "minvis, fused rule"
"""The baseline with the published rule asked of its mean scores, as we ask it: how much of a lead is due to that."""

Method = TrackingSettings | Literal["perfect identities", "minvis, fused rule"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Eyesight:
    """Where queries come from, and where they are kept.

    Attributes:
        eyes: whose they are.
        cache: folder for them; None: they are computed each time.
        keep: hold what was seen in memory, for many runs over the same sequences.
    """

    eyes: Eyes
    cache: Path | None = None
    keep: bool = False
    _kept: dict[str, list[SeenFrame]] = field(default_factory=dict)

    def segmenter_for(self, sequence: Sequence) -> LooksAt:
        """The segmenter that sees a sequence."""
        return WorldSegmenter({"world": sequence.video}) if self.eyes == "oracle" else self._model

    def frames(self, sequence: Sequence) -> list[SeenFrame]:
        """What it sees."""
        if sequence.name in self._kept:
            return self._kept[sequence.name]
        folder = None if self.cache is None else self.cache / self.eyes
        frames = load_or_look(sequence, self.segmenter_for(sequence), folder)
        if self.keep:
            self._kept[sequence.name] = frames
        return frames

    @cached_property
    def _model(self) -> Segmenter:
        return Segmenter.load("demo", device="cpu", precision="fp32", progress=False)


def run_suite(
    sequences: Several[Sequence],
    methods: Mapping[str, Method],
    eyesight: Eyesight,
    *,
    metrics: Several[str] = METRICS,
    progress: Progress | None = None,
) -> dict[str, dict[str, Row]]:
    """Rows by scenario and method.

    Args:
        sequences: those of one scenario in a row.
        methods: by name.
        eyesight: whose queries.
        metrics: what to score, see `ScoreSheet`.
        progress: called as progress(done, total) with numbers of sequences.
    """
    sheets: dict[str, dict[str, ScoreSheet]] = {}
    for done, sequence in enumerate(sequences):
        if sequence.scenario not in sheets:
            sheets[sequence.scenario] = {name: ScoreSheet(sequence.truth, metrics) for name in methods}
        frames = eyesight.frames(sequence)
        for name, method in methods.items():
            sheets[sequence.scenario][name].add_video(
                sequence.name, frames, maps_of(frames, method, eyesight.segmenter_for(sequence))
            )
        if progress is not None:
            progress(done + 1, len(sequences))
    return {
        scenario: {name: sheet.row() for name, sheet in by_method.items()} for scenario, by_method in sheets.items()
    }


def maps_of(frames: Several[SeenFrame], method: Method, segmenter: LooksAt) -> Iterator[MapFrame]:
    """What a method makes of a sequence."""
    if method == PERFECT:
        return follow_truth(frames)

    def build(vocabulary: Vocabulary) -> Associator:
        if isinstance(method, TrackingSettings):
            return build_associator(method, vocabulary)
        return MinVISTracker(TrackingSettings(method="minvis"), vocabulary, fused_rule=True)

    return follow(frames, build, segmenter)

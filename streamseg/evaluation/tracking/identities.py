"""How steady the identities and names of true things are, told apart from how well they are seen.

A true thing is *shown* in a frame where a found thing overlaps it with an IoU of more than one half. All of this looks
at such frames alone, so that what a segmenter misses is nobody's fault here.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..metrics.overlaps import Overlaps
from ..metrics.panoptic_quality import SegmentInfo

__all__ = ["Steadiness"]

SHOWN_OVERLAP = 0.5


@dataclass(slots=True)
class _Video:
    """Pairs of a true thing and an id with their frames, and the last name of each true thing."""

    shown: Counter[tuple[int, int]] = field(default_factory=Counter)
    found: Counter[int] = field(default_factory=Counter)
    names: dict[int, int] = field(default_factory=dict)


class Steadiness:
    """Counts over any number of videos; frame by frame, each video's end announced."""

    def __init__(self) -> None:
        self._association, self._shown = 0.0, 0
        self._flips, self._right, self._minutes = 0, 0, 0.0
        self._video = _Video()

    def add(
        self, overlaps: Overlaps, truth: Sequence[SegmentInfo], found: Sequence[SegmentInfo], things: frozenset[int]
    ) -> None:
        """The next frame; `things` are the category ids of things."""
        true_areas, found_areas = overlaps.true_areas(), overlaps.predicted_areas()
        true = {segment.id: segment for segment in truth if segment.category_id in things}
        segments = {segment.id: segment for segment in found if segment.category_id in things}
        self._video.found.update(segments.keys())
        pairs = zip(
            overlaps.ground_truth_ids.tolist(), overlaps.predicted_ids.tolist(), overlaps.pixels.tolist(), strict=True
        )
        for true_id, found_id, pixels in pairs:
            if true_id in true and found_id in segments:
                union = true_areas[true_id] + found_areas[found_id] - pixels
                if pixels > SHOWN_OVERLAP * union:
                    self._see(true_id, found_id, true[true_id].category_id, segments[found_id].category_id)

    def end_video(self, seconds: float) -> None:
        """All frames of a video of so many seconds have been added."""
        video, self._video = self._video, _Video()
        of_thing: Counter[int] = Counter()
        for (true_id, _), frames in video.shown.items():
            of_thing[true_id] += frames
        for (true_id, found_id), frames in video.shown.items():
            union = of_thing[true_id] + video.found[found_id] - frames
            self._association += frames * frames / union
        self._shown += sum(of_thing.values())
        self._minutes += seconds / 60

    @property
    def shown_association(self) -> float:
        """HOTA's AssA at an overlap of one half, over shown things alone.

        The mean over shown things of frames that thing and id share / frames that show the thing or bear the id.
        """
        return self._association / self._shown if self._shown else float(np.nan)

    @property
    def label_accuracy(self) -> float:
        """Share of shown things that have their true category."""
        return self._right / self._shown if self._shown else float(np.nan)

    @property
    def flips_per_minute(self) -> float:
        """How often a true thing has another category than when it was last shown, per minute of video."""
        return self._flips / self._minutes if self._minutes else float(np.nan)

    def _see(self, true_id: int, found_id: int, true_category: int, category: int) -> None:
        self._video.shown[true_id, found_id] += 1
        self._right += category == true_category
        self._flips += self._video.names.get(true_id, category) != category
        self._video.names[true_id] = category

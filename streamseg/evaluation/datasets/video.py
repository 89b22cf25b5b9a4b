"""Panoptic video: each video is segmented and tracked as a stream would be, and scored as VIPSeg's own scripts do.

Workers segment and track; what they find comes back packed, and is compared with the truth in the order of the data
set, because the scores of video keep state from frame to frame.
"""

import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...config.tracking import TrackingSettings
from ...errors import EvaluationError
from ...panoptic import PanopticMap, panoptic_from_association
from ...sources.images import read_image
from ...tracking.build import build_associator
from ...tracking.cuts import color_histogram, histogram_change
from ...vocabulary import Vocabulary
from ..metrics.panoptic_quality import SegmentInfo
from ..metrics.video_panoptic_quality import WINDOWS
from ..metrics.video_scores import VideoScores
from .annotations import read_ids
from .predictions import Segments
from .protocols import Protocol
from .samples import Sample

__all__ = ["VideoPredictor", "VideoTallies", "tracked"]

Picture = npt.NDArray[np.uint8]
VideoPredictor = Callable[[Iterator[Picture]], Iterator[PanopticMap]]
"""From the frames of a video, in order, to maps whose ids hold over time."""

STQ_NUMBERS = {"STQ": "stq", "AQ": "aq", "SQ (STQ)": "sq"}


@dataclass(frozen=True, slots=True)
class _PackedFrame:
    """A predicted map, a few kilobytes."""

    data: bytes
    size_hw: tuple[int, int]
    segments: tuple[SegmentInfo, ...]

    @classmethod
    def of(cls, found: PanopticMap) -> "_PackedFrame":
        height, width = found.ids.shape
        segments = tuple(SegmentInfo(segment.id, segment.category_id) for segment in found.segments)
        return cls(zlib.compress(found.ids.astype("<i4").tobytes(), 1), (height, width), segments)

    def ids(self) -> npt.NDArray[np.int32]:
        return np.frombuffer(zlib.decompress(self.data), "<i4").reshape(self.size_hw)


class VideoTallies:
    """Scores of videos.

    Args:
        protocol: of the data set.
        vocabulary: its words.
        metrics: which of the protocol's are wanted.
    """

    def __init__(self, protocol: Protocol, vocabulary: Vocabulary, metrics: Collection[str]) -> None:  # noqa: ARG002
        self.vocabulary = vocabulary
        self.metrics = tuple(metrics)
        self.pictures = 0
        self._made: VideoScores | None = None  # only where videos are compared: what workers send is maps alone
        self._waiting: list[tuple[Sequence[Sample], list[_PackedFrame]]] = []

    def add(self, frames: Sequence[Sample], predictor: VideoPredictor) -> None:
        """Segment and track one video; it is compared when it is absorbed."""
        found = predictor(read_image(sample.picture) for sample in frames)
        self._waiting.append((frames, [_PackedFrame.of(panoptic) for panoptic in found]))
        self.pictures += len(frames)

    def absorb(self, other: "VideoTallies") -> None:
        """Compare the videos of another one, which come after these.

        Raises:
            EvaluationError: a frame's truth cannot be read, or does not fit; the message names it.
        """
        for frames, found in other._waiting:
            for sample, packed in zip(frames, found, strict=True):
                self._compare(sample, packed)
            self._scores.end_video(str(frames[0].video))
        self.pictures += other.pictures

    def scores(self) -> dict[str, float | None]:
        """Fractions by name."""
        numbers: dict[str, float | None] = {}
        if "pq" in self.metrics:
            group = self._scores.pq().all
            numbers["PQ"] = None if group is None else group.pq
        if "vpq" in self.metrics:
            windows = self._scores.vpq()
            numbers["VPQ"] = windows.mean("all")
            numbers |= {f"VPQ{length}": windows.mean("all", [length]) for length in WINDOWS}
        if "stq" in self.metrics:
            quality = self._scores.stq()
            numbers |= {name: getattr(quality, attribute) for name, attribute in STQ_NUMBERS.items()}
        if "miou" in self.metrics:
            numbers["mIoU"] = self._scores.miou().mean_iou
        return numbers

    def per_class(self) -> dict[str, dict[str, float | None]]:
        """Fractions by label."""
        columns: dict[str, Callable[[int], float | None]] = {}
        if "pq" in self.metrics:
            quality = self._scores.pq().per_class
            columns["PQ"] = lambda key: quality[key].pq if quality[key].occurs else None
        if "miou" in self.metrics:
            columns["IoU"] = self._scores.miou().iou
        return {
            category.label: {name: column(category.id) for name, column in columns.items()}
            for category in self.vocabulary.categories
        }

    @property
    def _scores(self) -> VideoScores:
        if self._made is None:
            kinds = {category.id: category.isthing for category in self.vocabulary.categories}
            self._made = VideoScores(kinds, metrics=self.metrics)
        return self._made

    def _compare(self, sample: Sample, packed: _PackedFrame) -> None:
        if sample.panoptic is None:
            raise EvaluationError(f"frame {sample.name} has no panoptic map, expected one")
        try:
            self._scores.add_frame(read_ids(sample.panoptic), sample.segments, packed.ids(), packed.segments)
        except EvaluationError as error:
            raise EvaluationError(f"frame {sample.name}: {error}") from None


def tracked(segmenter: Segments, vocabulary: Vocabulary, settings: TrackingSettings | None = None) -> VideoPredictor:
    """A segmenter with the tracker behind it, causal, as streams are followed.

    Args:
        segmenter: gives the queries of a frame.
        vocabulary: of all frames.
        settings: how queries become tracks; frames are `assumed_fps` apart, since the data set gives no times.
    """
    chosen = settings or TrackingSettings()

    def predict(pictures: Iterable[Picture]) -> Iterator[PanopticMap]:
        associator = build_associator(chosen, vocabulary)
        before: npt.NDArray[np.float32] | None = None
        for index, picture in enumerate(pictures):
            queries = segmenter.segment([picture], vocabulary)[0]
            histogram = color_histogram(picture)
            change = None if before is None else histogram_change(before, histogram)
            before = histogram
            with torch.inference_mode():
                association = associator.update(
                    queries, frame=index, seconds=Fraction(index) / Fraction(chosen.assumed_fps), picture_change=change
                )
                facts: dict[str, Any] = {
                    name: getattr(association, name) for name in ("ids", "labels", "scores", "keep")
                }
                yield panoptic_from_association(queries, **facts)

    return predict

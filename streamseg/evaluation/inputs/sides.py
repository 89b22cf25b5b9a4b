"""The two sides of an evaluation, whatever they are stored as: videos of frames, each with a map and its segments."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...errors import EvaluationError
from ..metrics.compared_frame import ComparedFrame
from ..metrics.overlaps import Ids
from ..metrics.panoptic_quality import SegmentInfo
from ..metrics.video_scores import VideoScores

__all__ = ["Frame", "Predictions", "Truth", "Video", "feed"]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of one side.

    Attributes:
        name: what messages call it, within its video.
        segments: what the ids of the map mean, in the order in which they are listed.
        read: gives the map, (H, W) integers; EvaluationError where it cannot be read.
    """

    name: str
    segments: tuple[SegmentInfo, ...]
    read: Callable[[], Ids]


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """A video of the ground truth: its name and its frames in order."""

    name: str
    frames: Sequence[Frame]


class Truth(Protocol):
    """Ground truth.

    Attributes:
        categories: whether each category id is a thing, in the order of reports.
        labels: what they are called.
        metrics: what can be measured with it.
        frame_count: of all videos; 0 where that is known only at the end.
    """

    @property
    def categories(self) -> Mapping[int, bool]: ...
    @property
    def labels(self) -> Mapping[int, str]: ...
    @property
    def metrics(self) -> tuple[str, ...]: ...
    @property
    def frame_count(self) -> int: ...
    def videos(self) -> Iterator[Video]:
        """One after the other."""


class Predictions(Protocol):
    """Predictions for some ground truth."""

    def follow(self, video: Video) -> Iterator[Frame]:
        """A frame for each of the video's, in their order; EvaluationError where one is missing."""

    @property
    def document(self) -> Path:
        """What messages call it."""


def feed(
    scores: VideoScores,
    truth: Truth,
    predictions: Predictions,
    *,
    video_ended: Callable[[str], None] | None = None,
    frame_added: Callable[[str, str, ComparedFrame], None] | None = None,
) -> None:
    """Score all frames, one pair of maps in memory at a time.

    Args:
        scores: what is fed.
        truth, predictions: the two sides.
        video_ended: called with the name of each video that has been added.
        frame_added: called with the names of video and frame, and with what was compared.

    Raises:
        EvaluationError: naming the frame.
    """
    for video in truth.videos():
        for true, predicted in zip(video.frames, predictions.follow(video), strict=True):
            try:
                frame = scores.add_frame(true.read(), true.segments, predicted.read(), predicted.segments)
            except EvaluationError as error:
                raise EvaluationError(f"frame {video.name}/{true.name}: {error}") from None
            if frame_added is not None:
                frame_added(video.name, true.name, frame)
        scores.end_video(video.name)
        if video_ended is not None:
            video_ended(video.name)

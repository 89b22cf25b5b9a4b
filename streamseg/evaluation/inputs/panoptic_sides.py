"""Panoptic folders as the sides of an evaluation.

Frames of pictures are paired by their ids. Frames of video are paired by theirs where both sides name them alike, and
by their place otherwise; PNGs of both sides are called as the ground truth calls them, as in VIPSeg's script.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path

from ...errors import EvaluationError
from ..metrics.video_scores import METRICS
from .panoptic_folders import AnnotatedFrame, PanopticFolder
from .sides import Frame, Video

__all__ = ["PanopticPredictions", "PanopticTruth"]

PICTURE_METRICS = ("pq", "miou")
PICTURES = "pictures"  # what COCO's layout is called as a video


class PanopticTruth:
    """Ground truth in COCO's panoptic layout or VIPSeg's.

    Args:
        folder: with a list of categories.

    Raises:
        EvaluationError: it has none, or no frame.
    """

    def __init__(self, folder: PanopticFolder) -> None:
        if not folder.categories:
            raise EvaluationError(f"{folder.document} has no categories, expected a list of id, name and isthing")
        if not folder.frames:
            raise EvaluationError(f"{folder.document} annotates no frame, expected at least one")
        self.folder = folder
        self.categories = folder.categories
        self.labels = folder.labels
        self.frame_count = len(folder.frames)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Pictures have no time."""
        in_video = any(frame.video is not None for frame in self.folder.frames.values())
        return METRICS if in_video else PICTURE_METRICS

    def videos(self) -> Iterator[Video]:
        for name, frames in groupby(self.folder.frames.values(), key=lambda frame: frame.video):
            yield _AnnotatedVideo(PICTURES if name is None else name, list(frames), self.folder)


class PanopticPredictions:
    """Predictions in either layout."""

    def __init__(self, folder: PanopticFolder) -> None:
        self.folder = folder

    @property
    def document(self) -> Path:
        return self.folder.document

    def follow(self, video: Video) -> Iterator[Frame]:
        if not isinstance(video, _AnnotatedVideo):
            raise EvaluationError(
                f"{self.document} holds panoptic maps, expected tracks in the format of the ground truth"
            )
        truth = video.annotated
        predicted = self._videos.get(truth[0].video, {})
        missing = [frame for frame in truth if frame.image not in predicted]
        named_otherwise = truth[0].video is not None and not any(frame.image in predicted for frame in truth)
        if missing and not (named_otherwise and len(predicted) == len(truth)):
            raise EvaluationError(
                f"{self.document} lacks {len(missing)} of {len(truth)} frames of {video.name}, first "
                f"{missing[0].image}, expected a prediction for each in {video.folder.document}"
            )
        if truth[0].video is not None and len(predicted) != len(truth):
            raise EvaluationError(
                f"{self.document} predicts {len(predicted)} frames of {video.name}, expected {len(truth)} as in "
                f"{video.folder.document}"
            )
        in_order = list(predicted.values()) if missing else [predicted[frame.image] for frame in truth]
        for true, guess in zip(truth, in_order, strict=True):
            png = guess.png if true.video is None else true.png
            yield Frame(str(guess.image), guess.segments, partial(self.folder.ids, png))

    @cached_property
    def _videos(self) -> Mapping[str | None, Mapping[int | str, AnnotatedFrame]]:
        videos: dict[str | None, dict[int | str, AnnotatedFrame]] = {}
        for frame in self.folder.frames.values():
            videos.setdefault(frame.video, {})[frame.image] = frame
        return videos


class _AnnotatedVideo(Video):
    """A video whose frames keep what their document says of them."""

    annotated: Sequence[AnnotatedFrame]
    folder: PanopticFolder

    def __init__(self, name: str, annotated: Sequence[AnnotatedFrame], folder: PanopticFolder) -> None:
        frames = [Frame(str(each.image), each.segments, partial(folder.ids, each.png)) for each in annotated]
        super().__init__(name, frames)
        object.__setattr__(self, "annotated", annotated)
        object.__setattr__(self, "folder", folder)

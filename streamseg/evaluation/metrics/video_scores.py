"""All scores of panoptic video from one pass over its frames, without files.

    scores = VideoScores({0: False, 2: True}, metrics=("stq", "vpq", "tracking"))
    for name, frames in videos:
        for truth_ids, truth, predicted_ids, predicted in frames:
            scores.add_frame(truth_ids, truth, predicted_ids, predicted)
        scores.end_video(name)
    scores.stq().stq, scores.vpq().mean("all"), scores.tracking().agnostic["ignore"].to_dict()["AssA"]

Memory does not grow with the number of videos or frames, but for what is kept of each video on purpose: three numbers
for STQ, a few bytes of each track for average precision, and everything with `keep_videos`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from ...errors import ConfigError
from .compared_frame import ComparedFrame, VideoMetric
from .overlaps import Ids
from .panoptic_quality import PanopticQuality, PanopticScores, SegmentInfo
from .panoptic_tracks import PanopticTrackPrecision
from .segmentation_tracking_quality import SegmentationTrackingQuality, SegmentationTrackingScores
from .semantic_quality import SemanticQuality, SemanticScores
from .track_precision import TrackPrecisionScores
from .tracking_metrics import TrackingMetrics, TrackingScores
from .video_consistency import ConsistencyScores, VideoConsistency
from .video_panoptic_quality import WINDOWS, VideoPanopticQuality, VideoPanopticScores

__all__ = ["METRICS", "PanopticMetric", "VideoScores"]

Metric = TypeVar("Metric", bound=VideoMetric)

METRICS = ("pq", "vpq", "stq", "tracking", "ap", "miou", "vc")


class PanopticMetric:
    """Panoptic quality of single frames, as a metric of video.

    Attributes:
        last_video: the scores of the video that ended last.
    """

    def __init__(self, categories: Mapping[int, bool]) -> None:
        self._categories = dict(categories)
        self._total, self._video = PanopticQuality(categories), PanopticQuality(categories)
        self.last_video: PanopticScores | None = None

    def add(self, frame: ComparedFrame) -> None:
        """The next frame."""
        self._video.add_overlaps(frame.overlaps, frame.truth, frame.predicted)

    def end_video(self, name: str) -> None:  # noqa: ARG002 - as every metric
        self._total.absorb(self._video)
        self.last_video = self._video.result()
        self._video = PanopticQuality(self._categories)

    def result(self) -> PanopticScores:
        """The scores of all videos that have ended."""
        return self._total.result()


class VideoScores:
    """Feeds every chosen metric.

    Args:
        categories: whether each category id is a thing, in the order in which they are reported.
        labels: what they are called; None for their ids.
        metrics: some of `METRICS`; asking for the scores of another one is a KeyError.
        windows: lengths for VPQ, in frames.
        keep_videos: keep the scores of each video, for `to_dict`.

    Raises:
        ConfigError: an unknown metric, or no category.
    """

    def __init__(
        self,
        categories: Mapping[int, bool],
        labels: Mapping[int, str] | None = None,
        *,
        metrics: Collection[str] = METRICS,
        windows: Sequence[int] = WINDOWS,
        keep_videos: bool = False,
    ) -> None:
        unknown = [name for name in metrics if name not in METRICS]
        if unknown:
            raise ConfigError(f"unknown metric {unknown[0]!r}, expected some of {', '.join(METRICS)}")
        if not categories:
            raise ConfigError("there are no categories, expected at least one to score")
        made: dict[str, tuple[VideoMetric, ...]] = {}
        self._pq, self._vpq = PanopticMetric(categories), VideoPanopticQuality(categories, windows)
        self._stq = SegmentationTrackingQuality(categories)
        self._stq_script = SegmentationTrackingQuality(categories, crowd="first-listed")
        self._tracking = TrackingMetrics(categories, labels)
        self._ap = PanopticTrackPrecision(categories)
        self._miou, self._vc = SemanticQuality(categories), VideoConsistency()
        made = {
            "pq": (self._pq,),
            "vpq": (self._vpq,),
            "stq": (self._stq, self._stq_script),
            "tracking": (self._tracking,),
            "ap": (self._ap,),
            "miou": (self._miou,),
            "vc": (self._vc,),
        }
        self.metrics = tuple(name for name in METRICS if name in metrics)
        self._fed = [metric for name in self.metrics for metric in made[name]]
        self._details: dict[str, dict[str, Any]] | None = {} if keep_videos else None
        self.frames = 0

    def add_frame(
        self,
        truth_ids: Ids,
        truth: Sequence[SegmentInfo],
        predicted_ids: Ids,
        predicted: Sequence[SegmentInfo],
    ) -> ComparedFrame:
        """The next frame of the video.

        Args:
            truth_ids, predicted_ids: (H, W) integers, each pixel's segment; 0 is void. An id stays the same over the
                frames of its video.
            truth, predicted: what the ids mean. Thing predictions may carry a score, for average precision.

        Returns:
            What the metrics were fed with.

        Raises:
            EvaluationError: as of `PanopticQuality.add`, if panoptic quality is among the metrics; or sizes differ.
        """
        frame = ComparedFrame.of(truth_ids, truth, predicted_ids, predicted)
        for metric in self._fed:
            metric.add(frame)
        self.frames += 1
        return frame

    def end_video(self, name: str) -> None:
        """All frames of a video have been added; ids of the next one mean something else."""
        for metric in self._fed:
            metric.end_video(name)
        if self._details is not None:
            self._keep(name, self._details)

    def pq(self) -> PanopticScores:
        """Panoptic quality of frames."""
        return self._only("pq", self._pq).result()

    def vpq(self) -> VideoPanopticScores:
        """Panoptic quality of windows."""
        return self._only("vpq", self._vpq).result()

    def stq(self, *, script: bool = False) -> SegmentationTrackingScores:
        """Segmentation and tracking quality; `script` takes crowds for objects as VIPSeg's own script does."""
        return self._only("stq", self._stq_script if script else self._stq).result()

    def tracking(self) -> TrackingScores:
        """HOTA, CLEAR and identity metrics."""
        return self._only("tracking", self._tracking).result()

    def ap(self) -> TrackPrecisionScores:
        """Average precision of tracks."""
        return self._only("ap", self._ap).result()

    def miou(self) -> SemanticScores:
        """Mean IoU of categories."""
        return self._only("miou", self._miou).result()

    def vc(self) -> ConsistencyScores:
        """Video consistency."""
        return self._only("vc", self._vc).result()

    def to_dict(self) -> dict[str, Any]:
        """For JSON, keyed as the reference numbers are; `details` holds the videos where they are kept."""
        made: dict[str, dict[str, Any]] = {}
        for name in self.metrics:
            if name == "stq":
                made |= {"stq": self.stq().to_dict(), "stq_vipseg_script": self.stq(script=True).to_dict()}
            elif name == "ap":
                made["video_ap"] = self.ap().to_dict()
            else:
                made[name] = getattr(self, name)().to_dict()
        return made if self._details is None else made | {"details": self._details}

    def _only(self, name: str, metric: Metric) -> Metric:
        if name not in self.metrics:
            raise KeyError(f"{name!r} is not measured, only {', '.join(self.metrics)}")
        return metric

    def _keep(self, name: str, details: dict[str, dict[str, Any]]) -> None:
        """What the last video's scores were, by metric and video."""
        if "pq" in self.metrics and self._pq.last_video is not None:
            details.setdefault("pq", {})[name] = self._pq.last_video.to_dict()["per_class"]
        if "vpq" in self.metrics and self._vpq.last_video is not None:
            details.setdefault("vpq", {})[name] = {
                str(length): {str(key): entry.counts() for key, entry in scores.per_class.items() if entry.occurs}
                for length, scores in self._vpq.last_video.per_window.items()
            }
        if "tracking" in self.metrics:
            tracking = details.setdefault("tracking", {})
            for setting, classes in self._tracking.last_video.items():
                tracking.setdefault(setting, {})[name] = {
                    label: counts.to_dict(single=True) for label, counts in classes.items()
                }

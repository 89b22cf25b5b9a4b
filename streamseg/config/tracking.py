"""How queries become tracks: every number of it; what they do is explained where they are used, in `tracking/`."""

from dataclasses import dataclass, fields
from typing import Literal

from ..errors import ConfigError

__all__ = ["TrackingSettings"]


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """Association over time. Similarities, overlaps and objectness go from 0 to 1; times are seconds of the stream.

    Attributes:
        method: "streamseg" associates in stages and smooths labels, "minvis" is the published baseline (previous frame
            only, every query slot a track), "none" gives each frame the published single-picture result.
        assumed_fps: frames a second where a source gives no time, as folders of pictures do.
        high_objectness: queries from here on look for a track first, and may continue any.
        low_objectness: queries from here on may still continue a track that they overlap well.
        birth_objectness: queries from here on may begin a track.
        query_weight: of the cosine of query embeddings; the four weights count relative to their sum, 0 turns one off.
        iou_weight: of the overlap with the track's mask, moved as the track moves.
        feature_weight: of the cosine of mean mask features.
        class_weight: of the overlap of class posteriors (Bhattacharyya).
        min_similarity: of the weighted cues, for a match.
        gate_iou: overlap that makes a pair possible, however far apart the middles are.
        gate_distance: distance of middles that makes a pair possible, in square roots of the track's area.
        gate_area_ratio: largest ratio of areas of a pair, either way.
        low_iou: overlap that a query of low objectness needs.
        last_mask_iou: overlap with the last mask seen that continues a track that the cues did not find.
        last_mask_seconds: how long a track may be continued that way; the place says little later on.
        active_seconds: how long a track without a query still takes part in the first round.
        gallery: recognise tracks that were lost, by their embeddings.
        gallery_seconds: how long a lost track can be recognised; then it ends.
        gallery_embeddings: kept of each track.
        gallery_tracks: most lost tracks; beyond, those end that have been lost longest.
        gallery_novelty: an embedding is kept where its cosine with all that are there is below this.
        recognition_cosine: of the best kept embedding, for a lost track to be recognised.
        recognition_margin: lead over the second-best track, and over the second-best query, to be recognised anywhere.
        recognition_distance: of look-alikes, the one is taken without a lead that is nearest and within this, in square
            roots of the larger area.
        recognition_class_overlap: of class posteriors, for a lost track to be recognised or found at its last place.
        birth_coverage: a query of which matched masks of its kind (thing or stuff) cover this much begins no track.
        confirm_hits: of `confirm_window` frames, for a track to be confirmed.
        confirm_window: frames.
        embedding_seconds: half-life of a track's embeddings under new ones.
        velocity_seconds: half-life of a track's velocity.
        smoothing: fuse class scores over time; off, every frame's own count.
        smoothing_seconds: half-life of class scores under new ones.
        edge_weight: how much class scores count where a mask reaches the picture's edge, so that part of it may be out
            of sight; 1 as much as elsewhere.
        label_ratio: how many times as probable another label has to be, to replace a track's label.
        label_frames: for how many frames.
        kind_frames: the same where the label turns a thing into stuff or back, which costs the identity.
        cut_change: change of the picture's colours that a scene cut needs (`tracking.cuts.histogram_change`).
        cut_matched: share of active things that find a query in their place, below which there may be a scene cut.
        cut_cosine: of whole frames' CLIP embeddings, below which there may be one.
    """

    method: Literal["streamseg", "minvis", "none"] = "streamseg"
    assumed_fps: float = 25.0

    high_objectness: float = 0.5
    low_objectness: float = 0.15
    birth_objectness: float = 0.6

    query_weight: float = 0.6
    iou_weight: float = 0.5
    feature_weight: float = 0.07
    class_weight: float = 0.2
    min_similarity: float = 0.45
    gate_iou: float = 0.1
    gate_distance: float = 3.0
    gate_area_ratio: float = 3.0
    low_iou: float = 0.5
    last_mask_iou: float = 0.4
    last_mask_seconds: float = 2.0
    active_seconds: float = 0.4

    gallery: bool = True
    gallery_seconds: float = 10.0
    gallery_embeddings: int = 9
    gallery_tracks: int = 200
    gallery_novelty: float = 0.85
    recognition_cosine: float = 0.8
    recognition_margin: float = 0.05
    recognition_distance: float = 1.0
    recognition_class_overlap: float = 0.35

    birth_coverage: float = 0.4
    confirm_hits: int = 3
    confirm_window: int = 4
    embedding_seconds: float = 0.2
    velocity_seconds: float = 0.1

    smoothing: bool = True
    smoothing_seconds: float = 4.0
    edge_weight: float = 0.3
    label_ratio: float = 1.5
    label_frames: int = 3
    kind_frames: int = 5

    cut_change: float = 0.2
    cut_matched: float = 0.7
    cut_cosine: float = 0.75

    def __post_init__(self) -> None:
        for name in _FRACTIONS:
            self._require(name, 0, 1, "a number from 0 to 1")
        for name in _SECONDS:
            self._require(name, 0, 1e6, "seconds from 0 to 1000000")
        for name in _COUNTS:
            self._require(name, 1, 1_000_000, "a whole number of at least 1")
        for name in _WEIGHTS:
            self._require(name, 0, 1e6, "a weight of at least 0")
        for name in ("gate_area_ratio", "label_ratio"):
            self._require(name, 1, 1e6, "a ratio of at least 1")
        for name in ("gate_distance", "recognition_distance"):
            self._require(name, 0, 1e6, "a distance of at least 0")
        self._require("assumed_fps", 1e-3, 1e6, "frames a second, above 0")
        self._require("confirm_hits", 1, self.confirm_window, f"at most confirm_window, {self.confirm_window}")
        self._require("confirm_window", 1, 62, "at most 62 frames")
        self._require("low_objectness", 0, self.high_objectness, f"at most high_objectness, {self.high_objectness:g}")
        if not any(getattr(self, name) for name in _WEIGHTS):
            raise ConfigError(f"all of {', '.join(_WEIGHTS)} are 0, expected at least one cue above 0")

    def _require(self, name: str, lowest: float, highest: float, expected: str) -> None:
        value = getattr(self, name)
        if not lowest <= value <= highest:
            raise ConfigError(f"setting tracking.{name} is {value}, expected {expected}")


_WEIGHTS = ("query_weight", "iou_weight", "feature_weight", "class_weight")
_COUNTS = tuple(field.name for field in fields(TrackingSettings) if field.type in (int, "int"))
_SECONDS = tuple(field.name for field in fields(TrackingSettings) if field.name.endswith("_seconds"))
_FRACTIONS = (
    *(field.name for field in fields(TrackingSettings) if field.name.endswith(("_objectness", "_iou", "_cosine"))),
    *("min_similarity", "gallery_novelty", "recognition_margin", "recognition_class_overlap", "birth_coverage"),
    *("cut_change", "cut_matched", "edge_weight"),
)

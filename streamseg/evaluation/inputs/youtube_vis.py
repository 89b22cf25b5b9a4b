"""Tracks in YouTube-VIS's layout: whose average precision is measured from their masks, which may overlap.

    ground truth   {videos: [{id, length, ...}], annotations: [{id, video_id, category_id, iscrowd, segmentations}],
                   categories: [{id, name}]}
    predictions    [{video_id, category_id, score, segmentations}]

`segmentations` holds run lengths for each frame, or null where the track is not seen. Intersections are counted on the
runs, so that no mask is unpacked.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError, EvaluationError
from ...rle import decode_runs
from ..metrics.track_precision import PredictedTrack, TrackPrecision, TrackPrecisionScores, TrueTrack

__all__ = ["YoutubeVisTruth", "find_documents", "read_predictions", "score_tracks"]

Integers = npt.NDArray[np.int64]
Masks = Sequence[Mapping[str, Any] | None]

TRUTH = "ytvis_gt.json"
PREDICTIONS = "ytvis_pred"  # .json; others may follow it, as in ytvis_pred_dense.json
EXPORTED = "results.json"  # what a run's export is called


@dataclass(frozen=True, slots=True, eq=False)
class YoutubeVisTruth:
    """A ground truth document that was read.

    Attributes:
        document: the file.
        labels: name of each category id.
        tracks: by video id, in the order of the document.
    """

    document: Path
    labels: Mapping[int, str]
    tracks: Mapping[int, Sequence[Mapping[str, Any]]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """EvaluationError where it is no such document."""
        content = _read_json(path)
        try:
            labels = {int(entry["id"]): str(entry.get("name", entry["id"])) for entry in content["categories"]}
            tracks: dict[int, list[Mapping[str, Any]]] = {video["id"]: [] for video in content["videos"]}
            for track in content["annotations"]:
                if not track["id"]:
                    raise EvaluationError(f"{path} has a track of id 0, expected ids from 1")
                tracks[track["video_id"]].append(track)
                _check(track, path)
        except (KeyError, TypeError, AttributeError) as error:
            raise EvaluationError(
                f"{path} is no YouTube-VIS ground truth ({type(error).__name__}: {error}), expected videos, "
                "annotations with segmentations, and categories"
            ) from None
        return cls(path, labels, tracks)


def read_predictions(path: Path, truth: YoutubeVisTruth) -> dict[int, list[Mapping[str, Any]]]:
    """Predicted tracks by video id; EvaluationError where it is no list of them, or of other videos."""
    content = _read_json(path)
    tracks: dict[int, list[Mapping[str, Any]]] = {video: [] for video in truth.tracks}
    try:
        for track in content:
            if track["video_id"] not in tracks:
                raise EvaluationError(
                    f"{path} predicts video {track['video_id']!r}, expected one of those in {truth.document}"
                )
            float(track["score"])
            _check(track, path)
            tracks[track["video_id"]].append(track)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EvaluationError(
            f"{path} is no YouTube-VIS result ({type(error).__name__}: {error}), expected a list of video_id, "
            "category_id, score and segmentations"
        ) from None
    return tracks


def score_tracks(truth: YoutubeVisTruth, predictions: Path) -> TrackPrecisionScores:
    """Average precision of a result document, one video's masks at a time.

    Raises:
        EvaluationError: it cannot be read, or its masks are damaged or do not fit.
    """
    predicted = read_predictions(predictions, truth)
    precision = TrackPrecision(list(truth.labels))
    for video in sorted(truth.tracks):
        try:
            _add_video(precision, truth.tracks[video], predicted[video])
        except (ConfigError, EvaluationError) as error:
            raise EvaluationError(f"video {video}: {error}") from None
    return precision.result()


def find_documents(ground_truth: Path, predictions: Path) -> tuple[Path, dict[str, Path]] | None:
    """Ground truth and results, each called as its scores are, where there are both.

    `ytvis_pred.json` gives `video_ap`, `ytvis_pred_<name>.json` gives `video_ap_<name>`.
    """
    truth = ground_truth if ground_truth.is_file() else ground_truth / TRUTH
    if not truth.is_file():
        return None
    if predictions.is_file():
        return truth, {"video_ap": predictions}
    found = sorted(predictions.glob(f"{PREDICTIONS}*.json"), key=lambda path: path.stem)
    named = {f"video_ap{path.stem.removeprefix(PREDICTIONS)}": path for path in found}
    if not named and (predictions / EXPORTED).is_file():
        named = {"video_ap": predictions / EXPORTED}
    return (truth, named) if named else None


def _add_video(
    precision: TrackPrecision, truth: Sequence[Mapping[str, Any]], predicted: Sequence[Mapping[str, Any]]
) -> None:
    true = [_Tube.of(track["segmentations"]) for track in truth]
    guessed = [_Tube.of(track["segmentations"]) for track in predicted]
    iou = np.zeros((len(truth), len(predicted)))
    for row, (tube, track) in enumerate(zip(true, truth, strict=True)):
        for column, (other, guess) in enumerate(zip(guessed, predicted, strict=True)):
            if track["category_id"] == guess["category_id"]:
                shared = tube.shared(other)
                union = tube.pixels + other.pixels - shared
                iou[row, column] = shared / union if union else 0.0
    precision.add(
        [
            TrueTrack(track["category_id"], bool(track.get("iscrowd", 0)), _stated_area(track, tube))
            for track, tube in zip(truth, true, strict=True)
        ],
        [
            PredictedTrack(track["category_id"], float(track["score"]), tube.area)
            for track, tube in zip(predicted, guessed, strict=True)
        ],
        iou,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Tube:
    """A track's masks as runs on one line, on which the frames lie one after the other."""

    starts: Integers
    ends: Integers
    before: Integers  # pixels in the runs before each
    pixels: int
    shown: int  # frames with pixels
    sizes: tuple[tuple[int, int] | None, ...]

    @classmethod
    def of(cls, masks: Masks) -> Self:
        runs = [decode_runs(mask) if mask else (np.zeros(0, np.int64),) * 2 for mask in masks]
        sizes = tuple((int(mask["size"][0]), int(mask["size"][1])) if mask else None for mask in masks)
        offsets = _offsets(len(masks))
        starts = np.concatenate([run[0] + offset for run, offset in zip(runs, offsets, strict=True)] or [_EMPTY])
        ends = np.concatenate([run[1] + offset for run, offset in zip(runs, offsets, strict=True)] or [_EMPTY])
        sums = np.cumsum(ends - starts)
        pixels = int(sums[-1]) if len(sums) else 0
        return cls(starts, ends, sums - (ends - starts), pixels, sum(len(run[0]) > 0 for run in runs), sizes)

    @property
    def area(self) -> float:
        """Mean over the frames that show it."""
        return self.pixels / self.shown if self.shown else 0.0

    def shared(self, other: "_Tube") -> int:
        """Pixels that both have."""
        if len(self.sizes) != len(other.sizes):
            raise EvaluationError(f"tracks have {len(self.sizes)} and {len(other.sizes)} frames, expected the same")
        for own, theirs in zip(self.sizes, other.sizes, strict=True):
            if own and theirs and own != theirs:
                raise EvaluationError(f"masks are {own} and {theirs} (height, width), expected one size")
        if not self.pixels or not other.pixels:
            return 0
        return int((self._covered(other.ends) - self._covered(other.starts)).sum())

    def _covered(self, positions: Integers) -> Integers:
        """How many pixels lie before each position."""
        run = np.searchsorted(self.starts, positions, side="right") - 1
        within = np.minimum(positions - self.starts[run], self.ends[run] - self.starts[run])
        return np.where(run < 0, 0, self.before[run] + within)


_EMPTY: Integers = np.zeros(0, np.int64)
FRAME_SPACE = 1 << 32  # more than a frame has pixels


def _offsets(frames: int) -> Iterable[int]:
    return range(0, frames * FRAME_SPACE, FRAME_SPACE)


def _stated_area(track: Mapping[str, Any], tube: _Tube) -> float:
    """The mean that the reference takes: of the areas that are stated and not 0."""
    areas = [area for area in track.get("areas", ()) if area]
    return sum(areas) / len(areas) if areas else tube.area


def _check(track: Mapping[str, Any], path: Path) -> None:
    if not isinstance(track["segmentations"], list) or not isinstance(track["category_id"], int):
        raise EvaluationError(f"{path} has a track without a list of segmentations, expected run lengths or null each")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EvaluationError(f"cannot read {path} ({error}), expected a JSON document") from None

"""Ground truth and predictions in any of the layouts, told apart by what lies at their paths."""

from dataclasses import dataclass
from pathlib import Path

from ...errors import ConfigError, EvaluationError
from .mots_text import MotsFolder, is_mots
from .panoptic_folders import PanopticFolder
from .panoptic_sides import PanopticPredictions, PanopticTruth
from .run_predictions import RunPredictions, is_run
from .sides import Predictions, Truth
from .youtube_vis import find_documents

__all__ = ["Inputs", "open_inputs"]

AP = "ap"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What there is to score.

    Attributes:
        truth, predictions: the two sides; None where there are tracks alone.
        tracks: YouTube-VIS ground truth, and results by the name of their scores; None where there are none.
    """

    truth: Truth | None
    predictions: Predictions | None
    tracks: tuple[Path, dict[str, Path]] | None

    @property
    def metrics(self) -> tuple[str, ...]:
        """What can be measured."""
        of_frames = self.truth.metrics if self.truth is not None else ()
        return of_frames if AP in of_frames or not self.tracks else (*of_frames, AP)

    def chosen(self, metrics: tuple[str, ...] | None) -> tuple[str, ...]:
        """Those that were asked for, or all; ConfigError for one that cannot be measured here."""
        for metric in metrics or ():
            if metric not in self.metrics:
                raise ConfigError(
                    f"{metric!r} cannot be measured on this ground truth, expected some of {', '.join(self.metrics)}"
                )
        return self.metrics if metrics is None else metrics


def open_inputs(ground_truth: Path, predictions: Path) -> Inputs:
    """Read the documents of both sides.

    Raises:
        EvaluationError: a side is missing or cannot be read, or the two do not go together.
    """
    for path in (ground_truth, predictions):
        if not path.exists():
            raise EvaluationError(f"{path} is not there, expected a folder of annotations, or the JSON document in it")
    maps_alone = ground_truth.is_file() and _is_panoptic(ground_truth)
    tracks = None if maps_alone else find_documents(ground_truth, predictions)
    if is_mots(ground_truth):
        if not is_mots(predictions):
            raise EvaluationError(f"{predictions} holds no sequence, expected files <sequence>.txt as ground truth has")
        guessed = MotsFolder(predictions)
        return Inputs(MotsFolder(ground_truth, guessed), guessed, None)
    if tracks is not None and not _is_panoptic(ground_truth):
        return Inputs(None, None, tracks)
    truth = PanopticTruth(PanopticFolder.read(ground_truth))
    if is_run(predictions):
        return Inputs(truth, RunPredictions(predictions, truth.labels), None)
    return Inputs(truth, PanopticPredictions(PanopticFolder.read(predictions)), tracks)


def _is_panoptic(path: Path) -> bool:
    """Whether there is a document of panoptic maps besides those of tracks."""
    if path.is_file():
        return b'"segments_info"' in path.read_bytes()
    return any(not file.name.startswith("ytvis") for file in path.glob("*.json"))

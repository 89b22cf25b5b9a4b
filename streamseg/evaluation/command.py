"""The command line of evaluation: `python -m pipelines.evaluate`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError, StreamsegError
from .panoptic_folders import PanopticFolder, score_folders
from .progress import ProgressBar
from .report import class_table, group_table, print_table, write_json

__all__ = ["main"]

PROGRAM = "python -m pipelines.evaluate"


def main(arguments: Sequence[str]) -> int:
    """0 if everything was scored, 1 if it could not be, 2 for a mistake in the call."""
    try:
        options = _folder_parser().parse_args(arguments)
        return _evaluate_folders(options)
    except StreamsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def _evaluate_folders(options: argparse.Namespace) -> int:
    ground_truth, predictions = PanopticFolder.read(options.ground_truth), PanopticFolder.read(options.predictions)
    document = {metric: METRICS[metric](ground_truth, predictions) for metric in dict.fromkeys(options.metrics)}
    if options.output:
        write_json(options.output, document)
    return 0


def _panoptic_quality(ground_truth: PanopticFolder, predictions: PanopticFolder) -> dict[str, Any]:
    with ProgressBar("frames") as progress:
        scores = score_folders(ground_truth, predictions, progress=progress)
    print_table(class_table(scores, ground_truth.labels))
    print_table(group_table(scores))
    return scores.to_dict()


# Each prints its tables and returns its part of the JSON document.
METRICS: dict[str, Callable[[PanopticFolder, PanopticFolder], dict[str, Any]]] = {"pq": _panoptic_quality}


def _folder_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Score predictions against ground truth, in COCO's panoptic layout or VIPSeg's."
    )
    parser.add_argument("--ground-truth", type=Path, required=True, metavar="DIR", help="or the JSON document in it")
    parser.add_argument("--predictions", type=Path, required=True, metavar="DIR", help="or the JSON document in it")
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=["pq"], help="default: pq, panoptic quality")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the scores as JSON")
    return parser

"""The command line of evaluation: `python -m pipelines.evaluate`, for folders and for a model on its world."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError, StreamsegError
from ..segmenter import Segmenter
from .panoptic_folders import PanopticFolder, score_folders
from .progress import ProgressBar
from .report import class_table, group_table, print_table, write_json
from .world_report import evaluate_world, world_tables

__all__ = ["main"]

PROGRAM = "python -m pipelines.evaluate"


def main(arguments: Sequence[str]) -> int:
    """0 if everything was scored, 1 if it could not be, 2 for a mistake in the call."""
    try:
        if arguments and arguments[0] == "world":
            return _evaluate_world(_world_parser().parse_args(arguments[1:]))
        return _evaluate_folders(_folder_parser().parse_args(arguments))
    except StreamsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def _evaluate_folders(options: argparse.Namespace) -> int:
    ground_truth, predictions = PanopticFolder.read(options.ground_truth), PanopticFolder.read(options.predictions)
    document = {metric: METRICS[metric](ground_truth, predictions) for metric in dict.fromkeys(options.metrics)}
    if options.output:
        write_json(options.output, document)
    return 0


def _evaluate_world(options: argparse.Namespace) -> int:
    with ProgressBar("pictures") as progress:
        report = evaluate_world(
            _load(options, "fp32"),
            pictures=options.images,
            tuning_pictures=options.tuning_images,
            seed=options.seed,
            other=None if options.precision == "fp32" else _load(options, options.precision),
            progress=progress,
        )
    for made in world_tables(report):
        print_table(made)
    if options.output:
        write_json(options.output, report.to_dict())
    return 0


def _load(options: argparse.Namespace, precision: str) -> Segmenter:
    return Segmenter.load(
        options.model, options.weights, device=options.device, precision=precision, min_objectness=0.0
    )


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
        prog=PROGRAM,
        description="Score predictions against ground truth, in COCO's panoptic layout or VIPSeg's. "
        f"`{PROGRAM} world` scores a model on pictures of the procedural world.",
    )
    parser.add_argument("--ground-truth", type=Path, required=True, metavar="DIR", help="or the JSON document in it")
    parser.add_argument("--predictions", type=Path, required=True, metavar="DIR", help="or the JSON document in it")
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=["pq"], help="default: pq, panoptic quality")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the scores as JSON")
    return parser


def _world_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} world",
        description="Score a model on pictures of the procedural world that no training has used: compositions that it "
        "was trained on, new ones, and shapes that it was never shown; with its two classifiers together and alone.",
    )
    parser.add_argument("--model", default="demo", help="default: %(default)s")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="a checkpoint, instead of the model's own weights")
    parser.add_argument("--images", type=int, default=200, help="pictures of each kind (default: %(default)s)")
    parser.add_argument(
        "--tuning-images", type=int, default=50, help="others of each kind, to choose alpha and beta on (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="which pictures (default: %(default)s)")
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16", "fp16"),
        default="fp32",
        help="one other than fp32 is compared with it on the same pictures",
    )
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the scores as JSON")
    return parser

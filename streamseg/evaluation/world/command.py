"""`evaluate world`: a model on pictures of the procedural world."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ...segmenter import Segmenter
from ..arguments import Parser
from ..progress import ProgressBar
from ..reports.tables import print_table, write_json
from .report import evaluate_world, world_tables

__all__ = ["main"]


def main(arguments: Sequence[str], program: str) -> int:
    """Score a model, print the tables, write the document."""
    options = _parser(program).parse_args(arguments)
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


def _parser(program: str) -> argparse.ArgumentParser:
    parser = Parser(
        prog=program,
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

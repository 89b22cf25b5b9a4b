"""`evaluate dataset`: a model on a public data set, by the published protocol."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from ...fcclip.spec import DEFAULT_MODEL
from ..arguments import Parser
from ..progress import ProgressBar
from ..reports.tables import print_table, write_json
from .protocols import PROTOCOLS, get_protocol
from .run import DatasetReport, Plan, Progress, evaluate_dataset
from .table import class_table, score_table

__all__ = ["Distribute", "main"]

Distribute = Callable[[Plan, int, str | None, Progress], DatasetReport]
"""Evaluates a plan with so many workers, on a cluster or, for None, on this machine."""


def main(arguments: Sequence[str], program: str, *, distribute: Distribute | None = None) -> int:
    """Score, print the tables, write the document.

    Args:
        arguments: after the word `dataset`.
        program: how it was called.
        distribute: what `--workers` and `--ray-address` use; without it they are not offered.
    """
    options = _parser(program, distributed=distribute is not None).parse_args(arguments)
    plan = _plan(options)
    with ProgressBar("pictures") as progress:
        if distribute is not None and (options.workers is not None or options.ray_address is not None):
            report = distribute(plan, 1 if options.workers is None else options.workers, options.ray_address, progress)
        else:
            report = evaluate_dataset(plan, progress=progress)
    if options.per_class:
        print_table(class_table(report))
    print_table(score_table(report))
    if options.output:
        write_json(options.output, report.to_dict())
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    get_protocol(options.name)  # a misspelt name is told before anything else
    return Plan(
        dataset=options.name,
        root=str(options.root),
        model=options.model,
        weights=None if options.weights is None else str(options.weights),
        clip=None if options.clip is None else str(options.clip),
        device=options.device,
        precision=options.precision,
        metrics=tuple(options.metrics or ()),
        limit=options.limit,
        short_side=options.short_side,
        max_long_side=options.max_long_side,
    )


def _parser(program: str, *, distributed: bool) -> Parser:
    parser = Parser(
        prog=program,
        description="Score a model on a public data set by FC-CLIP's published protocol: its words, input size, "
        "metrics and averages. docs/datasets.md says where each data set's files belong.",
    )
    parser.add_argument("--name", required=True, help=", ".join(PROTOCOLS))
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="the data set, or the folder above it")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="default: %(default)s")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="a checkpoint, instead of the published weights")
    parser.add_argument("--clip", type=Path, metavar="FILE", help="CLIP, for weights without it")
    parser.add_argument("--metrics", nargs="+", metavar="METRIC", help="some of pq, ap, miou, vpq, stq (default: all)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pictures, or videos")
    parser.add_argument("--short-side", type=int, metavar="PIXELS", help="input size other than the published")
    parser.add_argument("--max-long-side", type=int, metavar="PIXELS", help="the most of the other side")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32", help="default: %(default)s")
    parser.add_argument("--per-class", action="store_true", help="also show every category")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the scores as JSON, categories included")
    if distributed:
        parser.add_argument("--workers", type=int, metavar="N", help="that many Ray workers, each with its own GPU")
        parser.add_argument("--ray-address", metavar="ADDRESS", help="a running Ray cluster; auto: this machine's")
    return parser

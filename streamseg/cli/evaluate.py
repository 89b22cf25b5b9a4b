"""`streamseg evaluate`: scores, number for number as the reference codes compute them."""

from collections.abc import Sequence

import typer

from .app import app


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
def evaluate(context: typer.Context) -> None:
    """Score predictions or a run against ground truth: PQ, VPQ, STQ, HOTA, MOTA, IDF1, track AP, mIoU, VC."""
    # Options have one home, which `python -m pipelines.evaluate` uses too.
    from ..evaluation.command import run

    raise typer.Exit(run(context.args, context.command_path, more={"dataset": _dataset}))


def _dataset(arguments: Sequence[str], program: str) -> int:
    from ..runtime.dataset_evaluation import dataset_command

    return dataset_command(arguments, program)

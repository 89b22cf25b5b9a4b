"""Score predictions against ground truth, or a model: `python -m pipelines.evaluate --help`."""

import sys
from collections.abc import Sequence

from streamseg.evaluation.command import main


def dataset(arguments: Sequence[str], program: str) -> int:
    """`dataset`, with workers."""
    from streamseg.runtime.dataset_evaluation import dataset_command

    return dataset_command(arguments, program)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], more={"dataset": dataset}))

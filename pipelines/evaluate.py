"""Score predictions against ground truth, or a model: `python -m pipelines.evaluate --help`."""

import sys

from streamseg.evaluation.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`python -m streamseg.benchmark`: what `python -m pipelines.benchmark` runs, from an installed package too."""

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How many machines so many cameras take, on paper: `python -m pipelines.plan STREAMS [options]`."""

import sys

from streamseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["plan", *sys.argv[1:]]))

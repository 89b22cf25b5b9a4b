"""Measure speed as ratios: `python -m pipelines.benchmark model|text|throughput|pipeline|memory|ray|soak`."""

import sys

from streamseg.benchmark.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

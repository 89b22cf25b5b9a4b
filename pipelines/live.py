"""Cameras without end: `python -m pipelines.live rtsp://cam1/main 0 --classes "person; car"`."""

import sys

from streamseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", "--config", "live", *sys.argv[1:]]))

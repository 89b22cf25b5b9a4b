"""Folders of recordings, each file whole and in order, many at once: `python -m pipelines.files DIR --resume`."""

import sys

from streamseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", "--config", "files", *sys.argv[1:]]))

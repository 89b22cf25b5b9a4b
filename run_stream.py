"""The `streamseg run` command from a clone: python run_stream.py SOURCE... [--classes "car; person"] [--output DIR]."""

import sys

from streamseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))

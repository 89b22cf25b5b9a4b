"""Compare the model with stored numbers of the original FC-CLIP: `python -m pipelines.parity CASE [CASE...]`."""

import sys

from streamseg.parity.model_parity import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

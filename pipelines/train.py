"""Train FC-CLIP: `python -m pipelines.train --config configs/train_coco.yaml [key=value ...]`."""

import sys

from streamseg.runtime.train_command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

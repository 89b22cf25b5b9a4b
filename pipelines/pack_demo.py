"""Pack a trained demo model as the package ships it: `python -m pipelines.pack_demo HEAD --clip clip.safetensors`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from streamseg.errors import StreamsegError

SHIPPED = Path(__file__).resolve().parents[1] / "streamseg" / "data" / "models" / "demo.safetensors"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.pack_demo", description=__doc__)
    parser.add_argument("head", type=Path, help="checkpoint of the mask generator, with CLIP inside or not")
    parser.add_argument("--clip", type=Path, help="for a head without CLIP: what `pipelines.train_clip` wrote")
    parser.add_argument("--output", "-o", type=Path, default=SHIPPED, help="default: the package's own file")
    options = parser.parse_args(arguments)

    from streamseg.training.pack import pack_demo

    try:
        packed = pack_demo(options.head, options.output, clip=options.clip)
    except StreamsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{packed.path}: {packed.file_bytes / 1e6:.1f} MB, {packed.token_rows} rows of the token table")
    return 0


if __name__ == "__main__":
    sys.exit(main())

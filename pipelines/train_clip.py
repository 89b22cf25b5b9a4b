"""Train the CLIP of a demo model: `python -m pipelines.train_clip configs/train_demo_clip.yaml --output DIR`."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from streamseg.errors import ConfigError, StreamsegError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 3 stopped before the end, 2 wrong use, 1 failed."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.train_clip", description=__doc__)
    parser.add_argument("config", type=Path, help="YAML file with the settings")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings that differ from the file")
    parser.add_argument("--output", "-o", type=Path, required=True, help="folder; a checkpoint in it is gone on from")
    parser.add_argument("--hours", type=float, help="stop, with everything saved, after this time")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    parser.add_argument("--threads", type=int, help="of the process that trains, on a CPU")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except StreamsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def _run(options: argparse.Namespace) -> int:
    import torch

    from streamseg.training.clip.settings import read_clip_settings
    from streamseg.training.clip.trainer import train_clip

    settings = read_clip_settings(options.config, tuple(options.overrides))
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    finished = train_clip(
        settings, options.output, device=options.device, hours=options.hours, say=partial(print, flush=True)
    )
    return 0 if finished else 3


if __name__ == "__main__":
    sys.exit(main())

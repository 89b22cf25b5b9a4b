"""The training command: `python -m pipelines.train --config FILE [key=value ...]`."""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import ConfigError, StreamsegError
from ..training.launch import launch
from ..training.loop import OnValidate
from ..training.settings import TrainSettings, load_settings

__all__ = ["main"]


def main(arguments: Sequence[str], *, on_validate: OnValidate | None = None) -> int:
    """Train; 0 when all steps are done, 130 when interrupted and saved, 1 for a failed run, 2 for a wrong call."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("streamseg").setLevel(logging.INFO)
    try:
        settings = load_settings(options.config, options.settings)
        if options.output is not None:
            settings = replace(settings, output=str(options.output))
        finished = _train(options, settings, on_validate)
    except StreamsegError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        print("stopped without saving", file=sys.stderr)
        return 128 + signal.SIGINT
    if not finished:
        print("go on with the same command and --resume", file=sys.stderr)
        return 128 + signal.SIGINT
    print(f"weights are in {settings.output}: head.safetensors, model_official.pth")
    return 0


def _train(options: argparse.Namespace, settings: TrainSettings, on_validate: OnValidate | None) -> bool:
    if options.runtime == "local":
        return launch(settings, workers=options.workers, resume=options.resume, on_validate=on_validate)
    from .training import train_on_ray  # only here: ray is an extra

    return train_on_ray(
        settings, workers=options.workers, resume=options.resume, address=options.ray_address, on_validate=on_validate
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.train",
        description="Train FC-CLIP's mask generator on a frozen CLIP. Settings come from a YAML file; "
        "key=value changes single ones, such as optimizer.lr=2e-4.",
    )
    parser.add_argument("settings", nargs="*", metavar="key=value", help="a setting, instead of the file's")
    parser.add_argument("--config", required=True, type=Path, help="YAML file, such as configs/train_coco.yaml")
    parser.add_argument("--output", type=Path, help="folder for checkpoints, weights, metrics and pictures")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the output folder")
    parser.add_argument("--workers", type=int, default=1, help="processes that share each batch (default: %(default)s)")
    parser.add_argument("--runtime", choices=("local", "ray"), default="local", help="where they run (default: local)")
    parser.add_argument("--ray-address", help="ray: a running cluster to join, such as auto; default: a local one")
    return parser

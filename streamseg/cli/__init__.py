"""The `streamseg` command.

Errors are one line on stderr: 2 for a wrong use, 1 for a run that failed, 130 for Ctrl-C. Nothing heavy is imported
before a command needs it, so `--help` is quick.
"""

from . import (  # noqa: F401  each adds its commands
    about,
    demo,
    evaluate,
    export,
    plan,
    probe,
    query,
    run,
    segment,
    stats,
    streams,
    view,
    world,
)
from .app import main

__all__ = ["main"]

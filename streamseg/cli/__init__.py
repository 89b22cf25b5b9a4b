"""The `streamseg` command.

Errors are one line on stderr: 2 for a wrong use, 1 for a run that failed, 130 for Ctrl-C. Nothing heavy is imported
before a command needs it, so `--help` is quick.
"""

from . import about, demo, evaluate, export, probe, query, run, segment, stats, view, world  # noqa: F401  each adds its commands
from .app import main

__all__ = ["main"]

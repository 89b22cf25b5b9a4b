"""The command line of evaluation: `python -m pipelines.evaluate` and `streamseg evaluate` are the same.

A first word says what is evaluated; without one, predictions are scored against ground truth. A sub-command is a
function in `COMMANDS` that takes its arguments and its program's name, and imports what it needs when it is called.
"""

import sys
from collections.abc import Callable, Sequence

from ..errors import ConfigError, StreamsegError

__all__ = ["COMMANDS", "PROGRAM", "main"]

PROGRAM = "python -m pipelines.evaluate"


def main(arguments: Sequence[str], program: str = PROGRAM) -> int:
    """0 if everything was scored, 1 if it could not be, 2 for a mistake in the call."""
    try:
        return run(arguments, program)
    except StreamsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def run(arguments: Sequence[str], program: str = PROGRAM) -> int:
    """As `main`, but raises what goes wrong."""
    word = arguments[0] if arguments else ""
    if word in COMMANDS:
        return COMMANDS[word](arguments[1:], f"{program} {word}")
    if word and not word.startswith("-"):
        raise ConfigError(f"{word!r} cannot be evaluated, expected options or one of {', '.join(COMMANDS)}")
    return _predictions(arguments, program)


def _predictions(arguments: Sequence[str], program: str) -> int:
    from .predictions_command import main as command

    return command(arguments, program, list(COMMANDS))


def _world(arguments: Sequence[str], program: str) -> int:
    from .world_command import main as command

    return command(arguments, program)


def _tracking(arguments: Sequence[str], program: str) -> int:
    from .tracking.command import main as command

    return command(arguments, program)


def _speed(arguments: Sequence[str], program: str) -> int:
    from .speed_command import main as command

    return command(arguments, program)


COMMANDS: dict[str, Callable[[Sequence[str], str], int]] = {"speed": _speed, "world": _world, "tracking": _tracking}

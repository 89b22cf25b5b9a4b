"""The command line of evaluation: `python -m pipelines.evaluate` and `streamseg evaluate` are the same.

A first word says what is evaluated; without one, predictions are scored against ground truth. A sub-command is a
function in `COMMANDS` that takes its arguments and its program's name, and imports what it needs when it is called.
A door may bring others, which need what evaluation itself may not import: workers of a cluster.
"""

import sys
from collections.abc import Callable, Mapping, Sequence

from ..errors import ConfigError, StreamsegError

__all__ = ["COMMANDS", "PROGRAM", "Command", "main", "run"]

PROGRAM = "python -m pipelines.evaluate"

Command = Callable[[Sequence[str], str], int]


def main(arguments: Sequence[str], program: str = PROGRAM, *, more: Mapping[str, Command] | None = None) -> int:
    """0 if everything was scored, 1 if it could not be, 2 for a mistake in the call; `more` are the door's own."""
    try:
        return run(arguments, program, more=more)
    except StreamsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def run(arguments: Sequence[str], program: str = PROGRAM, *, more: Mapping[str, Command] | None = None) -> int:
    """As `main`, but raises what goes wrong."""
    commands = COMMANDS | dict(more or {})
    word = arguments[0] if arguments else ""
    if word in commands:
        return commands[word](arguments[1:], f"{program} {word}")
    if word and not word.startswith("-"):
        raise ConfigError(f"{word!r} cannot be evaluated, expected options or one of {', '.join(commands)}")
    return _predictions(arguments, program, list(commands))


def _predictions(arguments: Sequence[str], program: str, commands: Sequence[str]) -> int:
    from .predictions_command import main as command

    return command(arguments, program, commands)


def _world(arguments: Sequence[str], program: str) -> int:
    from .world.command import main as command

    return command(arguments, program)


def _tracking(arguments: Sequence[str], program: str) -> int:
    from .tracking.command import main as command

    return command(arguments, program)


def _speed(arguments: Sequence[str], program: str) -> int:
    from .speed_command import main as command

    return command(arguments, program)


def _dataset(arguments: Sequence[str], program: str) -> int:
    from .datasets.command import main as command

    return command(arguments, program)


COMMANDS: dict[str, Command] = {"dataset": _dataset, "speed": _speed, "world": _world, "tracking": _tracking}

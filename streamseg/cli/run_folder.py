"""What the commands that look at a run's folder share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..runs.folder import RunFolder

__all__ = ["RunArgument", "StreamsOption", "chosen_streams"]

RunArgument = Annotated[
    Path, typer.Argument(help="The folder of a run: finished, killed or going on.", metavar="RUN_DIR")
]
StreamsOption = Annotated[
    list[str] | None,
    typer.Option("--stream", help="Only this stream; may be repeated. Default: all of them.", metavar="NAME"),
]


def chosen_streams(run: "RunFolder", names: list[str] | None) -> list[str]:
    """Those that were named, each once, or all; ConfigError for one that the run does not have."""
    for name in names or ():
        run.stream(name)
    return list(dict.fromkeys(names)) if names else run.streams

"""The command's frame: arguments in, exit code out, and one line for every mistake."""

import errno
import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ..errors import ConfigError, StreamsegError
from .text import printable

__all__ = ["app", "main"]

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

app = typer.Typer(
    name="streamseg",
    help="Open-vocabulary panoptic segmentation: every pixel gets a segment, in words of your own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    _open_closed_streams()
    try:
        code = typer.main.get_command(app).main(
            list(sys.argv[1:] if arguments is None else arguments), prog_name="streamseg", standalone_mode=False
        )
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has gone; nothing is left to say
        _close_stdout()
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except StreamsegError as error:
        _raise_if_debugging()
        return fail(str(error), 2 if isinstance(error, ConfigError) else 1)
    except Exception as error:
        usage = _usage_message(error) or _memory_message(error) or _disk_message(error)
        if usage is None:
            raise
        _raise_if_debugging()
        return fail(*usage)
    return _interrupted() if code == 128 + signal.SIGINT else int(code or 0)


def fail(message: str, code: int) -> int:
    print(printable(f"error: {' '.join(message.split())}", sys.stderr), file=sys.stderr)
    return code


def _interrupted() -> int:
    print("interrupted", file=sys.stderr)
    return 128 + signal.SIGINT


def _raise_if_debugging() -> None:
    """Called while an error is handled: STREAMSEG_DEBUG=1 shows where it came from."""
    if os.environ.get("STREAMSEG_DEBUG", "") not in ("", "0"):
        raise


def _usage_message(error: Exception) -> tuple[str, int] | None:
    """What the argument parser complains about. Its classes moved between versions of typer; their shape did not."""
    if not hasattr(error, "format_message"):
        return None
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "streamseg"
    return f"{error.format_message().rstrip('.')}; `{command} --help` lists what there is", 2


def _memory_message(error: Exception) -> tuple[str, int] | None:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out of memory: lower --short-side, or take a smaller --model", 1
    return None


def _disk_message(error: Exception) -> tuple[str, int] | None:
    """Of what is printed: files are written by others, who know their names."""
    if not isinstance(error, OSError) or error.errno not in DISK_ERRORS or error.filename is not None:
        return None
    _close_stdout()
    return f"cannot write to standard output: {error.strerror}; make room, or redirect it elsewhere", 1


def _open_closed_streams() -> None:
    """`>&-` leaves no stream, and its number to the next file that is opened."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as the process lives


def _close_stdout() -> None:
    """So that nothing more is tried, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_version(value: bool) -> None:
    if value:
        from .. import __version__

        print(f"streamseg {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass

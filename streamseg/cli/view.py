"""`streamseg view`: what a run found, drawn over its video."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError, SourceError
from .app import app
from .options import QuietOption
from .run_folder import RunArgument, StreamsOption, chosen_streams
from .text import printable, progress_bar
from .values import one_of, seconds

if TYPE_CHECKING:
    from ..runs.folder import RunFolder
    from ..runs.view import View
    from ..sources.base import Source


@app.command()
def view(
    run: RunArgument,
    stream: StreamsOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Video file: .mp4, .mkv or .mov. Default: view.mp4 in the stream's folder.",
            metavar="FILE",
        ),
    ] = None,
    video: Annotated[
        str | None, typer.Option(help="Where the stream's video is now, if it has moved.", metavar="SOURCE")
    ] = None,
    start: Annotated[
        float | None,
        typer.Option(help="From here on, in the stream's own time.", metavar="SECONDS", parser=seconds("--start")),
    ] = None,
    end: Annotated[float | None, typer.Option(help="Up to here.", metavar="SECONDS", parser=seconds("--end"))] = None,
    things_only: Annotated[bool, typer.Option("--things-only", help="Leave stuff out.")] = False,
    track: Annotated[
        list[int] | None, typer.Option(help="Only this track; may be repeated.", metavar="ID", min=1)
    ] = None,
    color_by: Annotated[
        Any,
        typer.Option(
            help="A colour for each track, or for each category.",
            metavar="id|category",
            parser=one_of("--color-by", ("id", "category")),
        ),
    ] = "id",
    show_ids: Annotated[bool, typer.Option("--ids", help="Write ids instead of scores.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Draw what a run found over its video; where that is gone, over black."""
    from ..runs.folder import RunFolder
    from ..runs.view import VIEW, View

    folder = RunFolder.open(run)
    names = chosen_streams(folder, stream)
    if len(names) > 1 and (output is not None or video is not None):
        option = "--output" if output is not None else "--video"
        raise ConfigError(f"{option} is for one stream, and there are {len(names)}: choose one with --stream")
    shown = View(start, end, things_only, frozenset(track or ()), color_by, show_ids)
    targets = {name: output or folder.stream(name) / VIEW for name in names}
    for path in targets.values():
        if path.exists() and not overwrite:
            raise ConfigError(f"{path} exists already: choose another --output, or replace it with --overwrite")
    for name, path in targets.items():
        _render(folder, name, path, video, shown, quiet)


def _render(folder: "RunFolder", name: str, path: Path, video: str | None, shown: "View", quiet: bool) -> None:
    from ..runs.view import write_view

    facts = folder.manifest["streams"][name]
    source = _source(name, facts, video, quiet)
    recording = _recording(facts, video) if source is not None else None
    if recording is not None and path.exists() and os.path.samefile(path, recording):
        raise ConfigError(f"{path} is the video itself: choose another --output")
    whole = shown.start_seconds is None and shown.end_seconds is None
    total = facts.get("totals", {}).get("emitted") if whole else None
    with progress_bar(quiet=quiet) as bar:
        frames, without = write_view(
            folder,
            name,
            path,
            source,
            shown,
            sound=recording,
            track=lambda each: bar.track(each, total=total, description=printable(name, sys.stderr)),
        )
    if quiet:
        return
    lacking = f", {without} of them without a picture" if source is not None and without else ""
    print(printable(f"{frames} frame{'' if frames == 1 else 's'} in {path}{lacking}", sys.stdout))


def _source(name: str, facts: dict[str, Any], video: str | None, quiet: bool) -> "Source | None":
    """Where the pictures are. Without any, masks are drawn on black, and the user is told why."""
    from ..runs.footage import find_footage, missing_footage, open_footage

    if video is not None:
        return open_footage(video, name)
    reason = missing_footage(facts)
    if reason is None:
        try:
            return find_footage(facts, name)
        except SourceError as error:
            reason = str(error)
    if not quiet:
        text = f"{name}: drawn on black, since {reason}; --video says where the pictures are"
        print(printable(text, sys.stderr), file=sys.stderr)
    return None


def _recording(facts: dict[str, Any], video: str | None) -> Path | None:
    """The file that the pictures come from, if it is one."""
    path = Path(video if video is not None else facts.get("recording") or "")
    return path if path.is_file() else None

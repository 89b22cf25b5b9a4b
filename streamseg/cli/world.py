"""`streamseg world`: video of the procedural world, and its truth."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from .app import app
from .options import QuietOption
from .text import printable, progress_bar

if TYPE_CHECKING:
    from ..world.video import World


@app.command()
def world(
    options: Annotated[
        list[str] | None,
        typer.Argument(
            help="Any dial as KEY=VALUE, such as difficulty=0.8 lookalikes=1 cut_seconds=4.",
            metavar="[KEY=VALUE]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which world.", min=0)] = 0,
    seconds: Annotated[float, typer.Option(help="How long.")] = 10.0,
    size: Annotated[str, typer.Option(help="In pixels.", metavar="WIDTHxHEIGHT")] = "848x480",
    fps: Annotated[str, typer.Option(help="Frames a second, such as 25 or 30000/1001.", metavar="RATE")] = "25",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Video file: .mp4, .mkv or .mov.", metavar="FILE")
    ] = Path("world.mp4"),
    ground_truth: Annotated[
        Path | None,
        typer.Option(help="Folder for masks and annotations, as video panoptic data sets lay them out.", metavar="DIR"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Render a video of the procedural world, with exact ground truth."""
    from ..sources.world import PREFIX, parse_world

    named = {"seed": seed, "seconds": seconds, "size": size, "fps": fps}
    for option in options or ():
        key, _, value = option.partition("=")
        if key in named:
            raise ConfigError(
                f"{option!r} stands among the dials, expected as an option: write --{key} {value}".rstrip()
            )
    scenery = parse_world(PREFIX + ",".join([*(f"{key}={value}" for key, value in named.items()), *(options or ())]))
    for path in (output, *([ground_truth / "panoptic_gt.json"] if ground_truth else [])):
        if path.exists() and not overwrite:
            raise ConfigError(f"{path} exists already: choose another place, or replace it with --overwrite")
    _render(scenery, output, ground_truth, quiet)


def _render(scenery: "World", output: Path, ground_truth: Path | None, quiet: bool) -> None:
    from ..sinks.video import VideoWriter
    from ..world.ground_truth import GroundTruthWriter

    with ExitStack() as stack:
        video = stack.enter_context(VideoWriter(output, scenery.fps))
        truth = None
        if ground_truth is not None:
            truth = stack.enter_context(GroundTruthWriter(ground_truth, output.stem, pictures=True))
        bar = stack.enter_context(progress_bar(quiet=quiet))
        for frame in bar.track(scenery, total=len(scenery), description="rendering"):
            video.write(frame.rgb)
            if truth is not None:
                truth.write(frame)
    if not quiet:
        where = f", their truth in {ground_truth}" if ground_truth is not None else ""
        print(printable(f"{len(scenery)} frames in {output}{where}", sys.stdout))

"""`streamseg demo`: the packaged clip through the packaged model."""

from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from ..config.packaged import find_config
from ..config.run import read_settings
from ..config.sources import SourceSettings
from .app import app
from .options import QuietOption
from .run import execute

CLIP = "demo.mp4"


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.", metavar="DIR")] = Path(
        "demo-out"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the output folder.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in the output folder.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Segment and track a clip that comes with the package, by the model that does; nothing is downloaded."""
    with as_file(files("streamseg").joinpath("data", CLIP)) as clip:
        settings = read_settings(find_config("demo"))
        settings = replace(settings, sources=(SourceSettings(str(clip), name="demo"),), output=str(output))
        execute(settings, resume=resume, overwrite=overwrite, quiet=quiet)

"""streamseg export: what a run has recorded, as benchmarks read it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from .app import app
from .options import QuietOption
from .text import printable
from .values import one_of

if TYPE_CHECKING:
    from ..runs.folder import RunFolder
    from ..sinks.documents.records import RecordedStream

KINDS = ("vps", "coco", "mots", "ytvis")  # a test holds them against those that there are


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="The folder of a run, finished or not.", metavar="RUN_DIR")],
    kind: Annotated[
        str,
        typer.Option(
            "--format",
            help="vps: VIPSeg's panoptic video; coco: COCO's panoptic pictures; mots: TrackEval's text; ytvis: "
            "YouTube-VIS results.",
            metavar="|".join(KINDS),
            parser=one_of("--format", KINDS),
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Where to. Default: a folder called like the format, in RUN_DIR.", metavar="DIR")
    ] = None,
    stream: Annotated[
        list[str] | None, typer.Option(help="Only this stream; may be repeated. Default: all of them.", metavar="NAME")
    ] = None,
    stuff: Annotated[bool, typer.Option("--stuff", help="ytvis: list tracks of stuff too.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Compile a benchmark's documents from the records of a run."""
    from ..runs.folder import RunFolder
    from ..sinks.export import export_streams

    if stuff and kind != "ytvis":
        raise ConfigError(f"--stuff goes with --format ytvis, not with {kind}: leave it out")
    folder = RunFolder.open(run)
    streams = _streams(folder, stream)
    target = _target(output if output is not None else folder.path / kind, kind, overwrite)
    export_streams(kind, streams, target, stuff=stuff)
    if not quiet:
        _report(streams, target)


def _streams(folder: "RunFolder", names: list[str] | None) -> "list[RecordedStream]":
    from ..sinks.documents.records import RecordedStream
    from ..vocabulary import Vocabulary

    streams = []
    for name in names or folder.streams:
        path, words = folder.stream(name), folder.manifest["streams"][name].get("vocabulary")
        streams.append(RecordedStream(name, path, None if words is None else Vocabulary.from_dict(words)))
    return streams


def _target(target: Path, kind: str, overwrite: bool) -> Path:
    """The folder to write; nothing but an earlier export is ever replaced."""
    from ..sinks.export import FORMATS

    shown = repr(str(target))
    if target.exists() and not target.is_dir():
        raise ConfigError(f"{shown} is a file, expected a folder: choose another --output")
    present = sorted(path.name for path in target.iterdir()) if target.is_dir() else []
    foreign = [name for name in present if name not in FORMATS[kind].entries]
    if foreign:
        raise ConfigError(f"{shown} holds {foreign[0]!r}, which is no {kind} export: choose another --output")
    if present and not overwrite:
        raise ConfigError(
            f"{shown} holds an earlier export: pass --overwrite to replace it, or choose another --output"
        )
    return target


def _report(streams: "list[RecordedStream]", target: Path) -> None:
    for path in sorted(path for stream in streams for path in stream.torn):
        print(printable(f"{path}: its last line is unfinished and was passed over", sys.stderr), file=sys.stderr)
    videos = [video for stream in streams for video in stream.videos]
    frames = sum(video.frames for video in videos)
    counted = f"{len(videos)} video{'' if len(videos) == 1 else 's'}, {frames} frame{'' if frames == 1 else 's'}"
    print(printable(f"{target}: {counted}", sys.stdout))

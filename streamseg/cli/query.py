"""`streamseg query`: which tracks of a run are what these words say."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from .app import app
from .options import JsonOption, QuietOption
from .run_folder import RunArgument, StreamsOption, chosen_streams
from .text import new_table, print_table, printable

if TYPE_CHECKING:
    from ..runs.query import Answer


@app.command()
def query(
    run: RunArgument,
    words: Annotated[
        str,
        typer.Argument(
            help="What to look for, such as \"red car\"; ',' before synonyms.", metavar='"WORDS"', show_default=False
        ),
    ],
    top: Annotated[int, typer.Option(help="Print at most so many.", metavar="N", min=1)] = 10,
    stream: StreamsOption = None,
    tentative: Annotated[bool, typer.Option("--tentative", help="Take tracks that were never confirmed, too.")] = False,
    model: Annotated[
        str | None, typer.Option(help="If the run does not say which one it was made with.", metavar="NAME")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="If they have moved since the run.", metavar="FILE")] = None,
    clip: Annotated[str | None, typer.Option(help="If it has moved since the run.", metavar="FILE")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find the tracks that fit any words, without the video: `--save jsonl,tracks` keeps what this needs.

    The score is the probability that a track is what you ask for, and none of the categories that the model was trained
    on, nor nothing at all.
    """
    from ..runs.folder import RunFolder
    from ..runs.query import load_model, parse_query, query_tracks, tracks_of

    folder = RunFolder.open(run)
    category, tracks = parse_query(words), tracks_of(folder, chosen_streams(folder, stream))
    segmenter = load_model(folder, model=model, weights=weights, clip=clip, progress=not quiet)
    answers = query_tracks(tracks, category, segmenter, top=top, tentative=tentative)
    if as_json:
        print(json.dumps([answer.to_dict() for answer in answers], indent=2))
    elif answers:
        _print(answers)
    elif not quiet:
        print("no track has ended yet that was ever confirmed; --tentative takes the others, too", file=sys.stderr)


def _print(answers: "Sequence[Answer]") -> None:
    table = new_table("score", "id", "label", "stream", "epoch", "from", "to", "frames")
    for answer in answers:
        track = answer.track
        table.add_row(
            f"{answer.score:.2g}",
            str(track.id),
            printable(answer.label, sys.stdout),
            printable(answer.stream, sys.stdout),
            str(track.epoch),
            _when(track.first_pts, track.first_frame),
            _when(track.last_pts, track.last_frame),
            str(track.frames),
        )
    print_table(table)


def _when(pts: float | None, frame: int) -> str:
    """Minutes and seconds, or the number of the frame where there is no time."""
    if pts is None:
        return f"frame {frame}"
    return f"{int(pts // 60)}:{pts % 60:05.2f}"

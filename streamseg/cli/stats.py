"""`streamseg stats`: how steady a run's results are, and what became of its frames."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError
from .app import app
from .options import QuietOption
from .run_folder import RunArgument, StreamsOption, chosen_streams
from .text import new_table, print_table, printable, progress_bar

MOST_STREAMS = 6
MOST_CATEGORIES = 10
MOST_TRACKS = 5
PLOT_SUFFIX = ".png"
STANDARD_OUTPUT = Path("-")


@app.command()
def stats(
    run: RunArgument,
    stream: StreamsOption = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="Write all numbers as JSON; - for standard output.", metavar="FILE")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them into a PNG.", metavar="FILE")] = None,
    quiet: QuietOption = False,
) -> None:
    """Tell how steady a run is over time, from its records alone: flicker, label flips, births and deaths of tracks.

    Flicker is 1 - IoU of a track's masks in consecutive frames, moved onto each other; births and deaths leave out the
    ends of the stream and scene cuts.
    """
    from ..runs.folder import RunFolder
    from ..runs.stats import run_stats

    if plot is not None and plot.suffix.lower() != PLOT_SUFFIX:
        raise ConfigError(f"--plot is {str(plot)!r}, expected a name that ends in {PLOT_SUFFIX}")
    folder = RunFolder.open(run)
    names = chosen_streams(folder, stream)
    with progress_bar(quiet=quiet) as bar:

        def track(records: Iterable[Any], name: str) -> Iterable[Any]:
            total = folder.manifest["streams"][name].get("totals", {}).get("emitted")
            return bar.track(records, total=total, description=printable(name, sys.stderr))

        found = run_stats(folder, names, track=track)
    document = found.to_dict()
    if as_json is not None:
        _write_json(document, as_json)
    if plot is not None:
        from ..runs.stats_plot import write_plot

        write_plot(found, folder.path.resolve().name, plot)
    if not quiet and as_json != STANDARD_OUTPUT:
        _print(document)
        for path in (as_json, plot):
            if path is not None:
                print(printable(f"written: {path}", sys.stdout))


def _write_json(document: Mapping[str, Any], path: Path) -> None:
    from ..sinks.files import atomic_write

    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if path == STANDARD_OUTPUT:
        sys.stdout.write(printable(text, sys.stdout))
    else:
        atomic_write(path, text.encode("utf-8", "backslashreplace"))


def _print(document: Mapping[str, Any]) -> None:
    streams: dict[str, Mapping[str, Any]] = dict(document["streams"])
    if len(streams) > MOST_STREAMS:
        print(f"{len(streams)} streams together: --stream shows single ones, --json lists them all")
        streams = {}
    if len(streams) != 1:
        streams["all"] = document["overall"]
    table = new_table("", *(printable(name, sys.stdout) for name in streams))
    for name, cells in _rows(list(streams.values())):
        if any(cell != "-" for cell in cells):
            table.add_row(name, *cells)
    print_table(table)
    overall = document["overall"]
    _print_categories(overall["categories"])
    _print_worst(overall["most_flicker"])


def _rows(streams: Sequence[Mapping[str, Any]]) -> Iterable[tuple[str, list[str]]]:
    """What is said of every stream, one line each; '-' for what cannot be told."""
    for name, path, form in (
        ("frames", ("records",), "{:,}"),
        ("failed", ("failed",), "{:,}"),
        ("decoded", ("decoded",), "{:,}"),
        ("seconds", ("seconds",), "{:,.1f}"),
        ("epochs", ("epochs",), "{:,}"),
        ("segments a frame", ("segments_per_frame", "mean"), "{:.1f}"),
        ("void", ("void_share",), "{:.1%}"),
        ("flicker, things", ("flicker", "things"), "{:.3f}"),
        ("flicker, stuff", ("flicker", "stuff"), "{:.3f}"),
        ("area jitter, things", ("area_jitter", "things"), "{:.3f}"),
        ("tracks of things", ("tracks", "things"), "{:,}"),
        ("  confirmed", ("tracks", "confirmed_share"), "{:.1%}"),
        ("  seen in < 5 frames", ("tracks", "short_share"), "{:.1%}"),
        ("  mean frames", ("tracks", "mean_frames"), "{:.1f}"),
        ("  seen again", ("tracks", "returns"), "{:,}"),
        ("births and deaths a second", ("churn", "per_second"), "{:.2f}"),
        ("births and deaths per 100 frames", ("churn", "per_100_frames"), "{:.1f}"),
        ("label flips", ("label_flips", "count"), "{:,}"),
        ("  per track-minute", ("label_flips", "per_track_minute"), "{:.2f}"),
    ):
        yield name, [_cell(stream, path, form) for stream in streams]
    yield "dropped", [_counts(stream["dropped"]) for stream in streams]
    yield "events", [_counts(stream["events"]) for stream in streams]
    yield "latency p50, p95, p99, ms", [_latency(stream["latency_seconds"]) for stream in streams]


def _cell(values: Mapping[str, Any], path: Sequence[str], form: str) -> str:
    value: Any = values
    for key in path:
        value = value[key]
    return "-" if value is None else form.format(value)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "-"


def _latency(percentiles: Mapping[str, float] | None) -> str:
    return "-" if percentiles is None else ", ".join(f"{1000 * value:.0f}" for value in percentiles.values())


def _print_categories(categories: Sequence[Mapping[str, Any]]) -> None:
    if not categories:
        return
    table = new_table("category", "kind", "share of frame", "segments", "tracks", "flicker", "flips to it")
    for entry in categories[:MOST_CATEGORIES]:
        table.add_row(
            printable(entry["label"], sys.stdout),
            "thing" if entry["isthing"] else "stuff",
            f"{entry['area_share']:.1%}",
            f"{entry['segments']:,}",
            f"{entry['tracks']:,}",
            "-" if entry["flicker"] is None else f"{entry['flicker']:.3f}",
            f"{entry['label_flips_to']:,}",
        )
    print_table(table)
    if len(categories) > MOST_CATEGORIES:
        print(f"{len(categories) - MOST_CATEGORIES} more categories: --json lists them all\n")


def _print_worst(tracks: Sequence[Mapping[str, Any]]) -> None:
    if not tracks:
        return
    table = new_table("flickers most", "flicker", "stream", "epoch", "id", "frames")
    for entry in tracks[:MOST_TRACKS]:
        table.add_row(
            printable(entry["label"], sys.stdout),
            f"{entry['flicker']:.3f}",
            printable(entry["stream"], sys.stdout),
            str(entry["epoch"]),
            str(entry["id"]),
            f"{entry['first_frame']}-{entry['last_frame']}",
        )
    print_table(table)

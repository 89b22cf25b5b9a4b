"""The `streamseg` command.

Errors are one line on stderr: 2 for a wrong use, 1 for a run that failed, 130 for Ctrl-C. Nothing heavy is imported
before a command needs it, so `--help` is quick.
"""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from .errors import ConfigError, SourceError, StreamsegError, VocabularyError
from .vocabulary import BUILTIN_VOCABULARIES, TRAINING_VOCABULARY, Vocabulary, seen_mask

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from .fcclip.spec import ModelSpec
    from .frames import Frame, FrameResult
    from .segmenter import Segmenter

__all__ = ["choose_vocabulary", "main"]

DEFAULT_OUTPUT = Path("streamseg-out")
BACKGROUNDS = ("auto", "none")
WORLD = "world"  # the demo models' default vocabulary

# Millions, the CLIP with its text side included; a test counts them.
PARAMETERS_MILLIONS = {
    "fcclip-convnext-large": 372,
    "fcclip-convnext-base": 200,
    "fcclip-convnext-xxlarge": 1222,
    "fcclip-r50": 123,
    "fcclip-r101": 141,
    "fcclip-r50x4": 199,
    "fcclip-r50x16": 312,
    "fcclip-r50x64": 645,
    "demo": 14,
    "demo-untrained": 14,
}

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
    try:
        code = typer.main.get_command(app).main(
            list(sys.argv[1:] if arguments is None else arguments), prog_name="streamseg", standalone_mode=False
        )
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has gone; nothing is left to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except StreamsegError as error:
        _raise_if_debugging()
        return _fail(str(error), 2 if isinstance(error, ConfigError) else 1)
    except Exception as error:
        usage = _usage_message(error) or _memory_message(error)
        if usage is None:
            raise
        _raise_if_debugging()
        return _fail(*usage)
    return _interrupted() if code == 128 + signal.SIGINT else int(code or 0)


def _fail(message: str, code: int) -> int:
    print(_printable(f"error: {' '.join(message.split())}", sys.stderr), file=sys.stderr)
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


def _whole_number(option: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.strip().isdecimal() or int(text) < 1:
            raise ConfigError(f"{option} is {text!r}, expected a whole number of at least 1")
        return int(text)

    return parse


def _fraction(option: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise ConfigError(f"{option} is {text!r}, expected a number from 0 to 1")
        return value

    return parse


def _one_of(option: str, choices: Sequence[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            nearest = get_close_matches(text, choices, n=1, cutoff=0.4)
            hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
            raise ConfigError(f"{option} is {text!r}{hint}, expected one of {', '.join(choices)}")
        return text

    return parse


def _show_version(value: bool) -> None:
    if value:
        from . import __version__

        print(f"streamseg {__version__}")
        raise typer.Exit


ClassesOption = Annotated[
    str | None,
    typer.Option(
        help="What to look for, in your own words: ';' between categories, ',' before synonyms, ':stuff' or ':thing' "
        "at the end of a category if need be.",
        metavar='"CAR; PERSON; SKY:STUFF"',
    ),
]
BackgroundOption = Annotated[
    str | None,
    typer.Option(
        help=f"Words that compete with yours and become void: 'auto' adds those of {TRAINING_VOCABULARY} ({WORLD} for "
        "demo) to --classes and to files without a background of their own; 'none' adds nothing, so that your words "
        "share every pixel. Default: auto.",
        metavar="auto|none",
        parser=_one_of("--background", BACKGROUNDS),
    ),
]
ModelOption = Annotated[str | None, typer.Option(help="See `streamseg models`.", metavar="NAME")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def segment(
    images: Annotated[
        list[str],
        typer.Argument(help="Pictures, folders of pictures, or globs.", metavar="IMAGE", show_default=False),
    ],
    classes: ClassesOption = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(
            help=f"A built-in vocabulary, a union such as coco+lvis, or a file. Without it, and without --classes: "
            f"{TRAINING_VOCABULARY}, or {WORLD} for demo.",
            metavar="NAME|FILE",
        ),
    ] = None,
    background: BackgroundOption = None,
    model: ModelOption = None,
    weights: Annotated[
        Path | None, typer.Option(help="The model's weights (.pth or .safetensors).", metavar="FILE")
    ] = None,
    clip: Annotated[
        Path | None, typer.Option(help="The CLIP's weights, for --weights without them.", metavar="FILE")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...", metavar="NAME")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16.", metavar="NAME")] = None,
    short_side: Annotated[
        int | None,
        typer.Option(
            help="Size at which the model sees a picture.", metavar="PIXELS", parser=_whole_number("--short-side")
        ),
    ] = None,
    max_long_side: Annotated[
        int | None,
        typer.Option(help="Limit to the other side.", metavar="PIXELS", parser=_whole_number("--max-long-side")),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Leave out what scores less.", metavar="0..1", parser=_fraction("--threshold")),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the results.", metavar="DIR")
    ] = DEFAULT_OUTPUT,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results of an earlier run.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Segment pictures: for each a panoptic PNG, a JSON record and an overlay."""
    spec = _spec(model)
    words = choose_vocabulary(classes, vocabulary, background, default=spec.default_vocabulary)
    report = _Report(quiet)
    pictures = _find_pictures(images, report)

    from .sinks.images import ImageFolder

    sink = ImageFolder(output, pictures, words, overwrite=overwrite)
    report.say(f"{words!r}")
    if spec.notice:
        report.say(f"note: {spec.notice}")
    given = {
        "model": model,
        "weights": weights,
        "clip": clip,
        "device": device,
        "precision": precision,
        "short_side": short_side,
        "max_long_side": max_long_side,
        "progress": not quiet,
    }
    segmenter = _load_segmenter({name: value for name, value in given.items() if value is not None}, report)
    try:
        with sink, _warnings(not quiet), report.progress(len(pictures)):
            for frame, result in _segment_pictures(segmenter, pictures, words, threshold, report):
                sink.write(Path(frame.stream_id), result, frame.rgb)
                report.done(frame.stream_id, result)
    finally:
        report.summary(output, sink.name(pictures[0]))
    if report.failures:
        raise typer.Exit(1)


@app.command()
def models(as_json: JsonOption = False) -> None:
    """List the models, and which weights are here."""
    from .fcclip.hub import weights_status
    from .fcclip.spec import DEFAULT_MODEL, MODEL_SPECS

    rows = [_model_row(spec, weights_status(spec)) for spec in MODEL_SPECS.values()]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = _table("model", "CLIP", "input", "parameters", "weights")
    for row in rows:
        name = f"{row['model']} (default)" if row["model"] == DEFAULT_MODEL else row["model"]
        size = f"{row['parameters_millions']} M" if row["parameters_millions"] else "-"
        table.add_row(
            name, row["clip"], f"{row['short_side']}, at most {row['max_long_side']}", size, _weights_text(row)
        )
    _print(table)


@app.command()
def download(
    model: Annotated[str, typer.Argument(help="See `streamseg models`.", metavar="MODEL", show_default=False)],
    quiet: QuietOption = False,
) -> None:
    """Fetch the weights of a model, ahead of time."""
    from .fcclip.hub import download as fetch
    from .fcclip.hub import weights_status
    from .fcclip.spec import get_spec

    spec = get_spec(model)
    if weights_status(spec).shipped and not quiet:
        print(f"{model} is part of the package: there is nothing to download", file=sys.stderr)
    for path in fetch(spec, progress=not quiet):
        print(path)


@app.command()
def vocabulary(
    name: Annotated[
        str | None,
        typer.Argument(help="A built-in vocabulary, a union such as coco+lvis, or a file.", metavar="NAME|FILE"),
    ] = None,
    classes: ClassesOption = None,
    background: BackgroundOption = None,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a vocabulary as it will be used; without arguments, list those built in."""
    if name is None and classes is None:
        _list_vocabularies(as_json)
        return
    spec = _spec(model)
    words = choose_vocabulary(classes, name, background, default=spec.default_vocabulary)
    if as_json:
        print(words.to_json())
        return
    seen = seen_mask(words.all_categories, Vocabulary.load(spec.training_vocabulary))
    table = _table("id", "label", "kind", "seen in training", "synonyms")
    for category, known in zip(words.all_categories[: len(words)], seen, strict=False):
        kind = "thing" if category.isthing else "stuff"
        table.add_row(str(category.id), category.label, kind, "yes" if known else "no", ", ".join(category.names[1:]))
    _print(table)
    if words.background:
        labels = ", ".join(category.label for category in words.background)
        print(f"\nbackground, becomes void ({len(words.background)}): {labels}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a frame record."""
    from .frames import json_schema

    print(json.dumps(json_schema(), indent=2))


def choose_vocabulary(
    classes: str | None, vocabulary: str | None, background: str | None = None, *, default: str = TRAINING_VOCABULARY
) -> Vocabulary:
    """The vocabulary that `--classes`, `--vocabulary` and `--background` ask for; without the first two, `default`.

    A few words alone would have to share all pixels among them, so words of the user's own get those of `default` as
    background, unless they bring a background or `background` is "none".
    """
    if classes is not None and vocabulary is not None:
        raise ConfigError("both --classes and --vocabulary are given, expected one of them: leave one out")
    own = True
    if classes is not None:
        if classes.strip().casefold() in BUILTIN_VOCABULARIES:
            name = classes.strip()
            raise VocabularyError(
                f"--classes {name!r} is the name of a built-in vocabulary: pass --vocabulary {name}, or write "
                f"{name + ':thing'!r} if it is what to look for"
            )
        words = Vocabulary.parse(classes)
    else:
        name = default if vocabulary is None else vocabulary
        words = Vocabulary.resolve(name)
        own = not any(part.strip().casefold() in BUILTIN_VOCABULARIES for part in name.split("+"))
    if background != "none" and own and not words.background:
        return words.with_background(Vocabulary.load(default))
    return words


def _spec(model: str | None) -> "ModelSpec":
    from .fcclip.spec import DEFAULT_MODEL, get_spec

    return get_spec(DEFAULT_MODEL if model is None else model)


@contextmanager
def _warnings(shown: bool) -> Iterator[None]:
    """What the package logs as a warning (words that the model never read) is on stderr, unless it is to be quiet."""
    logger = logging.getLogger(__package__)
    before = logger.level
    if not shown:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


# Segmenting pictures.


def _find_pictures(patterns: Sequence[str], report: "_Report") -> list[Path]:
    """All files meant, each once; what is not there is reported, and only nothing at all is an error."""
    from .sources.images import find_images

    found: dict[Path, Path] = {}
    for pattern in patterns:
        try:
            for path in find_images(pattern):
                found.setdefault(path.resolve(), path)
        except SourceError as error:
            report.failed(error)
    if not found:
        raise SourceError("no pictures to segment: check the paths")
    return list(found.values())


def _load_segmenter(given: dict[str, Any], report: "_Report") -> "Segmenter":
    from .fcclip.spec import DEFAULT_MODEL

    report.say(f"loading {given.get('model', DEFAULT_MODEL)}")
    from .segmenter import Segmenter

    return Segmenter.load(**given)


def _segment_pictures(
    segmenter: "Segmenter", paths: Sequence[Path], words: Vocabulary, threshold: float | None, report: "_Report"
) -> Iterator[tuple["Frame", "FrameResult"]]:
    """Each readable picture with its result, in order. Neighbours of one size share a forward pass on a GPU."""
    from .frames import FrameResult
    from .panoptic import panoptic_from_queries

    fuse = panoptic_from_queries if threshold is None else partial(panoptic_from_queries, score_threshold=threshold)
    limit = 1 if segmenter.device.type == "cpu" else segmenter.max_batch
    for batch in _batches(_readable(paths, report), limit):
        for frame, queries in zip(batch, segmenter.segment(batch, words), strict=True):
            panoptic = fuse(queries)
            result = FrameResult.from_map(
                frame, panoptic.ids, panoptic.segments, model=segmenter.spec.name, vocabulary=words
            )
            yield frame, result


def _readable(paths: Sequence[Path], report: "_Report") -> Iterator["Frame"]:
    from .sources.images import read_frame

    for path in paths:
        try:
            yield read_frame(path)
        except SourceError as error:
            report.failed(error)


def _batches(frames: Iterator["Frame"], limit: int) -> Iterator[list["Frame"]]:
    """Neighbours of equal size, at most `limit` together."""
    for _, group in groupby(frames, key=lambda frame: frame.size_hw):
        batch: list[Frame] = []
        for frame in group:
            batch.append(frame)
            if len(batch) == limit:
                yield batch
                batch = []
        if batch:
            yield batch


class _Report:
    """What a run tells its user: a bar on a terminal, plain lines otherwise; errors even when quiet."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.failures = 0
        self.finished = 0
        self.segments = 0
        self._total = 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def say(self, text: str) -> None:
        if not self.quiet:
            self._print(text)

    def failed(self, error: StreamsegError) -> None:
        self.failures += 1
        self._print(f"error: {' '.join(str(error).split())}")
        self._advance()

    def done(self, name: str, result: "FrameResult") -> None:
        self.finished += 1
        self.segments += len(result.segments)
        if self._bar is None:
            self.say(f"[{self.finished}/{self._total}] {name}: {len(result.segments)} segments")
        self._advance()

    def progress(self, total: int) -> "_Report":
        self._total = total
        return self

    def __enter__(self) -> None:
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("segmenting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task("", total=self._total)
            self._bar.start()

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def summary(self, folder: Path, example: str) -> None:
        failed = f", {self.failures} failed" if self.failures else ""
        pictures = "1 picture" if self.finished == 1 else f"{self.finished} pictures"
        where = f"; results are in {folder}{os.sep}" if self.finished else "; nothing was written"
        if not self.quiet:
            print(_printable(f"{pictures} segmented ({self.segments} segments){failed}{where}", sys.stdout))
            if self.finished:
                files = f"{example}.panoptic.png, {example}.json, {example}.overlay.jpg"
                print(_printable(f"  for each picture, e.g. {files}; for all of them panoptic.json", sys.stdout))

    def _print(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(_printable(text, sys.stderr), markup=False, highlight=False, soft_wrap=True)
        else:
            print(_printable(text, sys.stderr), file=sys.stderr, flush=True)

    def _advance(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)


# Tables.


def _model_row(spec: Any, status: Any) -> dict[str, Any]:
    return {
        "model": spec.name,
        "clip": spec.clip_model,
        "short_side": spec.short_side,
        "max_long_side": spec.max_long_side,
        "parameters_millions": PARAMETERS_MILLIONS.get(spec.name),
        "random_weights": spec.random_weights,
        "ready": status.ready or spec.random_weights,
        "shipped": status.shipped,
        "weights": None if status.head is None else str(status.head),
        "weights_bytes": status.head_bytes,
        "clip_weights": None if status.clip is None else str(status.clip),
        "clip_weights_bytes": status.clip_bytes,
        "published": status.source,
    }


def _weights_text(row: dict[str, Any]) -> str:
    if row["random_weights"]:
        return "random, for trying the machinery"
    if row["shipped"]:
        return f"part of the package, {row['weights_bytes'] / 1e6:.0f} MB"
    if row["ready"]:
        size = row["weights_bytes"] + (row["clip_weights_bytes"] if row["clip_weights"] != row["weights"] else 0)
        return f"here, {size / 1e9:.1f} GB: {Path(row['weights']).parent}"
    here = [name for name, key in (("head", "weights"), ("CLIP", "clip_weights")) if row[key] is not None]
    return f"{f'only the {here[0]} is here' if here else 'not here'}; {row['published']}"


def _list_vocabularies(as_json: bool) -> None:
    rows = [(name, vocabulary, sum(c.isthing for c in vocabulary.categories)) for name, vocabulary in _builtins()]
    if as_json:
        print(
            json.dumps(
                [{"name": name, "things": things, "stuff": len(v) - things} for name, v, things in rows], indent=2
            )
        )
        return
    table = _table("vocabulary", "things", "stuff", "for example")
    for name, words, things in rows:
        table.add_row(name, str(things), str(len(words) - things), ", ".join(c.label for c in words.categories[:4]))
    _print(table)


def _builtins() -> Iterator[tuple[str, Vocabulary]]:
    return ((name, Vocabulary.load(name)) for name in BUILTIN_VOCABULARIES)


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(table: Any) -> None:
    """As wide as the terminal; in a pipe as wide as the text, so that no line is broken."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = max(80, Measurement.get(console, console.options.update(width=10_000), table).maximum)
    console.print(table)


def _printable(text: str, stream: TextIO) -> str:
    """File names need not be valid text; what cannot be printed is shown as an escape."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)

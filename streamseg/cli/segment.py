"""`streamseg segment`: pictures to panoptic maps."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SourceError
from ..pipeline.words import choose_vocabulary
from ..vocabulary import Vocabulary
from .app import app
from .options import (
    BackgroundOption,
    ClassesOption,
    ClipOption,
    DeviceOption,
    MaxLongSideOption,
    ModelOption,
    PrecisionOption,
    QuietOption,
    ShortSideOption,
    ThresholdOption,
    VocabularyOption,
    WeightsOption,
    chosen_spec,
)
from .report import Report

if TYPE_CHECKING:
    from ..frames import Frame, FrameResult
    from ..segmenter import Segmenter

DEFAULT_OUTPUT = Path("streamseg-out")


@app.command()
def segment(
    images: Annotated[
        list[str],
        typer.Argument(help="Pictures, folders of pictures, or globs.", metavar="IMAGE", show_default=False),
    ],
    classes: ClassesOption = None,
    vocabulary: VocabularyOption = None,
    background: BackgroundOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    clip: ClipOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    short_side: ShortSideOption = None,
    max_long_side: MaxLongSideOption = None,
    threshold: ThresholdOption = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the results.", metavar="DIR")
    ] = DEFAULT_OUTPUT,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results of an earlier run.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Segment pictures: for each a panoptic PNG, a JSON record and an overlay."""
    spec = chosen_spec(model)
    words = choose_vocabulary(classes, vocabulary, background, default=spec.default_vocabulary)
    report = Report(quiet)
    pictures = _find_pictures(images, report)

    from ..sinks.images import ImageFolder

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
        with sink, warnings_shown(not quiet), report.progress(len(pictures)):
            for frame, result in _segment_pictures(segmenter, pictures, words, threshold, report):
                sink.write(Path(frame.stream_id), result, frame.rgb)
                report.done(frame.stream_id, result)
    finally:
        report.summary(output, sink.name(pictures[0]))
    if report.failures:
        raise typer.Exit(1)


@contextmanager
def warnings_shown(shown: bool) -> Iterator[None]:
    """What the package logs as a warning (words that the model never read) is on stderr, unless it is to be quiet."""
    logger = logging.getLogger("streamseg")
    before = logger.level
    if not shown:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _find_pictures(patterns: Sequence[str], report: "Report") -> list[Path]:
    """All files meant, each once; what is not there is reported, and only nothing at all is an error."""
    from ..sources.images import find_images

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


def _load_segmenter(given: dict[str, Any], report: "Report") -> "Segmenter":
    from ..fcclip.spec import DEFAULT_MODEL

    report.say(f"loading {given.get('model', DEFAULT_MODEL)}")
    from ..segmenter import Segmenter

    return Segmenter.load(**given)


def _segment_pictures(
    segmenter: "Segmenter", paths: Sequence[Path], words: Vocabulary, threshold: float | None, report: "Report"
) -> Iterator[tuple["Frame", "FrameResult"]]:
    """Each readable picture with its result, in order. Neighbours of one size share a forward pass on a GPU."""
    from ..frames import FrameResult
    from ..panoptic import panoptic_from_queries

    fuse = panoptic_from_queries if threshold is None else partial(panoptic_from_queries, score_threshold=threshold)
    limit = 1 if segmenter.device.type == "cpu" else segmenter.max_batch
    for batch in _batches(_readable(paths, report), limit):
        for frame, queries in zip(batch, segmenter.segment(batch, words), strict=True):
            panoptic = fuse(queries)
            result = FrameResult.from_map(
                frame, panoptic.ids, panoptic.segments, model=segmenter.spec.name, vocabulary=words
            )
            yield frame, result


def _readable(paths: Sequence[Path], report: "Report") -> Iterator["Frame"]:
    from ..sources.images import read_frame

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

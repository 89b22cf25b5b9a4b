"""An evaluation as one file for people: scores, the worst frames and the worst tracks as pictures. HTML, or a PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from ...errors import ConfigError, EvaluationError, SinkError
from ...sinks.files import atomic_write
from .fault_pictures import ERRORS, draw_comparison
from .faults import Faults, WorstFrame, WorstTrack
from .html_page import html_page
from .page import Figure, Page, Section
from .png_page import png_page
from .tables import percent, score_tables, table
from .track_moments import Moment
from .track_pictures import cause_in_words, draw_moments, track_caption

__all__ = ["check_report_path", "write_report"]

SUFFIXES = {".html": html_page, ".png": png_page}


def check_report_path(path: Path) -> None:
    """ConfigError where no report can be called so."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--report is {str(path)!r}, expected a name that ends in {' or '.join(SUFFIXES)}")


def write_report(
    path: Path,
    title: str,
    document: Mapping[str, Any],
    labels: Mapping[int, str],
    faults: Faults,
    moments: Sequence[Sequence[Moment]],
) -> None:
    """Write scores and faults.

    Args:
        path: ends in .html or .png.
        title: what was scored.
        document: of `VideoScores.to_dict`.
        labels: names of the categories.
        faults: of the same frames.
        moments: of the first of `faults.tracks`, each.

    Raises:
        EvaluationError: it cannot be written.
    """
    tables = [*score_tables(document, labels), *_track_tables(faults.tracks, labels)]
    sections = [_frames(faults.frames, labels), _tracks(faults.tracks, moments, labels)]
    page = Page(title, tables, [section for section in sections if section.figures])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, SUFFIXES[path.suffix.lower()](page))
    except (OSError, SinkError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EvaluationError(f"cannot write {path}: {reason}; choose another --report") from None


def _frames(worst: Sequence[WorstFrame], labels: Mapping[int, str]) -> Section:
    figures = [Figure(_frame_caption(each), draw_comparison(each.frame, labels)) for each in worst]
    return Section("Worst frames", "truth, prediction, errors", figures, ERRORS)


def _tracks(worst: Sequence[WorstTrack], moments: Sequence[Sequence[Moment]], labels: Mapping[int, str]) -> Section:
    figures = [
        Figure(track_caption(each.video, each.loss, labels), draw_moments(shown, labels))
        for each, shown in zip(worst, moments, strict=False)
    ]
    return Section("Worst tracks", "true outlines on what is predicted there, at moments in time", figures, {})


def _frame_caption(worst: WorstFrame) -> str:
    return (
        f"{worst.video} / {worst.name}: panoptic quality {percent(worst.quality)}, {worst.tp} matched, "
        f"{worst.fp} false, {worst.fn} missed"
    )


def _track_tables(tracks: Sequence[WorstTrack], labels: Mapping[int, str]) -> list[Table]:
    rows = [
        [
            worst.video,
            str(worst.loss.id),
            labels[worst.loss.category_id],
            f"{worst.loss.pixels:,}",
            percent(worst.loss.lost),
            cause_in_words(worst.loss, labels),
        ]
        for worst in tracks
    ]
    columns = ("video", "id", "category", "pixels", "lost", "most of it")
    return [table("true tracks that lose the most pixels", columns, rows)] if rows else []

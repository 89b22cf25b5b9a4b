"""Scores as tables for people and as a file for programs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from ..errors import EvaluationError
from .panoptic_quality import ClassQuality, GroupQuality, PanopticScores

__all__ = ["class_table", "group_table", "percent", "print_table", "table", "write_json"]

QUALITIES = ("PQ", "SQ", "RQ")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Names on the left, numbers on the right."""
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    numeric = [all(not row[place] or row[place][0] in "-+.0123456789" for row in rows) for place in range(len(columns))]
    for column, right in zip(columns, numeric, strict=True):
        made.add_column(column, justify="right" if right and rows else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def percent(value: float | None) -> str:
    """A fraction as people quote it; a dash where there is none."""
    return "-" if value is None else f"{100 * value:.2f}"


def group_table(scores: PanopticScores) -> Table:
    """Means over all categories, things and stuff."""
    groups = {"All": scores.all, "Things": scores.things, "Stuff": scores.stuff}
    rows = [[name, *_qualities(group), str(group.n if group else 0)] for name, group in groups.items()]
    return table("panoptic quality, in percent", ("", *QUALITIES, "categories"), rows)


def class_table(scores: PanopticScores, labels: Mapping[int, str]) -> Table:
    """A row per category that occurs."""
    occurring = {key: entry for key, entry in scores.per_class.items() if entry.occurs}
    rows = [
        [labels[key], *_qualities(entry), str(entry.tp), str(entry.fp), str(entry.fn)]
        for key, entry in occurring.items()
    ]
    absent = len(scores.per_class) - len(occurring)
    title = f"by category; {absent} more in neither" if absent else "by category"
    return table(title, ("category", *QUALITIES, "TP", "FP", "FN"), rows)


def print_table(made: Table) -> None:
    """As wide as the terminal; in a pipe as wide as the text, so that no line is broken."""
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = max(80, Measurement.get(console, console.options.update(width=10_000), made).maximum)
    console.print(made)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Numbers at full precision.

    Raises:
        EvaluationError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"cannot write {path}: {error.strerror or error}; choose another --output") from None


def _qualities(entry: GroupQuality | ClassQuality | None) -> list[str]:
    return [percent(value) for value in ((entry.pq, entry.sq, entry.rq) if entry else (None, None, None))]

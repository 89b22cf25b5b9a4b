"""Scores as tables for people and as a file for programs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from ...errors import EvaluationError
from ..metrics.panoptic_quality import ClassQuality, GroupQuality, PanopticScores

__all__ = ["class_table", "group_table", "percent", "print_table", "score_tables", "table", "write_json"]

QUALITIES = ("PQ", "SQ", "RQ")
GROUPS = ("All", "Things", "Stuff")


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


def score_tables(document: Mapping[str, Any], labels: Mapping[int, str]) -> list[Table]:
    """What a document of scores holds, for people: one table a metric, and one by category."""
    tables = [_summary(document)]
    if "vpq" in document:
        tables.append(_window_table(document["vpq"]))
    if "tracking" in document:
        tables.append(_tracking_table(document["tracking"]))
    tables += [_precision_table(name, entry) for name, entry in document.items() if name.startswith("video_ap")]
    by_category = _category_table(document, labels)
    return [made for made in (*tables, by_category) if made.row_count]


def _summary(document: Mapping[str, Any]) -> Table:
    """The numbers that a paper would print."""
    rows: list[list[str]] = []
    if "pq" in document:
        rows += [["PQ, all / things / stuff", _groups(document["pq"], "pq")]]
        rows += [["SQ, all / things / stuff", _groups(document["pq"], "sq")]]
        rows += [["RQ, all / things / stuff", _groups(document["pq"], "rq")]]
    if "vpq" in document:
        means = [document["vpq"][name] for name in ("vpq_all", "vpq_thing", "vpq_stuff")]
        rows += [["VPQ, all / things / stuff", " / ".join(_shown(mean, 1) for mean in means)]]
    for name in ("stq", "stq_vipseg_script"):
        if name in document:
            values = [document[name][key] for key in ("STQ", "AQ", "SQ")]
            script = ", by VIPSeg's script" if name != "stq" else ""
            rows += [[f"STQ / AQ / SQ{script}", " / ".join(_shown(value) for value in values)]]
    for name, keys in (("miou", ("mIoU", "fwIoU", "pACC")), ("vc", ("VC8", "VC16"))):
        if name in document:
            rows += [[" / ".join(keys), " / ".join(_shown(document[name][key]) for key in keys)]]
    return table("scores, in percent", ("", "value"), rows)


def _window_table(document: Mapping[str, Any]) -> Table:
    rows = [
        [f"{length} frame{'s' * (length != '1')}", *(_shown(scores[group], key="pq") for group in GROUPS)]
        for length, scores in document["per_k"].items()
    ]
    return table("video panoptic quality by window, in percent", ("window", *GROUPS), rows)


def _tracking_table(document: Mapping[str, Any]) -> Table:
    columns = ("HOTA", "DetA", "AssA", "LocA", "MOTA", "IDF1")
    rows = []
    for setting, classes in document.items():
        for name, scores in _tracked(classes).items():
            shown = [percent(scores[column]) for column in columns]
            rows.append([setting.replace("_", " "), name, *shown, str(scores["IDSW"]), str(scores["Frag"])])
    return table("tracking of things, in percent and counts", ("", "class", *columns, "IDSW", "Frag"), rows)


def _tracked(classes: Mapping[str, Any]) -> Mapping[str, Any]:
    if set(classes["combined"]) == {"thing"}:
        return dict(classes["combined"])
    return (
        {"mean of classes": classes.get("class_average"), "pooled": classes.get("detection_average")}
        if ("class_average" in classes)
        else {}
    )


def _precision_table(name: str, scores: Mapping[str, Any]) -> Table:
    columns = [key for key in scores if key not in ("per_class", "error")]
    row = ["-" if scores[key] < 0 else percent(scores[key]) for key in columns]
    return table(f"precision and recall of tracks ({name}), in percent", columns, [row] if row else [])


def _category_table(document: Mapping[str, Any], labels: Mapping[int, str]) -> Table:
    """Categories that occur; those in neither side have nothing to show."""
    pq = document.get("pq", {}).get("per_class", {})
    longest = list(document.get("vpq", {}).get("per_k", {}).values())[1:2]
    vpq = longest[0]["per_class"] if longest else {}
    iou = document.get("miou", {}).get("per_class", {})
    rows = []
    for key, label in labels.items():
        counts = pq.get(str(key), {})
        if any(counts.get(name) for name in ("tp", "fp", "fn")):
            shown = [percent(counts[name]) for name in ("pq", "sq", "rq")]
            more = [percent(table_[str(key)][name]) for table_, name in ((vpq, "pq"),) if table_]
            more += [percent(iou[str(key)])] if iou else []
            rows.append([label, *shown, *more, *(str(counts[name]) for name in ("tp", "fp", "fn"))])
    absent = len(labels) - len(rows)
    columns = ["category", *QUALITIES, *(["VPQ k=2"] if vpq else []), *(["IoU"] if iou else []), "TP", "FP", "FN"]
    title = f"by category, in percent; {absent} more in neither" if absent else "by category, in percent"
    return table(title, columns, rows)


def _groups(scores: Mapping[str, Any], quality: str) -> str:
    return " / ".join(_shown(scores[group], key=quality) for group in GROUPS)


def _shown(value: Any, hundred: int = 100, *, key: str | None = None) -> str:
    """A fraction (or with `hundred` 1 a percentage) as people quote it; a dash for what is not defined."""
    if isinstance(value, Mapping):
        value = value.get(key) if key is not None else None
    return percent(None if value is None else value * hundred / 100)


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

"""Scores of a data set as tables: measured beside published, and category by category."""

from rich.table import Table

from ..reports.tables import table
from .run import DatasetReport

__all__ = ["class_table", "score_table"]


def score_table(report: DatasetReport) -> Table:
    """Measured, published, and the difference, in percent."""
    rows = []
    for name, value in report.scores.items():
        known = report.published.get(name)
        difference = "" if known is None or value is None else f"{value - known:+.1f}"
        rows.append([name, _shown(value), "" if known is None else f"{known:.1f}", difference])
    plan = report.plan
    short_side, max_long_side = plan.input_size
    title = (
        f"{plan.model} on {plan.dataset}, {report.pictures} pictures at {short_side}/{max_long_side}, in percent"
        f"{'' if plan.as_published else '; not the published protocol'}"
    )
    return table(title, ("", "measured", "published", "difference"), rows)


def class_table(report: DatasetReport) -> Table:
    """A row for each category in which anything was measured."""
    rows = {
        label: entry for label, entry in report.per_class.items() if any(value is not None for value in entry.values())
    }
    columns = next(iter(report.per_class.values()), {})
    absent = len(report.per_class) - len(rows)
    title = f"by category; {absent} more do not occur" if absent else "by category"
    lines = [[label, *(_shown(value) for value in entry.values())] for label, entry in rows.items()]
    return table(title, ("category", *columns), lines)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"

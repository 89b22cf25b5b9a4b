"""Tables of the tracking suite, for the terminal and for Markdown, and its document."""

import math
from collections.abc import Mapping
from collections.abc import Sequence as Several

from rich.table import Table

from ..reports.tables import table
from .scores import Row, mean_row

__all__ = ["COLUMNS", "rows_as_dict", "suite_markdown", "suite_table", "variant_table", "variants_markdown"]

COLUMNS = ("STQ", "AQ", "SQ", "VPQ", "AssA", "AssA shown", "IDF1", "IDSW", "flips/min", "named")
MEAN = "mean"

Rows = Mapping[str, Mapping[str, Row]]


def suite_table(title: str, rows: Rows) -> Table:
    """Scenarios by methods, and the mean of all scenarios."""
    return table(title, ("", "method", *COLUMNS), _suite_cells(rows))


def suite_markdown(rows: Rows) -> str:
    """The same as a Markdown table."""
    return _markdown(("", "method", *COLUMNS), _suite_cells(rows))


def variant_table(title: str, rows: Rows) -> Table:
    """Methods alone, over the mean of all scenarios."""
    return table(title, ("", *COLUMNS), _variant_cells(rows))


def variants_markdown(rows: Rows) -> str:
    """The same as a Markdown table."""
    return _markdown(("", *COLUMNS), _variant_cells(rows))


def rows_as_dict(rows: Rows) -> dict[str, dict[str, dict[str, float | None]]]:
    """For JSON: fractions at full precision, None where there was nothing to score; the mean too."""
    every = {**rows, MEAN: means(rows)}
    return {
        scenario: {method: _numbers(row) for method, row in by_method.items()} for scenario, by_method in every.items()
    }


def means(rows: Rows) -> dict[str, Row]:
    """The mean over scenarios, by method."""
    methods = list(next(iter(rows.values())))
    return {method: mean_row([by_method[method] for by_method in rows.values()]) for method in methods}


def _suite_cells(rows: Rows) -> list[list[str]]:
    every = {**rows, MEAN: means(rows)}
    return [
        [scenario if first else "", method, *_cells(row)]
        for scenario, by_method in every.items()
        for first, (method, row) in zip([True, *[False] * len(by_method)], by_method.items(), strict=False)
    ]


def _variant_cells(rows: Rows) -> list[list[str]]:
    return [[method, *_cells(row)] for method, row in means(rows).items()]


def _cells(row: Row) -> list[str]:
    """Percent, but for counts and rates."""
    shares = [f"{100 * value:.1f}" for value in (row.stq, row.aq, row.sq, row.vpq, row.assa, row.shown, row.idf1)]
    cells = [*shares, f"{row.idsw:.1f}", f"{row.flips:.1f}", f"{100 * row.named:.1f}"]
    return ["-" if cell == "nan" else cell for cell in cells]


def _markdown(columns: Several[str], rows: Several[Several[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _numbers(row: Row) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in row.to_dict().items()}

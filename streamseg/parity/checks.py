"""Stored numbers against ours: differences, tolerances, verdicts, and the table that shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Check", "Tolerance", "deviation", "format_report", "judge"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Largest allowed median, 95th percentile and maximum of the per-query (or per-value) differences."""

    median: float | None = None
    p95: float | None = None
    maximum: float | None = None

    def admits(self, median: float, p95: float, maximum: float) -> bool:
        found = ((self.median, median), (self.p95, p95), (self.maximum, maximum))
        return all(limit is None or value <= limit for limit, value in found)

    def __str__(self) -> str:
        parts = (("median", self.median), ("p95", self.p95), ("max", self.maximum))
        return ", ".join(f"{name} <= {limit:g}" for name, limit in parts if limit is not None)


@dataclass(frozen=True, slots=True)
class Check:
    """One stored tensor against ours."""

    name: str
    median: float
    p95: float
    maximum: float
    tolerance: Tolerance | None  # None: shown, not judged
    note: str = ""

    @property
    def passed(self) -> bool:
        return self.tolerance is None or self.tolerance.admits(self.median, self.p95, self.maximum)


def deviation(theirs: Array, ours: Array) -> Array:
    """Theirs minus ours; infinite where the shapes differ, as they do between two models."""
    if theirs.shape != ours.shape:
        return np.full(theirs.shape, np.inf)
    return np.asarray(theirs.astype(np.float64) - ours)


def judge(name: str, differences: Array, tolerance: Tolerance, note: str = "") -> Check:
    """Median, 95th percentile and maximum of the absolute differences, against a tolerance."""
    values = np.abs(np.asarray(differences, dtype=np.float64)).ravel()
    if not len(values):
        return Check(name, 0.0, 0.0, 0.0, tolerance, "nothing to compare")
    if not np.isfinite(values).all():
        return Check(name, np.inf, np.inf, np.inf, tolerance, "not finite, or of another shape")
    median, p95 = np.percentile(values, (50, 95))
    return Check(name, float(median), float(p95), float(values.max()), tolerance, note)


def format_report(title: str, checks: Sequence[Check]) -> str:
    """A table, one line for each check, and a verdict."""
    failed = [check.name for check in checks if not check.passed]
    lines = [title, f"  {'tensor':28} {'median':>10} {'p95':>10} {'max':>10}"]
    for check in checks:
        verdict = "-" if check.tolerance is None else "pass" if check.passed else "FAIL"
        limits = "" if check.tolerance is None else f"({check.tolerance})"
        lines.append(
            f"  {check.name:28} {check.median:10.2e} {check.p95:10.2e} {check.maximum:10.2e}  {verdict:4}  "
            f"{limits}{'  ' + check.note if check.note else ''}"
        )
    judged = sum(check.tolerance is not None for check in checks)
    lines.append(f"  {judged - len(failed)} of {judged} passed" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return "\n".join(lines)

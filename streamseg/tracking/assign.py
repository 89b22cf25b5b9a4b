"""Assignment with a limit: pairs of least total cost, and no pair at all where it would cost too much.

A plain Hungarian assignment forces bad pairs. With a limit per pair, leaving two things alone costs as much as the
limit, so that it is part of the optimum and not a filter behind it.
"""

import lap
import numpy as np
import numpy.typing as npt

__all__ = ["assign"]

Pairs = npt.NDArray[np.int64]


def assign(cost: npt.NDArray[np.floating], limit: float | None = None) -> Pairs:
    """The pairs of least total cost.

    Args:
        cost: (R, C), finite.
        limit: a pair at or above it is never made; None: as many pairs as there can be.

    Returns:
        (M, 2) int64 row and column of each pair, by row.

    Raises:
        ValueError: a cost is not finite (the solver would take it, and answer nonsense).
    """
    if not np.isfinite(cost).all():
        raise ValueError(f"{(~np.isfinite(cost)).sum()} of the {cost.size} costs are not finite")
    if cost.size == 0:
        return np.empty((0, 2), np.int64)
    dense = np.ascontiguousarray(cost, np.float64)
    _, columns, _ = lap.lapjv(dense, extend_cost=True, cost_limit=np.inf if limit is None else limit)
    rows = np.flatnonzero(columns >= 0)
    pairs = np.stack((rows, columns[rows]), axis=1).astype(np.int64)
    return pairs if limit is None else pairs[dense[rows, columns[rows]] < limit]

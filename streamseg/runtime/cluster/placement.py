"""Which worker follows which stream."""

from collections.abc import Mapping, Sequence

__all__ = ["choose_worker"]


def choose_worker(ready: Sequence[int], streams: Mapping[str, int | None]) -> int | None:
    """The worker with the fewest streams, the first of several; None where none is ready.

    Args:
        ready: workers that can take one.
        streams: by name, the worker that each is placed on.
    """
    placed = list(streams.values())
    return min(ready, key=lambda worker: (placed.count(worker), worker), default=None)

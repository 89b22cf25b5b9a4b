"""Counting what happens to frames: every one that was decoded is emitted, dropped for a reason, or still on its way."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["LatencyHistogram", "StreamCounters", "StreamTotals"]

SHORTEST_SECONDS = 1e-4
BINS_PER_DECADE = 60  # neighbours differ by 4 %
DECADES = 8


class LatencyHistogram:
    """Percentiles of durations, to about 2 %, in memory that does not grow."""

    def __init__(self) -> None:
        self._counts = np.zeros(DECADES * BINS_PER_DECADE + 1, np.int64)

    def add(self, seconds: float) -> None:
        position = np.log10(max(seconds, SHORTEST_SECONDS) / SHORTEST_SECONDS) * BINS_PER_DECADE
        self._counts[min(round(position), len(self._counts) - 1)] += 1

    def percentile(self, percent: float) -> float | None:
        """Seconds that `percent` of the durations do not exceed; None where there are none."""
        total = int(self._counts.sum())
        if total == 0:
            return None
        rank = max(1, int(np.ceil(total * percent / 100)))
        position = int(np.searchsorted(np.cumsum(self._counts), rank))
        return float(SHORTEST_SECONDS * 10 ** (position / BINS_PER_DECADE))


@dataclass(frozen=True, slots=True)
class StreamTotals:
    """The counts of one stream at one moment.

    Attributes:
        decoded: frames that came out of the decoder.
        emitted: frames with a record; `failed` of them hold an error instead of segments.
        dropped: frames without a record, by reason.
        in_flight: frames on their way.
        tracks: identities given out.
        latency_seconds: 50th, 95th and 99th percentile from decoding (live: from capture) to record; None without any.
    """

    decoded: int
    emitted: int
    failed: int
    dropped: Mapping[str, int]
    in_flight: int
    tracks: int
    latency_seconds: tuple[float, float, float] | None

    def to_dict(self) -> dict[str, Any]:
        latency = self.latency_seconds
        return {
            "decoded": self.decoded,
            "emitted": self.emitted,
            "failed": self.failed,
            "dropped": dict(sorted(self.dropped.items())),
            "in_flight": self.in_flight,
            "tracks": self.tracks,
            "latency_seconds": None if latency is None else dict(zip(("p50", "p95", "p99"), latency, strict=True)),
        }


class StreamCounters:
    """Counts of one stream; every method may be called from any thread.

    Always true: decoded = emitted + all dropped + in flight.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoded = self._emitted = self._failed = self._tracks = 0
        self._dropped: Counter[str] = Counter()
        self._unreported: Counter[str] = Counter()
        self._latency = LatencyHistogram()

    def decoded(self) -> None:
        """One more frame has come out of the decoder."""
        with self._lock:
            self._decoded += 1

    def dropped(self, reason: str, count: int = 1) -> None:
        """Frames that will have no record."""
        with self._lock:
            self._dropped[reason] += count
            self._unreported[reason] += count

    def add_decoded(self, count: int, dropped: Mapping[str, int]) -> None:
        """More frames have come out of the decoder, some of which were dropped there."""
        with self._lock:
            self._decoded += count
            self._dropped.update(dropped)
            self._unreported.update(dropped)

    def emitted(self, *, failed: bool, latency_seconds: float, tracks: int) -> None:
        """A frame has its record; `tracks` identities have been given out so far."""
        with self._lock:
            self._emitted += 1
            self._failed += failed
            self._tracks = max(self._tracks, tracks)
            self._latency.add(latency_seconds)

    def take_dropped(self) -> dict[str, int]:
        """What was dropped since this was last asked: for the next record of a live stream."""
        with self._lock:
            taken = dict(sorted(self._unreported.items()))
            self._unreported.clear()
            return taken

    def decoded_so_far(self) -> dict[str, Any]:
        """Counts of the decoder's side, as a commit of a recording needs them for the frame decoded last."""
        with self._lock:
            return {"decoded": self._decoded, "dropped": dict(sorted(self._dropped.items()))}

    def go_on_from(self, totals: Mapping[str, Any]) -> None:
        """Add the counts of the part of a run that was done before."""
        with self._lock:
            self._decoded += totals["decoded"]
            self._emitted += totals["emitted"]
            self._failed += totals["failed"]
            self._tracks = max(self._tracks, totals["tracks"])
            self._dropped.update(totals["dropped"])

    def totals(self) -> StreamTotals:
        with self._lock:
            percentiles = [self._latency.percentile(percent) for percent in (50, 95, 99)]
            known = [value for value in percentiles if value is not None]
            return StreamTotals(
                decoded=self._decoded,
                emitted=self._emitted,
                failed=self._failed,
                dropped=dict(self._dropped),
                in_flight=self._decoded - self._emitted - self._dropped.total(),
                tracks=self._tracks,
                latency_seconds=(known[0], known[1], known[2]) if len(known) == 3 else None,
            )

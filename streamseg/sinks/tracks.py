"""Tracks that have ended, one line of JSON each: `tracks.jsonl`."""

from collections.abc import Iterable, Sequence
from typing import Any

from ..config.sinks import RotationSettings
from ..tracks import TrackRow
from .base import Emission, StreamFacts
from .lines import RotatingLines
from .rotation import active_rotation, stream_seconds

__all__ = ["TracksSink"]


class TracksSink:
    """Writes a track when it ends, those that end together in order of epoch and id.

    Args:
        facts: of the stream.
        rotation: when the file is cut into parts.
    """

    name = "tracks"
    external = False

    def __init__(self, facts: StreamFacts, rotation: RotationSettings | None = None) -> None:
        self._stream_id = facts.stream_id
        self._lines = RotatingLines(facts.folder / "tracks.jsonl", active_rotation(rotation, live=facts.live))

    def open(self, state: dict[str, Any] | None) -> None:
        self._lines.open(state)

    def write(self, emission: Emission) -> None:
        self._append(emission.ended, stream_seconds(emission.result))

    def state(self) -> dict[str, Any]:
        return self._lines.state()

    def close(self, remaining: Sequence[TrackRow] = ()) -> None:
        try:
            self._append(remaining, None)
        finally:
            self._lines.close()

    def _append(self, rows: Iterable[TrackRow], seconds: float | None) -> None:
        lines = [row.to_json(self._stream_id) for row in sorted(rows, key=lambda row: (row.epoch, row.id))]
        if lines:
            self._lines.append(lines, seconds)

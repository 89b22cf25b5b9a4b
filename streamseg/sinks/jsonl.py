"""Frame records, one line of JSON each: `records.jsonl`."""

from collections.abc import Sequence
from typing import Any

from ..config.sinks import JsonlSettings, RotationSettings
from ..tracks import TrackRow
from .base import Emission, StreamFacts
from .lines import RotatingLines
from .rotation import active_rotation, stream_seconds

__all__ = ["JsonlSink"]


class JsonlSink:
    """Writes each record when its frame is done; after a failed write, the file ends with the last whole line.

    Args:
        facts: of the stream.
        settings: whether masks are written.
        rotation: when the file is cut into parts.
    """

    name = "jsonl"
    external = False

    def __init__(self, facts: StreamFacts, settings: JsonlSettings, rotation: RotationSettings | None = None) -> None:
        self._masks = settings.masks
        self._lines = RotatingLines(facts.folder / "records.jsonl", active_rotation(rotation, live=facts.live))

    def open(self, state: dict[str, Any] | None) -> None:
        self._lines.open(state)

    def write(self, emission: Emission) -> None:
        result = emission.result
        self._lines.append([result.to_json(masks=self._masks)], stream_seconds(result))

    def state(self) -> dict[str, Any]:
        return self._lines.state()

    def close(self, remaining: Sequence[TrackRow] = ()) -> None:  # noqa: ARG002 - they have a sink of their own
        self._lines.close()

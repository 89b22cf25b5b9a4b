"""One clock for all records of a stream, whatever their source says of time."""

from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any

__all__ = ["StreamClock"]


class StreamClock:
    """Seconds of a stream's own time.

    Live input counts from its first record by the wall clock, since timestamps begin anew with each connection.
    Recordings have their own time, or where they have none, that of their nominal rate.

    Args:
        fps: frames a second of the source; None if not known.
    """

    def __init__(self, fps: Fraction | None) -> None:
        self.fps = fps
        self._first: datetime | None = None

    @classmethod
    def of_stream(cls, facts: Mapping[str, Any]) -> "StreamClock":
        """For a stream as `run.json` describes it."""
        return cls(None if facts.get("fps") is None else Fraction(*facts["fps"]))

    def seconds(self, record: Mapping[str, Any]) -> float | None:
        """The time of a record; None where nothing tells."""
        if "time" in record:
            captured = datetime.fromisoformat(record["time"])
            self._first = self._first or captured
            return (captured - self._first).total_seconds()
        if record["pts"] is not None:
            return float(record["pts"])
        return None if self.fps is None else float(record["frame"] / self.fps)

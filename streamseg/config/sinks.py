"""Where results go: one dataclass per kind of sink, told apart by `kind`."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["JsonlSettings", "Policy", "RotationSettings", "SinkSettings"]

Policy = Literal["stop", "drop-and-count"]
"""What a sink that cannot write does: end the run with its error, or go on without it and count what was lost."""


@dataclass(frozen=True, slots=True)
class RotationSettings:
    """When files of a run without end are closed and new ones begun, and how many stay; null for never, and all.

    Attributes:
        seconds: length of a part in wall time.
        megabytes: size of a part.
        keep: finished parts that stay, for each stream and sink.
    """

    seconds: float | None = None
    megabytes: float | None = None
    keep: int | None = None


@dataclass(frozen=True, slots=True)
class JsonlSettings:
    """Frame records, one line of JSON each.

    Attributes:
        masks: write the run lengths of every segment.
        on_error: see `Policy`.
    """

    kind: Literal["jsonl"] = "jsonl"
    masks: bool = True
    on_error: Policy = "stop"


SinkSettings = JsonlSettings
"""Any of them (a union, told apart by `kind`)."""

"""The sinks `vps`, `mots` and `ytvis`: they compile their document when the stream ends, from what others recorded."""

from collections.abc import Sequence
from typing import Any

from ...config.sinks import MotsSettings, VpsSettings, YtvisSettings
from ...tracks import TrackRow
from ..base import Emission, StreamFacts
from ..export import export_streams
from .records import RecordedStream

__all__ = ["DocumentSettings", "DocumentSink"]

DocumentSettings = VpsSettings | MotsSettings | YtvisSettings


class DocumentSink:
    """Compiles `OUT/<stream>/<kind>/` when it is closed; see `Sink` for the methods.

    While the stream lasts it writes nothing: everything is in the records, which the jsonl sink has to write.

    Args:
        facts: of the stream.
        settings: which document.
    """

    external = False

    def __init__(self, facts: StreamFacts, settings: DocumentSettings) -> None:
        self.name: str = settings.kind
        self._settings = settings
        self._facts = facts
        self._frames = 0

    def open(self, state: dict[str, Any] | None) -> None:
        self._frames = 0 if state is None else state["frames"]

    def write(self, emission: Emission) -> None:  # noqa: ARG002 - it is in the records
        self._frames += 1

    def state(self) -> dict[str, Any]:
        return {"frames": self._frames}

    def close(self, remaining: Sequence[TrackRow] = ()) -> None:  # noqa: ARG002
        if not self._frames:
            return
        stream = RecordedStream(self._facts.folder.name, self._facts.folder, self._facts.vocabulary)
        stuff = isinstance(self._settings, YtvisSettings) and self._settings.stuff
        export_streams(self.name, [stream], self._facts.folder / self.name, stuff=stuff)

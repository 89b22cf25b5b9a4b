"""Frame records to a web server: each is POSTed as JSON, or a batch of them as an array.

What cannot be delivered goes to OUT/<stream>/webhook-failed.jsonl, a line for each record, with the reason:

    {"reason": "HTTP 400 Bad Request", "record": {"schema": "streamseg.frame/1", ...}}

A record may arrive twice (a reply can get lost), and is told by its stream, epoch and frame. Frames that a resumed run
computes again are not sent again.
"""

import json
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config.sinks import WebhookSettings
from ..errors import SinkError
from ..tracks import TrackRow
from .base import Emission, StreamFacts
from .delivery import Delivery, Stop
from .files import LineFile, cannot_write
from .http_post import Endpoint, Poster
from .rotation import MEGABYTE

__all__ = ["DEAD_LETTERS", "WebhookSink"]

DEAD_LETTERS = "webhook-failed.jsonl"
TAIL_BYTES = 1 << 16

logger = logging.getLogger("streamseg.sinks")


class WebhookSink:
    """POSTs records; see `Sink` for the methods. `write` raises SinkError for what cannot be delivered.

    Args:
        facts: of the stream.
        settings: where to, and how patiently.
        stop: ends waits between attempts when the run is stopped.

    Attributes:
        delivered, undelivered: records so far; may be read from other threads.

    Raises:
        ConfigError: the address or a header is none, or names a variable that is not set.
    """

    name = "webhook"
    external = True

    def __init__(self, facts: StreamFacts, settings: WebhookSettings, stop: Stop | None = None) -> None:
        self.delivered = 0
        self.undelivered = 0
        self._settings = settings
        self._endpoint = Endpoint.parse(settings.url, settings.headers)
        self._poster = Poster(self._endpoint)
        self._delivery = Delivery(settings, self._poster, stop or threading.Event())
        self._dead_letters = _DeadLetters(facts.folder / DEAD_LETTERS, settings.dead_letter_megabytes * MEGABYTE)
        self._stream_id = facts.stream_id
        self._batch: list[str] = []
        self._lock = threading.Lock()  # a runtime may close it while a write still waits for the server

    def open(self, state: dict[str, Any] | None) -> None:
        """See `Sink`. What an earlier run could not deliver stays."""

    def write(self, emission: Emission) -> None:
        """See `Sink`. Takes `total_seconds` at most."""
        if emission.replayed:
            return
        with self._lock:
            self._batch.append(emission.result.to_json(masks=self._settings.masks))
            if len(self._batch) >= self._settings.batch:
                self._flush()

    def state(self) -> dict[str, Any]:
        """See `Sink`. A batch that is not full is sent."""
        with self._lock:
            self._finish_batch()
            return {"delivered": self.delivered, "undelivered": self.undelivered}

    def close(self, remaining: Sequence[TrackRow] = ()) -> None:  # noqa: ARG002
        """See `Sink`. A batch that is not full is sent."""
        with self._lock:
            try:
                self._finish_batch()
            finally:
                self._poster.close()
                self._dead_letters.close()

    def _finish_batch(self) -> None:
        try:
            self._flush()
        except SinkError as error:
            if self._settings.on_error == "stop":
                raise
            logger.warning("%s: %s", self._stream_id, error)

    def _flush(self) -> None:
        if not self._batch:
            return
        lines, self._batch = self._batch, []
        body = lines[0] if self._settings.batch == 1 else f"[{','.join(lines)}]"
        reason = self._delivery.deliver(body.encode())
        if reason is None:
            self.delivered += len(lines)
            return
        self.undelivered += len(lines)
        self._dead_letters.append(lines, reason)
        raise SinkError(
            f"webhook {self._endpoint}: {reason}; check the server, and send what is in {DEAD_LETTERS} again"
        )


class _DeadLetters:
    """The file of what could not be delivered, up to a size.

    Args:
        path: made when it is needed; what is there already stays.
        limit_bytes: how large it may get.
    """

    def __init__(self, path: Path, limit_bytes: float) -> None:
        self._file = LineFile(path)
        self._limit_bytes = limit_bytes
        self._open = False
        self._full = False

    def append(self, records: Sequence[str], reason: str) -> None:
        """As many of the records as there is room for; SinkError where they cannot be written."""
        shown = json.dumps(reason, ensure_ascii=False)
        for record in records:
            line = f'{{"reason":{shown},"record":{record}}}'
            if self._position() + len(line.encode()) >= self._limit_bytes:
                self._give_up()
                return
            self._file.append([line])

    def close(self) -> None:
        self._file.close()
        self._open = False

    def _position(self) -> int:
        if not self._open:
            self._file.open(_whole_bytes(self._file.path))
            self._open = True
        return self._file.position

    def _give_up(self) -> None:
        if not self._full:
            logger.warning("%s is full: what cannot be delivered is lost from here on", self._file.path)
        self._full = True


def _whole_bytes(path: Path) -> int | None:
    """How much of a file is whole lines; None where there is none."""
    try:
        with path.open("rb") as file:
            position = file.seek(0, os.SEEK_END)
            while position:
                start = max(0, position - TAIL_BYTES)
                file.seek(start)
                end = file.read(position - start).rfind(b"\n")
                if end >= 0:
                    return start + end + 1
                position = start
            return 0
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot_write(path, error) from None

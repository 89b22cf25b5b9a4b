"""What is known of a track when it ends: one row of `tracks.jsonl`."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .errors import ConfigError

__all__ = ["TRACK_SCHEMA", "LabelSpan", "TrackRow"]

TRACK_SCHEMA = "streamseg.track/1"

Embedding = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class LabelSpan:
    """A label that a track carried from a frame on, until the next one."""

    from_frame: int
    label: str
    category_id: int
    vocabulary_version: int


@dataclass(frozen=True, slots=True, eq=False)
class TrackRow:
    """A finished track.

    Attributes:
        id: as in the frame records, unique within (stream, epoch).
        epoch: unbroken run of the stream.
        isthing: thing or stuff.
        first_frame, last_frame: index of the first and the last frame that it was seen in.
        first_pts, last_pts: their time in seconds; None where the source gives none.
        frames: how many frames it was seen in.
        confirmed: whether it was ever more than tentative.
        score: mean score of its frames.
        labels: what it was called, in order; only the latest are kept of a track that was renamed very often.
        in_vocabulary_embedding: (D,) mean trained class embedding.
        clip_embedding: (D,) mean CLIP embedding of its region. Against embeddings of words, these two rank and rename a
            finished track without its video.
    """

    id: int
    epoch: int
    isthing: bool
    first_frame: int
    last_frame: int
    first_pts: float | None
    last_pts: float | None
    frames: int
    confirmed: bool
    score: float
    labels: tuple[LabelSpan, ...]
    in_vocabulary_embedding: Embedding
    clip_embedding: Embedding

    def to_json(self, stream_id: str) -> str:
        """One line, without the line end. Embeddings are base64 of little-endian float16."""
        record = {
            "schema": TRACK_SCHEMA,
            "stream": stream_id,
            "epoch": self.epoch,
            "id": self.id,
            "isthing": self.isthing,
            "first_frame": self.first_frame,
            "last_frame": self.last_frame,
            "first_pts": self.first_pts,
            "last_pts": self.last_pts,
            "frames": self.frames,
            "confirmed": self.confirmed,
            "score": round(self.score, 6),
            "labels": [
                {
                    "from_frame": span.from_frame,
                    "label": span.label,
                    "category_id": span.category_id,
                    "vocabulary_version": span.vocabulary_version,
                }
                for span in self.labels
            ],
            "in_vocabulary_embedding": _encode(self.in_vocabulary_embedding),
            "clip_embedding": _encode(self.clip_embedding),
        }
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

    @classmethod
    def from_json(cls, line: str | bytes) -> Self:
        """The inverse of `to_json`; ConfigError where the line is no track."""
        try:
            record = json.loads(line)
            if record["schema"] != TRACK_SCHEMA:
                raise ConfigError(f"track has schema {record['schema']!r}, expected {TRACK_SCHEMA!r}")
            return cls._from_record(record)
        except (ValueError, KeyError, TypeError) as error:
            reason = f"no key {error}" if isinstance(error, KeyError) else str(error)
            raise ConfigError(f"not a track ({reason}), expected one line of schema {TRACK_SCHEMA!r}") from None

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> Self:
        plain = ("id", "epoch", "isthing", "first_frame", "last_frame", "first_pts", "last_pts", "frames", "confirmed")
        return cls(
            **{name: record[name] for name in plain},
            score=record["score"],
            labels=tuple(LabelSpan(**span) for span in record["labels"]),
            in_vocabulary_embedding=_decode(record["in_vocabulary_embedding"]),
            clip_embedding=_decode(record["clip_embedding"]),
        )


def _encode(embedding: Embedding) -> str:
    return base64.b64encode(embedding.astype("<f2").tobytes()).decode("ascii")


def _decode(text: str) -> Embedding:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f2").astype(np.float16)

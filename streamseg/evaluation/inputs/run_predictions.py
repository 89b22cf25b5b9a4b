"""A run of streamseg as predictions: what `streamseg run` has written, scored without an export.

Videos of the ground truth are found by name: a stream's first epoch is called like the stream, later ones
`<stream>-epoch-<n>`; one video and one stream go together whatever their names. Frames are paired by their place.
Categories are found by label, whatever their ids.
"""

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import EvaluationError, SinkError
from ...sinks.documents.records import Record, RecordedStream
from ..metrics.overlaps import Ids
from ..metrics.panoptic_quality import SegmentInfo
from .sides import Frame
from .sides import Video as TrueVideo

__all__ = ["RunPredictions", "is_run"]

MANIFEST = "run.json"


def is_run(path: Path) -> bool:
    """Whether a run was begun in a folder."""
    return (path / MANIFEST).is_file()


class RunPredictions:
    """The records of a run.

    Args:
        path: of the run's folder.
        labels: of the ground truth, by category id.

    Raises:
        EvaluationError: it cannot be read.
    """

    def __init__(self, path: Path, labels: Mapping[int, str]) -> None:
        self.document = path / MANIFEST
        try:
            names = list(json.loads(self.document.read_bytes())["streams"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvaluationError(
                f"cannot read {self.document} ({type(error).__name__}), expected the folder of a run"
            ) from None
        self._streams = [RecordedStream(name, path / name) for name in names]
        self._category_ids = {label.casefold(): key for key, label in labels.items()}
        self._labels = labels

    def follow(self, video: TrueVideo) -> Iterator[Frame]:
        try:
            yield from self._follow(video)
        except SinkError as error:
            raise EvaluationError(str(error)) from None

    def _follow(self, video: TrueVideo) -> Iterator[Frame]:
        stream, epoch, frames = self._find(video)
        if frames != len(video.frames):
            raise EvaluationError(
                f"{self.document.parent} recorded {frames} frames of {video.name}, expected {len(video.frames)} as in "
                "the ground truth: run again on its frames, without --stride"
            )
        for found, records in stream.records():
            if found.epoch == epoch:
                for record in records:
                    yield Frame(record.name, self._segments(record), partial(_map, record))

    def _find(self, video: TrueVideo) -> tuple[RecordedStream, int, int]:
        known = {found.name: (stream, found) for stream in self._streams for found in stream.videos}
        name = video.name if video.name in known or len(known) != 1 else next(iter(known))
        if name not in known:
            near = get_close_matches(name, known, n=1) or list(known)[:1]
            raise EvaluationError(
                f"{self.document.parent} has no stream {name!r} (there is {near[0]!r}), expected one for each video of "
                "the ground truth: name the streams like its videos"
                if near
                else f"{self.document.parent} has no records, expected those of video {name!r}"
            )
        stream, found = known[name]
        return stream, found.epoch, found.frames

    def _segments(self, record: Record) -> tuple[SegmentInfo, ...]:
        return tuple(
            SegmentInfo(segment["id"], self._category(segment), area=None, score=segment["score"])
            for segment in record.segments
        )

    def _category(self, segment: Mapping[str, Any]) -> int:
        label = str(segment["label"])
        category = self._category_ids.get(label.casefold())
        if category is None:
            raise EvaluationError(
                f"the run calls a segment {label!r}, expected one of {', '.join(list(self._labels.values())[:8])}...: "
                "run with the names of the ground truth's categories"
            )
        return category


def _map(record: Record) -> Ids:
    try:
        return record.ids()
    except SinkError as error:
        raise EvaluationError(str(error)) from None

"""Run folders without a run: records and tracks written as the sinks write them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from streamseg.frames import Frame, FrameResult, Segment
from streamseg.runs.folder import RECORDS, TRACKS, RunFolder
from streamseg.tracks import TrackRow
from streamseg.vocabulary import Vocabulary

FPS = 10
SIZE_HW = (20, 30)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
WORDS = Vocabulary.parse("car; person; sky:stuff; road:stuff", name="street")
OTHER_WORDS = Vocabulary.parse("car; vehicle; sky:stuff", name="other")

Box = tuple[int, int, int, int]
Named = tuple[str, Box]


def make_run(
    path: Path, streams: Mapping[str, Sequence[FrameResult]], *, masks: bool = True, **manifest: Any
) -> RunFolder:
    """A run with these records; `manifest` adds to what `run.json` says, and `facts` to what it says of each stream."""
    facts = {"source": "street.mp4", "kind": "recorded", "size": list(SIZE_HW), "fps": [FPS, 1], "recording": None}
    facts |= manifest.pop("facts", {})
    folder = RunFolder.create(
        path, {"state": "finished", **manifest, "streams": {name: dict(facts) for name in streams}}
    )
    for name, results in streams.items():
        write_records(folder.stream(name) / RECORDS, results, masks=masks)
    return folder


def write_records(path: Path, results: Iterable[FrameResult], *, masks: bool = True) -> None:
    path.write_text("".join(result.to_json(masks=masks) + "\n" for result in results), encoding="utf-8")


def write_tracks(run: RunFolder, stream: str, rows: Iterable[TrackRow]) -> None:
    text = "".join(row.to_json(stream) + "\n" for row in rows)
    (run.stream(stream) / TRACKS).write_text(text, encoding="utf-8")


def result(
    index: int,
    segments: Mapping[int, Named],
    *,
    epoch: int = 0,
    stream: str = "cam",
    words: Vocabulary = WORDS,
    live_seconds: float | None = None,
    timed: bool = True,
    size_hw: tuple[int, int] = SIZE_HW,
    **more: Any,
) -> FrameResult:
    """A frame with segments that fill their boxes (x, y, width, height), later ones over earlier ones."""
    frame = blank_frame(index, epoch=epoch, stream=stream, live_seconds=live_seconds, timed=timed, size_hw=size_hw)
    ids = np.zeros(size_hw, np.int32)
    for id_, (_, (x, y, width, height)) in segments.items():
        ids[y : y + height, x : x + width] = id_
    categories = {category.label: category for category in words.categories}
    described = [
        Segment(id_, categories[label].id, label, categories[label].isthing, 0.9, 1, (0, 0, 1, 1))
        for id_, (label, _) in segments.items()
    ]
    return FrameResult.from_map(frame, ids, described, model="demo", vocabulary=words, **more)


def failed(index: int, *, epoch: int = 0) -> FrameResult:
    """A frame that was lost to an error."""
    return FrameResult.failed(blank_frame(index, epoch=epoch), "out of memory", model="demo", vocabulary=WORDS)


def blank_frame(
    index: int,
    *,
    epoch: int = 0,
    stream: str = "cam",
    live_seconds: float | None = None,
    timed: bool = True,
    size_hw: tuple[int, int] = SIZE_HW,
) -> Frame:
    """A black picture at FPS frames a second, or of a camera so many seconds after noon."""
    rgb = np.zeros((*size_hw, 3), np.uint8)
    if live_seconds is not None:
        return Frame(rgb, index, stream, epoch, captured_at=NOON + timedelta(seconds=live_seconds), clock="arrival")
    ticks, base = (100 * index, Fraction(1, 100 * FPS)) if timed else (None, None)
    return Frame(rgb, index, stream, epoch, ticks, base)

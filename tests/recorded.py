"""Folders of runs as they would be recorded, from maps."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamseg.frames import Frame, FrameResult
from streamseg.sinks.base import Emission, StreamFacts
from streamseg.vocabulary import Vocabulary
from streamseg.world.dials import Dials
from streamseg.world.names import world_vocabulary
from streamseg.world.video import World

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Named:
    """What has to be known of a segment besides its pixels."""

    id: int
    category_id: int
    label: str
    isthing: bool
    score: float = 0.9


def result_of(
    ids: Ids, segments: Iterable[Named], vocabulary: Vocabulary, index: int = 0, *, epoch: int = 0, stream: str = "cam"
) -> FrameResult:
    rgb = np.full((*ids.shape, 3), 90, np.uint8)
    frame = Frame(rgb, index, stream, epoch, index, Fraction(1, 25))
    return FrameResult.from_map(frame, ids, segments, model="m", vocabulary=vocabulary)


def world_results(frames: int = 8) -> list[FrameResult]:
    """The truth of a short world of 96x128 pixels, as results."""
    return list(_world_results()[:frames])


@cache
def _world_results() -> tuple[FrameResult, ...]:
    vocabulary = world_vocabulary("shapes")
    ids = {category.label: category.id for category in vocabulary.categories}
    world = World(seed=3, size_hw=(96, 128), dials=Dials.from_difficulty(0.8))
    results = []
    for frame in (world.frame(20 * index) for index in range(8)):
        named = [Named(s.id, ids[s.label], s.label, s.isthing, 0.5 + s.id % 5 / 10) for s in frame.segments]
        results.append(result_of(frame.ids, named, vocabulary, len(results)))
    return tuple(results)


def emissions(results: Iterable[FrameResult], vocabulary: Vocabulary) -> Iterator[Emission]:
    for result in results:
        yield Emission(result, np.full((*result.size_hw, 3), 90, np.uint8), vocabulary)


def facts_of(folder: Path, vocabulary: Vocabulary, **options: Any) -> StreamFacts:
    folder.mkdir(parents=True, exist_ok=True)
    return StreamFacts(folder.name, folder, "m", vocabulary, **({"live": False, "fps": Fraction(25)} | options))


def record(folder: Path, results: Iterable[FrameResult], *, masks: bool = True) -> Path:
    """The records of one stream."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{result.to_json(masks=masks)}\n" for result in results)
    (folder / "records.jsonl").write_text(lines, encoding="utf-8")
    return folder


def run_folder(path: Path, streams: Mapping[str, tuple[list[FrameResult], Vocabulary | None]]) -> Path:
    """A run's folder."""
    known = {}
    for name, (results, vocabulary) in streams.items():
        record(path / name, results)
        known[name] = {} if vocabulary is None else {"vocabulary": vocabulary.to_dict()}
    (path / "run.json").write_text(json.dumps({"schema": "streamseg.run/1", "streams": known}))
    return path

"""A small stream for the tests of sinks, and the test that every sink which owns files has to pass: resume is exact."""

import json
import resource
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from streamseg.frames import Frame, FrameResult, Segment
from streamseg.sinks.base import Emission, Sink, StreamFacts
from streamseg.tracks import LabelSpan, TrackRow
from streamseg.vocabulary import Vocabulary

VOCABULARY = Vocabulary.parse("car; sky:stuff; person", name="street")
OTHER_WORDS = Vocabulary.parse("person; car; tree; sky:stuff", name="other")  # the same ids mean other things
SIZE_HW = (12, 20)
FAILED_FRAME = 5

MakeSink = Callable[[StreamFacts], Sink]
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def facts(folder: Path, *, live: bool = False) -> StreamFacts:
    """What a sink is told of the stream; its folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    return StreamFacts("cam", folder, "demo", VOCABULARY, live, Fraction(25))


def stream(count: int, *, epoch_length: int = 8, words_change_at: int = 12, live: bool = False) -> list[Emission]:
    """Frames in several epochs; one has failed, tracks end now and then, and the words change once."""
    return [
        emission(
            index,
            epoch=index // epoch_length,
            vocabulary=VOCABULARY if index < words_change_at else OTHER_WORDS,
            captured_at=NOON + timedelta(seconds=index) if live else None,
        )
        for index in range(count)
    ]


def emission(
    index: int,
    *,
    epoch: int = 0,
    vocabulary: Vocabulary = VOCABULARY,
    captured_at: datetime | None = None,
    replayed: bool = False,
) -> Emission:
    """One frame's results: two or three segments that move with the index."""
    rgb = np.full((*SIZE_HW, 3), index % 256, np.uint8)
    clock = "pts" if captured_at is None else "arrival"
    frame = Frame(rgb, index, "cam", epoch, 40 * index, Fraction(1, 1000), captured_at, clock)
    if index == FAILED_FRAME:
        result = FrameResult.failed(frame, "out of memory", model="demo", vocabulary=vocabulary)
    else:
        result = FrameResult.from_map(frame, *_map(index, vocabulary), model="demo", vocabulary=vocabulary)
    ended = tuple(row(number, epoch) for number in (index + 100, index)) if index % 3 == 2 else ()
    return Emission(result, rgb, vocabulary, ended, replayed)


def _map(index: int, vocabulary: Vocabulary) -> tuple[Any, list[Segment]]:
    """Ids and what they mean: sky above, and one or two cars on void."""
    ids = np.zeros(SIZE_HW, np.int32)
    ids[:4] = 70_000
    ids[6:10, index % 10 : index % 10 + 4] = 3
    if index % 2:
        ids[5:8, 16:19] = 300 + index
    categories = {category.label: category.id for category in vocabulary.categories}
    labels = {3: "car", 70_000: "sky"}
    return ids, [
        Segment(int(id_), categories[label], label, label != "sky", 0.5 + index % 50 / 100, 1, (0, 0, 1, 1))
        for id_ in np.unique(ids[ids > 0])
        for label in [labels.get(int(id_), "person")]
    ]


def row(number: int, epoch: int = 0) -> TrackRow:
    """A track that has ended."""
    embedding = np.full(4, number / 7, np.float16)
    span = LabelSpan(1, "car", 0, 1)
    return TrackRow(number + 1, epoch, True, 1, 2, 0.04, 0.08, 2, True, 0.5, (span,), embedding, embedding)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its place."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def write_all(sink: Sink, emissions: Iterable[Emission], remaining: Sequence[TrackRow] = ()) -> None:
    """A whole run."""
    sink.open(None)
    for each in emissions:
        sink.write(each)
    sink.close(remaining)


def kills(count: int, every: int) -> Iterator[tuple[int, int]]:
    """Frames at the commit, and frames at the kill: every so many-th place of the one, and two of the other."""
    for committed in range(0, count + 1, every):
        yield from ((committed, killed) for killed in {min(committed + committed % 7, count), count})


def assert_resumes_exactly(
    make: MakeSink, folder: Path, emissions: Sequence[Emission], remaining: Sequence[TrackRow] = (), *, every: int = 1
) -> dict[str, bytes]:
    """Wherever a run is killed, going on from its commit leaves the files that an uninterrupted one leaves."""
    write_all(make(facts(folder / "whole")), emissions, remaining)
    expected = tree(folder / "whole")
    for committed, killed in kills(len(emissions), every):
        place = folder / f"{committed}-{killed}"
        state = write_and_kill(make(facts(place)), emissions, committed, killed)
        resumed = make(facts(place))
        resumed.open(state)
        for each in emissions[committed:]:
            resumed.write(each)
        resumed.close(remaining)
        assert tree(place) == expected, f"committed after {committed} frames, killed after {killed}"
    return expected


def write_and_kill(sink: Sink, emissions: Sequence[Emission], committed: int, killed: int) -> dict[str, Any]:
    """Write without ever closing; returns the state at the commit, as it comes back from disk."""
    sink.open(None)
    state: dict[str, Any] = {}
    for number in range(killed + 1):
        if number == committed:
            state = json.loads(json.dumps(sink.state()))
        if number < killed:
            sink.write(emissions[number])
    return state


@contextmanager
def full_disk(room_bytes: int) -> Iterator[None]:
    """The kernel lets no file grow past so many bytes; what is written across the border is torn there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

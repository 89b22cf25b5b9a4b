from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from streamseg.config.run import PanopticSettings
from streamseg.config.tracking import TrackingSettings
from streamseg.frames import Frame, FrameResult
from streamseg.panoptic import panoptic_from_queries
from streamseg.pipeline.tracker import Tracker
from streamseg.queries import Queries
from streamseg.runs.commits import Commit, read_commit, write_commit
from streamseg.sources.base import Position
from streamseg.sources.world import to_frame
from streamseg.testing import WorldSegmenter
from streamseg.vocabulary import Vocabulary
from streamseg.world.dials import Dials
from streamseg.world.video import World

WORLD = World(seed=3, size_hw=(96, 160), fps=Fraction(10), seconds=3.0, dials=Dials.from_difficulty(0.3))
SEGMENTER = WorldSegmenter(WORLD)
WORDS = Vocabulary.load("world")
RENAMED = Vocabulary.parse("automobile,car; feline,cat; firmament,sky:stuff").with_background(WORDS)


@pytest.fixture(scope="module")
def stream() -> list[tuple[Queries, Frame]]:
    frames = [to_frame(WORLD.frame(index), WORLD.fps) for index in range(len(WORLD))]
    return list(zip(SEGMENTER.segment(frames, WORDS), frames, strict=True))


def records(tracker: Tracker, stream: list[tuple[Queries, Frame]]) -> Iterator[str]:
    for queries, frame in stream:
        yield tracker.update(queries, frame).to_json()


def test_identities_hold_and_are_counted(stream: list[tuple[Queries, Frame]]) -> None:
    tracker = Tracker(SEGMENTER)
    results = [tracker.update(queries, frame) for queries, frame in stream]
    first, last = results[5], results[-1]
    assert {segment.id for segment in first.segments} & {segment.id for segment in last.segments}
    assert max(segment.age for segment in last.segments) >= len(stream) - 3
    assert tracker.identities >= max(segment.id for result in results for segment in result.segments)
    assert all(result.model == "world-scripted" for result in results)
    for result in results:
        assert set(np.unique(result.panoptic)) - {0} == {segment.id for segment in result.segments}


@pytest.mark.parametrize("output_size", [None, (48, 80)])
def test_without_tracking_it_is_the_published_result(
    output_size: tuple[int, int] | None, stream: list[tuple[Queries, Frame]]
) -> None:
    tracker = Tracker(
        SEGMENTER,
        TrackingSettings(method="none"),
        panoptic=PanopticSettings(output_size=output_size, score_threshold=0.3),
    )
    for queries, frame in stream[:5]:
        published = panoptic_from_queries(queries, output_hw=output_size, score_threshold=0.3)
        result = tracker.update(queries, frame)
        np.testing.assert_array_equal(result.panoptic, published.ids)
        assert [(s.id, s.label, s.score) for s in result.segments] == [
            (s.id, s.label, pytest.approx(s.score)) for s in published.segments
        ]


@pytest.mark.parametrize("method", ["streamseg", "minvis"])
@pytest.mark.parametrize("stop", [1, 7, 20])
def test_a_saved_tracker_goes_on_bit_for_bit(
    method: str, stop: int, stream: list[tuple[Queries, Frame]], tmp_path: Path
) -> None:
    settings = TrackingSettings(method=method)  # type: ignore[arg-type]
    whole = list(records(Tracker(SEGMENTER, settings), stream))
    before = Tracker(SEGMENTER, settings)
    assert list(records(before, stream[:stop])) == whole[:stop]
    write_commit(tmp_path, Commit(Position(stop - 1, None), stop, {}, tracker=before.state_dict()))
    committed = read_commit(tmp_path)
    assert committed is not None
    after = Tracker(SEGMENTER, settings)
    after.load_state_dict(committed.tracker, WORDS)
    assert list(records(after, stream[stop:])) == whole[stop:]
    assert after.identities >= before.identities


def test_new_words_rename_at_once_and_identities_stay(stream: list[tuple[Queries, Frame]]) -> None:
    tracker = Tracker(SEGMENTER)
    for queries, frame in stream[:15]:
        before = tracker.update(queries, frame)
    queries, frame = stream[15]
    [renamed] = SEGMENTER.segment([frame], replace(RENAMED, version=2))
    after = tracker.update(renamed, frame)
    assert after.events == ("vocabulary_changed",)
    assert after.vocabulary_version == 2
    kept = {s.id for s in before.segments if s.label in ("car", "cat", "sky")} & {s.id for s in after.segments}
    for id_ in kept:
        assert after.segment(id_).label in ("automobile", "feline", "firmament")
    assert {segment.label for segment in after.segments} <= {"automobile", "feline", "firmament"}
    [again] = SEGMENTER.segment([stream[16][1]], replace(RENAMED, version=2))
    assert tracker.update(again, stream[16][1]).events == ()


def test_an_epoch_ends_all_tracks(stream: list[tuple[Queries, Frame]]) -> None:
    tracker = Tracker(SEGMENTER)
    shown: set[int] = set()
    for queries, frame in stream[:10]:
        shown |= {segment.id for segment in tracker.update(queries, frame).segments}
    queries, frame = stream[10]
    step = tracker.step(queries, replace(frame, epoch=1))
    assert step.result.epoch == 1
    assert shown <= {row.id for row in step.ended}
    assert all(row.epoch == 0 for row in step.ended)
    assert min((segment.id for segment in step.result.segments), default=1) == 1
    assert tracker.identities > max(shown)


def test_an_epoch_that_has_used_up_its_ids_is_followed_by_another(
    stream: list[tuple[Queries, Frame]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from streamseg.pipeline import tracker as module

    build = module.build_associator
    monkeypatch.setattr(module, "build_associator", lambda *given: build(*given, last_id=4))
    tracker = Tracker(SEGMENTER)
    results: list[FrameResult] = [tracker.update(queries, frame) for queries, frame in stream]
    epochs = [result.epoch for result in results]
    assert epochs == sorted(epochs)
    assert epochs[-1] > 0
    assert all(segment.id <= 4 for result in results for segment in result.segments)


def test_ids_that_may_have_been_given_out_already_are_not_given_again(stream: list[tuple[Queries, Frame]]) -> None:
    tracker = Tracker(SEGMENTER)
    tracker.update(*stream[0])
    state = tracker.state_dict()
    known = set(range(1, state["associator"]["register"]["book"]["next_id"]))
    assert Tracker.words_of(state) == WORDS
    assert Tracker.words_of({}) is None
    again = Tracker(SEGMENTER)
    again.load_state_dict(state, WORDS)
    again.skip_ids(0, 100)
    later = {segment.id for result in stream[1:] for segment in again.update(*result).segments}
    assert known & later
    assert later - known
    assert min(later - known) == 101
    fresh = Tracker(SEGMENTER)
    fresh.skip_ids(0, 100)
    assert min(segment.id for segment in fresh.update(*stream[0]).segments) == 101

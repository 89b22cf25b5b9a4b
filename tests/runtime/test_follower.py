"""Streams are followed in threads of their own, beside the model."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from streamseg.frames import Frame
from streamseg.pipeline.tracker import Step, Tracker
from streamseg.queries import Queries
from streamseg.runs.commits import read_commit
from streamseg.testing import WorldSegmenter
from streamseg.vocabulary import Vocabulary
from tests.runtime.small_runs import FRAMES, prepared, segmenter_for

PATIENCE_SECONDS = 60.0


class Watched(WorldSegmenter):
    """Notes torch's number of threads, and says when the third frame is being segmented."""

    def __init__(self, base: WorldSegmenter) -> None:
        super().__init__(base.worlds)
        self.threads: set[int] = set()
        self.third = threading.Event()

    def segment(self, frames: Sequence[Frame], vocabulary: Vocabulary | Sequence[Vocabulary]) -> list[Queries]:
        self.threads.add(torch.get_num_threads())
        if any(frame.index == 2 for frame in frames):
            self.third.set()
        return super().segment(frames, vocabulary)


@pytest.fixture
def segmenter() -> Watched:
    return Watched(segmenter_for("world:seed=5,seconds=4,fps=10,size=160x96,difficulty=0.4"))


def test_the_model_goes_on_while_a_frame_is_followed(segmenter: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    step, waited = Tracker.step, []

    def slow(self: Tracker, queries: Queries, frame: Frame) -> Step:
        if frame.index == 0:
            waited.append(segmenter.third.wait(PATIENCE_SECONDS))
        return step(self, queries, frame)

    monkeypatch.setattr(Tracker, "step", slow)
    assert [result.index for result in prepared(segmenter=segmenter).results()] == list(range(FRAMES))
    assert waited == [True]


def test_passes_side_by_side_write_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for threads in (1, 4):
        folder = tmp_path / str(threads)
        assert len(list(prepared(output=folder, torch_threads=threads, sinks=["jsonl", "tracks"]).results())) == FRAMES
        written.append([(folder / "world" / name).read_bytes() for name in ("records.jsonl", "tracks.jsonl")])
    assert written[0] == written[1]


def in_a_fresh_thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


LARGE: dict[str, Any] = {"model": {"name": "demo", "short_side": 800, "max_long_side": 1333}}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, 1), (LARGE, 3), ({"torch_threads": 2}, 1), ({"torch_threads": 2, **LARGE}, 2)],
    ids=["small", "large", "two for small", "two for large"],
)
def test_torch_threads_are_the_models(
    settings: dict[str, Any], expected: int, segmenter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large frames get them all, small ones are computed side by side; followers take one. Nobody else notices."""
    step, followers = Tracker.step, set()

    def noted(self: Tracker, queries: Queries, frame: Frame) -> Step:
        followers.add(torch.get_num_threads())
        return step(self, queries, frame)

    monkeypatch.setattr(Tracker, "step", noted)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        given = {"torch_threads": None, "selection": {"max_frames": 6}, **settings}
        list(prepared(segmenter=segmenter, **given).results())
        assert (segmenter.threads, followers, in_a_fresh_thread()) == ({expected}, {1}, 3)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_tracker_that_fails_ends_the_run_without_a_commit_of_its_state(
    tmp_path: Path, segmenter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Tracker, queries: Queries, frame: Frame) -> Any:
        del self, queries
        raise RuntimeError(f"frame {frame.index} is more than it can take")

    monkeypatch.setattr(Tracker, "step", broken)
    with pytest.raises(RuntimeError, match="frame 0 is more than it can take"):
        list(prepared(output=tmp_path, segmenter=segmenter).results())
    assert read_commit(tmp_path / "world") is None

"""`streamseg.run` and `streamseg.Tracker`, as a program uses them; only the model is a stand-in."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import streamseg
from streamseg.runs.folder import RunFolder
from tests.cli.quick_run import Builder, QuickSegmenter, use_quick_model
from tests.media import CLIPS, make

FRAMES = 24
PATIENCE_SECONDS = 60


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, CLIPS["mkv"], name="street.mkv")
    return tmp_path


@pytest.fixture(autouse=True)
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    return use_quick_model(monkeypatch)


@pytest.fixture(autouse=True)
def threads_before() -> Iterator[set[threading.Thread]]:
    """Those that others have left in this process, such as progress bars; a test leaves none behind."""
    before = set(threading.enumerate())
    yield before
    assert set(threading.enumerate()) <= before


def test_results_of_every_frame(here: Path) -> None:
    before = sorted(here.iterdir())
    results = list(streamseg.run("street.mkv", classes=["car", "person", "road:stuff"], background="none"))
    assert [result.index for result in results] == list(range(FRAMES))
    assert [(s.label, s.id, s.isthing) for s in results[-1].segments] == [("car", 1, True), ("person", 2, True)]
    assert np.array_equal(np.unique(results[-1].panoptic), [1, 2])
    assert results[-1].mask(1).sum() == 48 * 32
    assert sorted(here.iterdir()) == before


class WordsSegmenter(QuickSegmenter):
    """Remembers the vocabulary it was last asked about."""

    asked: Any = None

    def segment(self, frames: Any, vocabulary: Any) -> Any:
        self.asked = vocabulary if isinstance(vocabulary, streamseg.Vocabulary) else vocabulary[0]
        return super().segment(frames, vocabulary)


@pytest.mark.parametrize(("background", "surrounded"), [("auto", True), ("none", False)])
def test_classes_get_a_background_as_on_the_command_line(background: str, surrounded: bool) -> None:
    segmenter: Any = WordsSegmenter()
    for result in streamseg.run("street.mkv", classes="car; zeppelin", background=background, segmenter=segmenter):
        assert {segment.label for segment in result.segments} == {"car", "zeppelin"}
    words = segmenter.asked
    assert [category.label for category in words.categories] == ["car", "zeppelin"]
    assert bool(words.background) == surrounded


def test_a_vocabulary_is_taken_as_it_is() -> None:
    words = streamseg.Vocabulary.parse("zeppelin; sky:stuff")
    result = next(iter(streamseg.run("street.mkv", vocabulary=words)))
    assert [segment.label for segment in result.segments] == ["zeppelin", "sky"]
    with pytest.raises(streamseg.ConfigError, match="taken as it is: leave classes and background out"):
        streamseg.run("street.mkv", vocabulary=words, background="auto")


@pytest.mark.parametrize(
    "source", [["street.mkv", Path("street.mkv")], ("street.mkv", "street.mkv"), "str*t.mkv", Path("street.mkv")]
)
def test_several_sources(source: Any) -> None:
    found: dict[str, list[int]] = {}
    for result in streamseg.run(source, settings={"selection": {"max_frames": 3}}):
        found.setdefault(result.stream_id, []).append(result.index)
    several = isinstance(source, list | tuple)
    assert found == {name: [0, 1, 2] for name in ("street", "street-2")[: 1 + several]}


def test_files_when_there_is_an_output() -> None:
    list(streamseg.run("street.mkv", output=Path("out")))
    assert (Path("out") / "street" / "records.jsonl").read_text().count("\n") == FRAMES
    list(streamseg.run("street.mkv", output="out", save="jsonl,tracks", overwrite=True))
    assert (Path("out") / "street" / "tracks.jsonl").exists()
    list(streamseg.run("street.mkv", output="pngs", save=["png"]))
    assert not (Path("pngs") / "street" / "records.jsonl").exists()
    assert len(list((Path("pngs") / "street" / "epoch-0" / "panoptic").glob("*.png"))) == FRAMES


def test_going_on() -> None:
    list(streamseg.run("street.mkv", output="whole"))
    for result in streamseg.run("street.mkv", output="out"):
        if result.index == 7:
            break
    assert RunFolder.open("out").manifest["state"] == "stopped"
    rest = list(streamseg.run("street.mkv", output="out", resume=True))
    assert rest[-1].index == FRAMES - 1
    assert (Path("out/street/records.jsonl")).read_bytes() == Path("whole/street/records.jsonl").read_bytes()
    assert list(streamseg.run("street.mkv", output="out", resume=True)) == []


def test_while_it_goes_on_it_says_so() -> None:
    first = streamseg.run("street.mkv", output="out")
    next(first)
    del first
    second = streamseg.run("street.mkv", output="out", resume=True)
    assert RunFolder.open("out").manifest["state"] == "running"
    list(second)
    assert RunFolder.open("out").manifest["state"] == "finished"


def test_a_config_and_what_counts_over_it(builder: Builder) -> None:
    Path("c.yaml").write_text(
        "sources: [street.mkv]\nvocabulary: {vocabulary: ade20k}\nselection: {max_frames: 2}\n"
        "sinks: [jsonl, {kind: video, min_side: null}]\noutput: out\nmodel: {name: demo}\n"
    )
    assert len(list(streamseg.run(config="c.yaml"))) == 2
    given = {"selection": {"max_frames": 1}, "batch": {"max_batch": 2}}
    results = streamseg.run(config="c.yaml", classes="car", output="b", save="video", settings=given)
    assert [result.vocabulary_name for result in results] == ["custom"]
    settings = builder.calls[-1][0]
    assert settings.model.name == "demo"
    assert settings.sinks[0].min_side is None
    assert not Path("b/street/records.jsonl").exists()


def test_a_segmenter_that_is_there_already(builder: Builder) -> None:
    assert len(list(streamseg.run("street.mkv", segmenter=QuickSegmenter()))) == FRAMES  # type: ignore[arg-type]
    assert not builder.calls


MISTAKES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({}, streamseg.ConfigError, "no source is given"),
    ({"source": []}, streamseg.ConfigError, "no source is given"),
    ({"source": b"street.mkv"}, streamseg.ConfigError, r"source b'street.mkv' is of type bytes, expected a path, URL"),
    ({"source": [3.5]}, streamseg.ConfigError, "source 3.5 is of type float"),
    ({"source": "nowhere.mkv"}, streamseg.SourceError, "no such file: 'nowhere.mkv'"),
    ({"classes": ["car", 3]}, streamseg.ConfigError, "class 3 is of type int, expected text such as 'road:stuff'"),
    ({"classes": []}, streamseg.VocabularyError, "'custom' is empty"),
    ({"classes": "car", "vocabulary": "coco"}, streamseg.ConfigError, "expected either classes or a vocabulary"),
    ({"model": "dmo"}, streamseg.ConfigError, "unknown model 'dmo'"),
    ({"config": "nope"}, streamseg.ConfigError, "no config file 'nope'"),
    ({"settings": {"trackin": {}}}, streamseg.ConfigError, "unknown setting trackin"),
    ({"save": "png"}, streamseg.ConfigError, "save is 'png', and there is no folder for it: give output as well"),
    ({"save": "pgn", "output": "out"}, streamseg.ConfigError, "does not know 'pgn': did you mean 'png'"),
    ({"resume": True}, streamseg.ConfigError, "there is none: give output"),
    ({"resume": True, "overwrite": True, "output": "out"}, streamseg.ConfigError, "both resume and overwrite"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), MISTAKES)
def test_mistakes_are_told_before_anything_is_loaded(
    arguments: dict[str, Any], error: type[Exception], message: str, here: Path, builder: Builder
) -> None:
    given = arguments if "source" in arguments or arguments == {} else {"source": "street.mkv", **arguments}
    before = sorted(here.iterdir())
    with pytest.raises(error, match=message):
        streamseg.run(**given)
    assert not builder.calls
    assert sorted(here.iterdir()) == before


def test_the_parts_give_what_the_whole_gives() -> None:
    words = streamseg.Vocabulary.parse("car; road:stuff")
    segmenter: Any = QuickSegmenter()
    whole = list(streamseg.run("street.mkv", vocabulary=words, segmenter=segmenter))
    tracker = streamseg.Tracker(segmenter)
    for expected in whole:
        frame = streamseg.Frame(
            np.zeros((48, 64, 3), np.uint8),
            expected.index,
            "street",
            pts_ticks=expected.pts_ticks,
            time_base=expected.time_base,
        )
        (queries,) = segmenter.segment([frame], words)
        assert tracker.update(queries, frame).to_json() == expected.to_json()
    assert all(isinstance(row, streamseg.TrackRow) for row in tracker.finish())


def in_child(target: Callable[..., None], *arguments: Any) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("forkserver").Process(target=target, args=arguments)
    process.start()
    return process


def hold_on_to_the_results(folder: str) -> None:
    """A program as people write it: the results have a name at its top level."""
    os.chdir(folder)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - the traceback of KeyboardInterrupt
    held.append(streamseg.run("street.mkv", output="out", segmenter=QuickSegmenter(0.05)))  # type: ignore[arg-type]
    for _ in held[0]:
        pass


held: list[Any] = []


def test_ctrl_c_ends_a_program_that_holds_on_to_its_results(here: Path) -> None:
    process = in_child(hold_on_to_the_results, str(here))
    records = here / "out" / "street" / "records.jsonl"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not records.exists() or records.read_bytes().count(b"\n") < 3:
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(PATIENCE_SECONDS)
    assert process.exitcode is not None
    assert RunFolder.open(here / "out").manifest["state"] == "stopped"
    list(streamseg.run("street.mkv", output=here / "out", resume=True))
    assert records.read_bytes().count(b"\n") == FRAMES


def test_a_thread_that_dies_with_the_results_in_its_hands_ends_the_run(threads_before: set[threading.Thread]) -> None:
    kept: list[Iterator[streamseg.FrameResult]] = []

    def take_one() -> None:
        kept.append(streamseg.run("street.mkv", output="out"))
        next(kept[0])

    taker = threading.Thread(target=take_one)
    taker.start()
    taker.join()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not set(threading.enumerate()) <= threads_before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert RunFolder.open("out").manifest["state"] == "stopped"

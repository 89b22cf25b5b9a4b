"""The suite end to end on a short world: oracle queries, kept on disk, through every method."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from streamseg.config.tracking import TrackingSettings
from streamseg.errors import EvaluationError
from streamseg.evaluation.command import main
from streamseg.evaluation.tracking import command
from streamseg.evaluation.tracking.ablations import ablations
from streamseg.evaluation.tracking.follow import follow_truth
from streamseg.evaluation.tracking.queries import SeenFrame
from streamseg.evaluation.tracking.scenarios import SCENARIOS, Sequence
from streamseg.evaluation.tracking.suite import FUSED_MINVIS, PERFECT, Eyesight, Method, maps_of, run_suite
from streamseg.evaluation.tracking.table import rows_as_dict, suite_markdown, variants_markdown
from streamseg.frames import Frame
from streamseg.pipeline.tracker import Tracker

OURS = TrackingSettings()


@pytest.fixture(scope="module")
def short() -> Sequence:
    """A second of words that change in mid-run."""
    scenario = replace(SCENARIOS[-1], frames=12, fps=Fraction(12))
    return Sequence(scenario.name, 0, scenario.world("tuning", 1), "world", scenario.vocabularies, repr(scenario))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("queries")


@pytest.fixture(scope="module")
def seen(short: Sequence, kept: Path) -> list[SeenFrame]:
    return Eyesight("oracle", kept).frames(short)


def test_what_was_seen_is_read_back_exactly(short: Sequence, kept: Path, seen: list[SeenFrame]) -> None:
    again = Eyesight("oracle", kept).frames(short)
    assert len(list((kept / "oracle").glob("vocabulary-0-*.pt"))) == 1
    for first, second in zip(seen, again, strict=True):
        assert (first.index, first.seconds, first.segments) == (second.index, second.seconds, second.segments)
        assert first.picture_change == second.picture_change
        np.testing.assert_array_equal(first.ids, second.ids)
        assert first.queries.vocabulary == second.queries.vocabulary
        assert first.queries.geometry == second.queries.geometry
        assert first.queries.mask_logits.equal(second.queries.mask_logits)
        assert first.queries.class_log_scores.equal(second.queries.class_log_scores)


def test_another_recipe_is_another_file(short: Sequence, kept: Path, seen: list[SeenFrame]) -> None:
    del seen
    Eyesight("oracle", kept).frames(replace(short, recipe="another"))
    assert len(list((kept / "oracle").glob("vocabulary-0-*.pt"))) == 2


def test_a_damaged_file_is_named(short: Sequence, tmp_path: Path) -> None:
    eyesight = Eyesight("oracle", tmp_path)
    eyesight.frames(short)
    (path,) = (tmp_path / "oracle").iterdir()
    path.write_bytes(b"PK nothing")
    with pytest.raises(EvaluationError, match=r"cannot read .*delete it") as error:
        eyesight.frames(short)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", ["streamseg", "minvis"])
def test_maps_are_those_of_the_tracker(short: Sequence, seen: list[SeenFrame], method: str) -> None:
    settings = replace(OURS, method=method)  # type: ignore[arg-type]
    segmenter = Eyesight("oracle").segmenter_for(short)
    tracker = Tracker(segmenter, settings)  # type: ignore[arg-type]
    for frame, found in zip(seen, maps_of(seen, settings, segmenter), strict=True):
        rgb = short.video.frame(frame.index).rgb
        picture = Frame(rgb, frame.index, "world", pts_ticks=frame.index, time_base=1 / short.video.fps)
        result = tracker.update(frame.queries, picture)
        np.testing.assert_array_equal(found.ids, result.panoptic)
        assert [segment.id for segment in found.segments] == [segment.id for segment in result.segments]
        assert "vocabulary_changed" in result.events or found.events == result.events


def test_perfect_identities_are_those_of_the_truth(seen: list[SeenFrame]) -> None:
    for frame, found in zip(seen, follow_truth(seen), strict=True):
        true = {segment.id for segment in frame.segments}
        assert {segment.id for segment in found.segments} <= true
        for segment in found.segments:
            mask, truth = found.ids == segment.id, frame.ids == segment.id
            assert (mask & truth).sum() > 0


def test_every_method_is_scored_on_the_same_queries(short: Sequence, kept: Path) -> None:
    methods: dict[str, Method] = {"ours": OURS, "minvis": TrackingSettings(method="minvis")}
    methods |= {FUSED_MINVIS: FUSED_MINVIS, PERFECT: PERFECT}
    calls: list[tuple[int, int]] = []
    rows = run_suite([short], methods, Eyesight("oracle", kept), progress=lambda *call: calls.append(call))
    assert calls == [(1, 1)]
    found = rows["vocabulary"]
    assert found["ours"].stq > found["minvis"].stq
    assert found[PERFECT].idsw == 0
    assert found[PERFECT].shown > 0.9
    assert 0.5 < found["ours"].named <= 1
    document = rows_as_dict(rows)
    assert document["mean"]["ours"]["stq"] == document["vocabulary"]["ours"]["stq"]
    assert suite_markdown(rows).count("\n") == 2 + 2 * len(methods)
    assert variants_markdown(rows).count("\n") == 2 + len(methods)


def test_words_that_change_keep_identities(short: Sequence, seen: list[SeenFrame]) -> None:
    maps = list(maps_of(seen, OURS, Eyesight("oracle").segmenter_for(short)))
    before = {segment.id for segment in maps[3].segments if segment.isthing}
    after = {segment.id: segment.label for segment in maps[4].segments if segment.isthing}
    assert before & after.keys()
    assert all(" " in label for label in after.values())  # 'red car' from here on


def test_ablations_change_one_thing_each() -> None:
    variants = ablations(OURS)
    assert variants["everything"] == OURS
    assert len(set(variants.values())) == len(variants)


def test_the_command_writes_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = tuple(replace(scenario, frames=6) for scenario in SCENARIOS)
    monkeypatch.setattr("streamseg.evaluation.tracking.scenarios.SCENARIOS", short)
    call = ["tracking", "--queries", "oracle", "--scenarios", "light", "--tuning-seeds"]
    call += ["--cache", str(tmp_path / "cache"), "--pictures", str(tmp_path), "--output", str(tmp_path / "table")]
    assert main(call) == 0
    document = json.loads((tmp_path / "table.json").read_text())
    assert set(document["oracle"]) == {"light", "mean"}
    assert document["pictures"] is None  # none there: skipped, with a reason
    assert set(document["oracle"]["light"]) == set(command.METHODS)
    text = (tmp_path / "table.md").read_text()
    assert "| light | streamseg |" in text
    assert document["command"] in text


def test_the_search_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = tuple(replace(scenario, frames=3) for scenario in SCENARIOS)
    monkeypatch.setattr("streamseg.evaluation.tracking.scenarios.SCENARIOS", short)
    call = ["tracking", "tune", "--queries", "oracle", "--scenarios", "light", "--trials", "2"]
    call += ["--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "tuned")]
    assert main(call) == 0
    assert len(json.loads((tmp_path / "tuned.json").read_text())["trials"]) == 2


def test_no_trials_are_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tracking", "tune", "--trials", "0"]) == 2
    assert "expected at least one trial" in capsys.readouterr().err

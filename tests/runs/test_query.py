"""Asking a run for words: what the scores are, who is asked, and what is said where that cannot be."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from streamseg.errors import ConfigError, VocabularyError
from streamseg.fcclip.classifier import ClassScores, geometric_ensemble
from streamseg.runs.query import load_model, parse_query, query_tracks, tracks_of
from streamseg.tracks import LabelSpan, TrackRow
from streamseg.vocabulary import Vocabulary
from tests.runs.made_runs import make_run, result, write_tracks

AXES = {"car": 0, "red car": 1, "person": 2}
WIDTH = 4
VOID = WIDTH - 1
SCALE = 5.0


class Axes:
    """A model whose every word is an axis of space, and void the last one; the ensemble is the real one."""

    def __init__(self) -> None:
        self.training_vocabulary = Vocabulary.parse("car; person", name="training")
        self.device = torch.device("cpu")
        self.spec = SimpleNamespace(name="axes", embed_dim=WIDTH)
        self.asked: list[Vocabulary] = []
        self.batches: list[int] = []

    def class_scores(
        self, in_embedding: Tensor, out_embedding: Tensor, valid: Tensor, vocabulary: Vocabulary
    ) -> ClassScores:
        self.asked.append(vocabulary)
        self.batches.append(len(in_embedding))
        axes = [AXES[category.label] for category in vocabulary.all_categories]
        inside, clip = (SCALE * F.normalize(embedding, dim=-1) for embedding in (in_embedding, out_embedding))
        seen = torch.tensor([category.label != "red car" for category in vocabulary.all_categories])
        return geometric_ensemble(inside[:, [*axes, VOID]], clip[:, axes], seen, alpha=0.4, beta=0.8, valid=valid)


def track(
    id_: int, inside: list[float], clip: list[float] | None = None, *, confirmed: bool = True, epoch: int = 0
) -> TrackRow:
    spans = (LabelSpan(0, "thing", 0, 1), LabelSpan(3, "car", 1, 1))
    embeddings = (np.array(each, np.float16) for each in (inside, inside if clip is None else clip))
    return TrackRow(id_, epoch, True, 0, 9, 0.0, 0.9, 10, confirmed, 0.8, spans, *embeddings)


CAR, RED_CAR, PERSON, NOTHING = np.eye(WIDTH).tolist()


def found(model: Axes, words: str, *rows: TrackRow, **more: int) -> list[tuple[int, float]]:
    answers = query_tracks((("cam", row) for row in rows), parse_query(words), model, **more)
    return [(answer.track.id, answer.score) for answer in answers]


def test_the_score_is_the_published_class_score() -> None:
    model = Axes()
    ((id_, score),) = found(model, "car", track(7, CAR))
    # Two categories, car and person; both classifiers say e^5 : 1, so does their ensemble; void stands beside them.
    share = math.exp(5) / (math.exp(5) + 1)
    void = 1 / (math.exp(5) + 2)
    assert id_ == 7
    assert score == pytest.approx(share * (1 - void), rel=1e-4)


def test_the_query_competes_with_the_training_vocabulary() -> None:
    model = Axes()
    found(model, "red car", track(1, CAR))
    (vocabulary,) = model.asked
    assert [category.label for category in vocabulary.categories] == ["red car"]
    assert [category.label for category in vocabulary.background] == ["car", "person"]


def test_best_first_and_no_more_than_asked_for() -> None:
    half = [1.0, 1.0, 0.0, 0.0]
    rows = [track(1, PERSON), track(2, half), track(3, RED_CAR), track(4, CAR)]
    ranked = found(Axes(), "red car", *rows)
    assert [id_ for id_, _ in ranked] == [3, 2, 1, 4]
    assert [score for _, score in ranked] == sorted((score for _, score in ranked), reverse=True)
    assert found(Axes(), "red car", *rows, top=2) == ranked[:2]


def test_equal_scores_come_in_order_of_epoch_and_id() -> None:
    rows = [track(3, CAR, epoch=1), track(9, CAR), track(2, CAR)]
    assert [id_ for id_, _ in found(Axes(), "car", *rows)] == [2, 9, 3]


def test_without_a_clip_embedding_the_trained_classifier_stands_alone() -> None:
    nothing = [0.0] * WIDTH
    ((_, alone),) = found(Axes(), "red car", track(1, RED_CAR, nothing))
    share = math.exp(5) / (math.exp(5) + 2)
    assert alone == pytest.approx(share * (1 - 1 / (math.exp(5) + 3)), rel=1e-4)


def test_what_is_nothing_scores_low_for_any_words() -> None:
    ((_, score),) = found(Axes(), "car", track(1, NOTHING))
    assert score == pytest.approx(0.5 * (1 - math.exp(5) / (math.exp(5) + 2)), rel=1e-4)


def test_tentative_tracks_are_asked_on_request() -> None:
    rows = [track(1, PERSON), track(2, CAR, confirmed=False)]
    assert [id_ for id_, _ in found(Axes(), "car", *rows)] == [1]
    assert [id_ for id_, _ in found(Axes(), "car", *rows, tentative=True)] == [2, 1]


def test_many_tracks_are_asked_in_batches() -> None:
    model = Axes()
    ranked = found(model, "car", *(track(id_, PERSON if id_ != 2000 else CAR) for id_ in range(1, 2501)), top=1)
    assert model.batches == [1024, 1024, 452]
    assert ranked[0][0] == 2000


def test_tracks_without_any_embedding_are_left_out() -> None:
    assert found(Axes(), "car", track(1, [], [])) == []


def test_embeddings_of_another_model_are_named() -> None:
    with pytest.raises(ConfigError, match="track 3 of stream 'cam' has embeddings of 2 numbers, expected 4 as axes"):
        found(Axes(), "car", track(3, [1.0, 0.0]))


@pytest.mark.parametrize("words", ["car; person", ""])
def test_a_query_is_one_category(words: str) -> None:
    with pytest.raises(VocabularyError) as error:
        parse_query(words)
    assert "\n" not in str(error.value)


def test_answers_say_what_the_run_said(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"cam": [result(0, {})], "door": [result(0, {})]})
    write_tracks(run, "cam", [track(1, PERSON)])
    write_tracks(run, "door", [track(1, CAR)])
    best, other = query_tracks(tracks_of(run, run.streams), parse_query("car"), Axes())
    assert best.to_dict() == {
        "score": round(best.score, 6),
        "stream": "door",
        "epoch": 0,
        "id": 1,
        "label": "car",
        "isthing": True,
        "confirmed": True,
        "first_frame": 0,
        "last_frame": 9,
        "first_pts": 0.0,
        "last_pts": 0.9,
        "frames": 10,
    }
    assert other.stream == "cam"


def test_missing_tracks_are_named_at_once(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"cam": [result(0, {})]})
    with pytest.raises(ConfigError, match=r"holds no tracks.jsonl: run with --save jsonl,tracks"):
        tracks_of(run, ["cam"])


class TestPackagedModel:
    """The demo model, which is small enough to be loaded here."""

    def test_words_find_their_own_embedding(self, tmp_path: Path) -> None:
        run = make_run(tmp_path / "run", {"cam": [result(0, {})]}, settings={"model": {"name": "demo"}})
        model = load_model(run, progress=False)
        words = ["red car", "blue fish", "green tree"]
        rows = [track(id_, row.tolist()) for id_, row in enumerate(model.text(words), start=1)]
        write_tracks(run, "cam", rows)
        for id_, text in enumerate(words, start=1):
            best = query_tracks(tracks_of(run, ["cam"]), parse_query(text), model)[0]
            assert best.track.id == id_, text

    def test_its_weights_are_those_of_the_run(self, tmp_path: Path) -> None:
        identity = load_model(
            make_run(tmp_path / "first", {"cam": []}, settings={"model": {"name": "demo"}}), progress=False
        ).identity()
        run = make_run(tmp_path / "same", {"cam": []}, identity={"segmenter": identity})
        assert load_model(run, progress=False).spec.name == "demo"
        other = make_run(tmp_path / "other", {"cam": []}, identity={"segmenter": {**identity, "weights": "0" * 16}})
        with pytest.raises(ConfigError, match=r"the weights of demo \(.*\) are not those of the run, demo \(0000"):
            load_model(other, progress=False)


def test_a_run_that_names_no_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not say which model it was made with: name it with --model"):
        load_model(make_run(tmp_path / "run", {"cam": []}))

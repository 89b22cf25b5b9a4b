"""Scores on the procedural world, with a segmenter that knows the truth and errs as it is told."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from streamseg.errors import ConfigError
from streamseg.evaluation.command import main
from streamseg.evaluation.metrics.agreement import Agreement, MapAgreement
from streamseg.evaluation.world import scores as world_scores
from streamseg.evaluation.world.report import WorldReport, evaluate_world, world_tables
from streamseg.evaluation.world.scores import (
    IN_VOCABULARY,
    MAX_PICTURES,
    OUT_OF_VOCABULARY,
    POOLS,
    VOCABULARIES,
    Ensemble,
    WorldPool,
    ground_truth,
    present_things,
    score_pool,
    seeds_of,
    tune_ensemble,
    unseen_categories,
)
from streamseg.fcclip.text import TextEmbeddings
from streamseg.panoptic import PanopticMap, PanopticSegment
from streamseg.queries import MaskGeometry, Queries
from streamseg.segmenter import Segmenter
from streamseg.vocabulary import Vocabulary
from streamseg.world.names import Composition, world_vocabulary
from streamseg.world.renderer import RenderedWorld
from streamseg.world.snapshot import WorldSegment
from streamseg.world.stills import render_still
from tests.small_models import SMALL_CONVNEXT, WordVectors, small_model

MIXED = Ensemble(0.0, 1.0)  # the trained classifier for seen categories, the frozen one for unseen ones


class Oracle(Segmenter):
    """Finds every segment, and embeds it as its names under both vocabularies.

    Its trained classifier takes unseen names for the sky, its frozen one seen names: only together they are right.

    Attributes:
        passes: number of pictures that it was shown.
        missed: leave out the last segment of every picture.
    """

    def __init__(self, stills: dict[bytes, RenderedWorld], *, missed: bool = False, **options: Any) -> None:
        model = small_model(replace(SMALL_CONVNEXT, alpha=MIXED.alpha, beta=MIXED.beta))
        super().__init__(model, TextEmbeddings(WordVectors(model.spec.embed_dim), None), **options)
        self.training_vocabulary = self.objectness_vocabulary = world_vocabulary("training")
        model.mask_decoder.logit_scale.data.fill_(np.log(100))
        model.backbone.clip_model.logit_scale.data.fill_(np.log(100))
        self.stills = stills
        self.missed = missed
        self.passes = 0

    def segment(self, frames: Sequence[Any], vocabulary: Vocabulary | Sequence[Vocabulary]) -> list[Queries]:
        assert isinstance(vocabulary, Vocabulary)
        self.passes += len(frames)
        return [self._truth(self.stills[frame.tobytes()], vocabulary) for frame in frames]

    def _truth(self, still: RenderedWorld, vocabulary: Vocabulary) -> Queries:
        segments = [entry for entry in still.segments if not entry.iscrowd]
        segments = segments[:-1] if self.missed else segments
        ids = torch.from_numpy(still.ids)
        masks = torch.stack([torch.where(ids == entry.id, 9.0, -9.0) for entry in segments])
        size = (still.ids.shape[0], still.ids.shape[1])
        count, zeros = len(segments), torch.zeros(len(segments))
        return Queries(
            vocabulary=vocabulary,
            geometry=MaskGeometry(size, size, size),
            slots=torch.arange(count),
            mask_logits=masks,
            class_log_scores=torch.zeros(count, len(vocabulary)),
            void_probability=zeros,
            training_void_probability=zeros,
            in_vocabulary_embedding=torch.stack([self._embedding(entry, when_seen=True) for entry in segments]),
            out_of_vocabulary_embedding=torch.stack([self._embedding(entry, when_seen=False) for entry in segments]),
            clip_valid=torch.ones(count, dtype=torch.bool),
            query_embedding=torch.zeros(count, 4),
            pixel_feature=torch.zeros(count, 4),
            global_clip_embedding=torch.zeros(4),
        )

    def _embedding(self, segment: WorldSegment, *, when_seen: bool) -> Tensor:
        """Right under each vocabulary whose name for the segment is seen, or is not."""
        kind = segment.composition
        names = {segment.label, f"{kind.color} {kind.shape}" if kind else segment.label}
        known = {name for category in self.training_vocabulary.categories for name in category.names}
        right = [name for name in names if (name in known) == when_seen]
        # Each name falls back to the sky on its own: the two vocabularies share no names of things.
        return self.text(right).sum(0) + 0.5 * self.text(["sky"])[0]


@pytest.fixture
def stills(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, RenderedWorld]:
    """What was rendered, by its pixels: the oracle looks it up here."""
    rendered: dict[bytes, RenderedWorld] = {}

    def remember(seed: int, *, size_hw: tuple[int, int], things: WorldPool) -> RenderedWorld:
        still = render_still(seed, size_hw=(size_hw[0] // 4, size_hw[1] // 4), things=things)
        rendered[still.rgb.tobytes()] = still
        return still

    monkeypatch.setattr(world_scores, "render_still", remember)
    return rendered


@pytest.fixture
def oracle(stills: dict[bytes, RenderedWorld]) -> Oracle:
    return Oracle(stills, min_objectness=0.0)


# --- pools


def test_no_two_pools_share_a_seed() -> None:
    ranges = [
        seeds_of(purpose, pool, seed=seed, pictures=MAX_PICTURES)
        for purpose in ("tuning", "test")
        for seed in (0, 1, 998, 999)
        for pool in POOLS
    ]
    ordered = sorted(ranges, key=lambda seeds: seeds.start)
    assert all(first.stop <= second.start for first, second in pairwise(ordered))
    assert ordered[0].start == 1_000_000_000


@pytest.mark.parametrize(("seed", "pictures"), [(-1, 1), (1000, 1), (0, 0), (0, MAX_PICTURES + 1)])
def test_seeds_out_of_range_are_refused(seed: int, pictures: int) -> None:
    with pytest.raises(ConfigError, match="expected"):
        seeds_of("test", "seen", seed=seed, pictures=pictures)


# --- truth


def still_of(*segments: WorldSegment) -> RenderedWorld:
    """One row of ten pixels for each segment, and one of void."""
    ids = np.repeat(np.array([0, *(entry.id for entry in segments)], np.int32)[:, None], 10, axis=1)
    return RenderedWorld(np.zeros((*ids.shape, 3), np.uint8), ids, segments)


def thing(id_: int, color: str, shape: str, *, iscrowd: bool = False) -> WorldSegment:
    return WorldSegment(id_, shape, True, iscrowd, 10, 1.0, Composition(shape, color, "plain"))


STILL = still_of(
    WorldSegment(3, "sky", False, False, 10, 1.0), thing(101, "red", "car"), thing(90, "blue", "car", iscrowd=True)
)


@pytest.mark.parametrize(
    ("kind", "labels", "ids"),
    [
        ("shapes", [("sky", False), ("car", False), ("car", True)], [0, 3, 101, 90]),
        ("colors", [("sky", False), ("red car", False)], [0, 3, 101, 0]),
    ],
)
def test_truth_in_the_words_of_a_vocabulary(kind: Any, labels: list[tuple[str, bool]], ids: list[int]) -> None:
    vocabulary = world_vocabulary(kind)
    names = {category.id: category.label for category in vocabulary.categories}
    truth, segments = ground_truth(STILL, vocabulary, kind)
    assert [(names[entry.category_id], entry.iscrowd) for entry in segments] == labels
    assert truth[:, 0].tolist() == ids
    assert STILL.ids[:, 0].tolist() == [0, 3, 101, 90]  # untouched


# --- scores


def test_both_classifiers_together_are_right_and_each_alone_is_not(oracle: Oracle) -> None:
    seeds = seeds_of("test", "unseen", seed=0, pictures=4)
    scores = score_pool(oracle, "unseen", seeds, [MIXED, IN_VOCABULARY, OUT_OF_VOCABULARY]).scores
    assert oracle.passes == 4  # one image pass a picture, for six class steps
    for kind in VOCABULARIES:
        together = scores[kind, MIXED].all
        assert together is not None
        assert together.pq == pytest.approx(1.0)
    inside, outside = scores["colors", IN_VOCABULARY], scores["colors", OUT_OF_VOCABULARY]
    assert inside.stuff is not None
    assert outside.stuff is not None
    unseen_inside, unseen_outside = (unseen_categories(entry, oracle, "colors") for entry in (inside, outside))
    assert unseen_inside is not None
    assert unseen_outside is not None
    assert unseen_inside.pq < 0.5 < unseen_outside.pq


def test_pools_show_what_training_never_named(oracle: Oracle) -> None:
    found = {
        pool: score_pool(oracle, pool, seeds_of("test", pool, seed=0, pictures=4), [MIXED]).scores for pool in POOLS
    }
    assert unseen_categories(found["seen"]["shapes", MIXED], oracle, "shapes") is None
    assert unseen_categories(found["seen"]["colors", MIXED], oracle, "colors") is None
    assert unseen_categories(found["unseen"]["shapes", MIXED], oracle, "shapes") is None
    assert unseen_categories(found["unseen"]["colors", MIXED], oracle, "colors") is not None
    unseen = unseen_categories(found["unseen-shapes"]["shapes", MIXED], oracle, "shapes")
    assert unseen is not None
    assert unseen == present_things(found["unseen-shapes"]["shapes", MIXED])


def test_tuning_finds_the_ensemble_that_is_right(oracle: Oracle) -> None:
    heard: list[tuple[int, int]] = []
    tuning = tune_ensemble(
        oracle, seed=0, pictures=2, grid=(0.0, 1.0), progress=lambda done, total: heard.append((done, total))
    )
    assert tuning.best == MIXED
    assert tuning.means[MIXED] == pytest.approx(1.0)
    assert max(value for ensemble, value in tuning.means.items() if ensemble != MIXED) < 0.9
    assert heard == [(2, 6), (4, 6), (6, 6)]


def test_tuning_and_test_pictures_differ(stills: dict[bytes, RenderedWorld], oracle: Oracle) -> None:
    tune_ensemble(oracle, seed=0, pictures=2, grid=(0.0,))
    tuned_on = set(stills)
    stills.clear()
    for pool in POOLS:
        score_pool(oracle, pool, seeds_of("test", pool, seed=0, pictures=2), [MIXED])
    assert tuned_on.isdisjoint(stills)
    assert len(stills) == 6


def test_a_segmenter_that_drops_queries_is_refused(stills: dict[bytes, RenderedWorld]) -> None:
    with pytest.raises(ConfigError, match=r"min_objectness is 0\.3, expected 0"):
        score_pool(Oracle(stills, min_objectness=0.3), "seen", [0], [MIXED])


# --- agreement


def panoptic_map(rows: list[tuple[int, int, int]]) -> PanopticMap:
    """(id, category, pixels) one after another; category -1 for void."""
    ids = np.concatenate([np.full(pixels, id_, np.int32) for id_, _, pixels in rows])[None]
    named = [(id_, category, pixels) for id_, category, pixels in rows if category >= 0]
    segments = [PanopticSegment(id_, category, "", True, 1.0, pixels, 0) for id_, category, pixels in named]
    return PanopticMap(ids, tuple(segments))


def test_renumbered_maps_agree_entirely() -> None:
    agreement = MapAgreement()
    agreement.add(
        panoptic_map([(1, 7, 10), (2, 8, 20), (0, -1, 5)]), panoptic_map([(5, 7, 10), (1, 8, 20), (0, -1, 5)])
    )
    assert agreement.result() == Agreement(pixels=1.0, segments=1.0, labels=1.0)


def test_what_differs_between_maps_is_counted() -> None:
    agreement = MapAgreement()
    # 1 and 1: 12 of 20 pixels, matched, another label; 2 and 3: 8 of 18, not matched; 2 pixels of void on both sides.
    agreement.add(
        panoptic_map([(1, 7, 12), (2, 8, 18), (0, -1, 2)]),
        panoptic_map([(1, 9, 20), (3, 8, 8), (0, -1, 4)]),
    )
    assert agreement.result() == Agreement(pixels=14 / 32, segments=2 / 4, labels=0.0)


def test_nothing_to_compare_is_no_agreement() -> None:
    assert MapAgreement().result() == Agreement(None, None, None)


# --- report


def cells(report: WorldReport, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    from streamseg.evaluation.reports.tables import print_table

    for made in world_tables(report):
        print_table(made)
    return [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_the_report_compares_two_segmenters(
    stills: dict[bytes, RenderedWorld], oracle: Oracle, capsys: pytest.CaptureFixture[str]
) -> None:
    worse = Oracle(stills, missed=True, min_objectness=0.0)
    report = evaluate_world(oracle, pictures=2, tuning_pictures=1, other=worse)
    document = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert document["ensembles"]["model"] == document["ensembles"]["tuned"] == {"alpha": 0.0, "beta": 1.0}
    assert len(document["tuning"]) == 36
    assert document["scores"]["shapes"]["unseen"]["tuned"]["All"]["pq"] == pytest.approx(1.0)
    compared = document["compared"]["scores"]["shapes"]["seen"]
    assert 0 < compared["agreement"]["segments"] < 1
    assert compared["model"]["All"]["pq"] < document["scores"]["shapes"]["seen"]["model"]["All"]["pq"]
    rows = [line for line in cells(report, capsys) if line[0] in VOCABULARIES]
    assert len(rows) == 18
    assert rows[12][:4] == ["shapes", "seen", "compositions", f"{100 * compared['agreement']['pixels']:.2f}"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "dmeo"], "unknown model 'dmeo': did you mean 'demo'?"),
        (["--model", "demo-untrained", "--images", "0"], "0 pictures, expected 1 to 100000"),
        (["--model", "demo-untrained", "--tuning-images", "0"], "0 pictures, expected 1 to 100000"),
        (["--model", "demo-untrained", "--seed", "1000"], "seed is 1000, expected 0 to 999"),
    ],
)
def test_mistakes_in_the_call_end_with_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["world", *arguments, "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1


@pytest.mark.slow
def test_one_command_scores_an_untrained_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "scores.json"
    call = ["world", "--model", "demo-untrained", "--images", "1", "--tuning-images", "1", "--precision", "bf16"]
    assert main([*call, "--device", "cpu", "--output", str(output)]) == 0
    assert "bf16 against fp32" in capsys.readouterr().out
    document = json.loads(output.read_text())
    assert document["precision"] == "fp32"
    assert document["compared"]["precision"] == "bf16"
    assert set(document["scores"]) == {"shapes", "colors"}
    assert document["scores"]["shapes"]["seen"]["model"]["Stuff"]["n"] > 0

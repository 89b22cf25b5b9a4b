"""What association sees of a frame."""

from dataclasses import replace

import pytest
import torch

from streamseg.panoptic import published_scores
from streamseg.queries import MaskGeometry
from streamseg.tracking.observation import observe, published_keep, reaches_edge
from tests.tracking.made_queries import CAR, GRASS, SIZE_HW, Box, made


def test_places_and_areas_are_in_cells_of_eight_pixels() -> None:
    seen = observe(made([Box(16, 32, 32, 64), Box(0, 0, 4, 4)]))
    assert seen.coverage.shape == (2, SIZE_HW[0] // 8, SIZE_HW[1] // 8)
    assert seen.area.tolist() == [32, 0.25]  # a tiny object still covers a quarter of a cell
    assert seen.centre.tolist() == [[4, 8], [0.5, 0.5]]


def test_the_padding_is_no_part_of_the_picture() -> None:
    queries = made([Box(0, 0, 128, 192)])
    geometry = MaskGeometry(SIZE_HW, (100, 90), (200, 180))  # 25 x 23 positions: an odd number
    seen = observe(replace(queries, geometry=geometry))
    assert seen.coverage.shape == (1, 13, 12)
    assert (seen.coverage == 1).all()


def test_an_empty_mask_is_nothing() -> None:
    queries = made([Box(0, 0, 64, 64), Box(0, 0, 0, 0)])
    seen = observe(queries)
    assert seen.objectness.tolist() == [pytest.approx(0.9), 0]
    assert torch.isfinite(seen.centre).all()
    assert torch.isfinite(seen.weight).all()


def test_what_is_hidden_and_unsure_counts_less() -> None:
    apart = observe(made([Box(0, 0, 64, 64), Box(64, 64, 64, 64, objectness=0.6)]))
    under = observe(made([Box(0, 0, 64, 64), Box(0, 32, 64, 64, objectness=0.6)]))
    assert under.weight[0] == apart.weight[0]
    assert float(under.weight[1] / apart.weight[1]) == pytest.approx(0.5, abs=0.01)
    assert float(apart.weight[1] / apart.weight[0]) == pytest.approx(0.6 / 0.9, abs=0.01)


def test_what_may_be_half_out_of_the_picture_counts_less() -> None:
    boxes = [Box(32, 32, 32, 32), Box(64, 168, 32, 40), Box(96, 32, 32, 32), Box(0, 96, 32, 32), Box(64, 0, 32, 32)]
    assert reaches_edge(observe(made(boxes)).coverage).tolist() == [False, True, True, True, True]
    plain, less = observe(made(boxes)), observe(made(boxes), edge_weight=0.5)
    torch.testing.assert_close(less.weight, plain.weight * torch.tensor([1, 0.5, 0.5, 0.5, 0.5]))


def test_labels_and_scores_are_the_frames_own() -> None:
    seen = observe(made([Box(0, 0, 32, 32, CAR, void=0.3), Box(64, 0, 32, 32, GRASS)]))
    assert seen.label.tolist() == [CAR, GRASS]
    assert seen.score.tolist() == [pytest.approx(0.9 * 0.7), pytest.approx(0.9 * 0.9)]


def test_a_score_of_minus_infinity_rules_nothing_out_for_ever() -> None:
    queries = made([Box(0, 0, 32, 32, probability=1.0)])
    assert queries.class_log_scores.min() == -torch.inf
    assert torch.isfinite(observe(queries).log_scores).all()


def test_keeps_what_the_published_rule_keeps() -> None:
    random = torch.Generator().manual_seed(0)
    queries = made([Box(0, 0, 32, 32)] * 500)
    log_scores = torch.randn(500, 7, generator=random).mul(3).log_softmax(-1)
    queries = replace(
        queries,
        class_log_scores=log_scores,
        void_probability=torch.rand(500, generator=random),
        slots=torch.arange(500),
    )
    probabilities = published_scores(queries)
    expected = probabilities.argmax(-1) != probabilities.shape[-1] - 1
    assert torch.equal(published_keep(queries), expected)
    assert 0 < int(expected.sum()) < 500


def test_half_precision_is_seen_alike() -> None:
    queries = made([Box(16, 32, 32, 64), Box(0, 0, 40, 40)])
    first, second = observe(queries), observe(queries.compact())
    assert torch.equal(first.coverage, second.coverage)
    torch.testing.assert_close(first.query_embedding, second.query_embedding, atol=1e-3, rtol=0)

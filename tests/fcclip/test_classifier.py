"""The two classifiers and their ensemble, against loops and against the formula of the paper."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from streamseg.fcclip.classifier import TextClassifier, class_logits, geometric_ensemble, published_log_scores

ALPHA, BETA = 0.4, 0.8


def random_text(synonyms: tuple[int, ...], dim: int = 8, seed: int = 0) -> TextClassifier:
    random = torch.Generator().manual_seed(seed)
    rows = F.normalize(torch.randn(sum(synonyms), dim, generator=random), dim=-1)
    return TextClassifier(rows, synonyms, torch.rand(len(synonyms), generator=random) < 0.5)


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a.double() @ b.double() / (a.double().norm() * b.double().norm()))


@pytest.mark.parametrize("synonyms", [(1,), (3,), (1, 1, 1), (2, 1, 5, 1), (1, 7), (4, 4)])
@pytest.mark.parametrize("with_void", [False, True])
def test_logits_are_scaled_cosines_of_the_best_synonym(synonyms: tuple[int, ...], with_void: bool) -> None:
    torch.manual_seed(1)
    text = random_text(synonyms)
    embedding, void = 3 * torch.randn(2, 6, 8), 5 * torch.randn(1, 8)
    scale = torch.tensor(np.log(40.0))
    logits = class_logits(embedding, text, scale, void if with_void else None)
    assert logits.shape == (2, 6, len(synonyms) + with_void)
    for image in range(2):
        for query in range(6):
            start = 0
            for category, count in enumerate(synonyms):
                rows = text.embeddings[start : start + count]
                expected = max(40 * cosine(embedding[image, query], row) for row in rows)
                assert float(logits[image, query, category]) == pytest.approx(expected, abs=1e-4)
                start += count
            if with_void:
                assert float(logits[image, query, -1]) == pytest.approx(
                    40 * cosine(embedding[image, query], void[0]), abs=1e-4
                )


def test_the_scale_is_capped_at_a_hundred() -> None:
    text = random_text((1, 1))
    embedding = torch.randn(3, 8)
    capped = class_logits(embedding, text, torch.tensor(np.log(100.0)))
    torch.testing.assert_close(class_logits(embedding, text, torch.tensor(9.0)), capped, atol=1e-4, rtol=0)


def test_logits_are_float32_whatever_comes_in() -> None:
    text = random_text((2, 1))
    embedding = torch.randn(3, 8).bfloat16()
    logits = class_logits(embedding, text, torch.tensor(4.0).bfloat16(), torch.randn(1, 8).bfloat16())
    assert logits.dtype == torch.float32


def test_an_embedding_of_zeros_says_nothing_and_stays_finite() -> None:
    assert not class_logits(torch.zeros(1, 8), random_text((2, 1)), torch.tensor(4.0)).any()


@pytest.mark.parametrize(
    ("rows", "synonyms", "seen"),
    [(3, (1, 1), 2), (2, (1, 1), 3), (2, (2, 1), 2), (3, (1, 2), 1)],
)
def test_a_text_classifier_that_does_not_fit_together_is_refused(
    rows: int, synonyms: tuple[int, ...], seen: int
) -> None:
    with pytest.raises(ValueError, match=rf"{rows} text rows and {seen} seen flags do not fit synonyms"):
        TextClassifier(torch.zeros(rows, 4), synonyms, torch.zeros(seen, dtype=torch.bool))


def test_length_and_device_of_a_text_classifier() -> None:
    text = random_text((2, 1, 3))
    assert len(text) == 3
    moved = text.to(torch.device("meta"))
    assert (moved.embeddings.device.type, moved.seen.device.type, moved._columns.device.type) == ("meta",) * 3


def product_form(inside: Tensor, outside: Tensor, seen: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """`mask_cls` as the original computes it, in the type of its arguments: (Q, K+1), void last.

    alpha, beta: (Q, 1), zero where the mask is empty.
    """
    void = inside.softmax(-1)[..., -1:]
    in_probability, out_probability = inside[..., :-1].softmax(-1), outside.softmax(-1)
    overlap = seen.to(inside.dtype)
    seen_part = (in_probability ** (1 - alpha) * out_probability**alpha).log() * overlap
    unseen_part = (in_probability ** (1 - beta) * out_probability**beta).log() * (1 - overlap)
    mixed = (seen_part + unseen_part).softmax(-1)
    return (torch.cat((mixed * (1 - void), void), dim=-1) + 1e-8).log()


def assert_same_scores(found: Tensor, expected: Tensor) -> None:
    """As probabilities; as logarithms where 1 - p(void) and the floor of 1e-8 leave float32 digits to compare."""
    torch.testing.assert_close(found.double().exp(), expected.exp(), atol=1e-6, rtol=0)
    large = expected > np.log(1e-3)
    torch.testing.assert_close(found.double()[large], expected[large], atol=1e-3, rtol=0)
    assert bool(large.any(-1).all())


def random_logits(classes: int, spread: float, queries: int = 50, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    inside = torch.randn(queries, classes + 1, generator=random) * spread
    outside = torch.randn(queries, classes, generator=random) * spread
    return inside, outside, torch.rand(classes, generator=random) < 0.5


@pytest.mark.parametrize("classes", [1, 2, 13, 200])
@pytest.mark.parametrize("seen", ["mixed", "all", "none"])
def test_the_ensemble_equals_the_product_form(classes: int, seen: str) -> None:
    inside, outside, flags = random_logits(classes, spread=5.0)
    if seen != "mixed":
        flags = torch.full_like(flags, seen == "all")
    scores = geometric_ensemble(inside, outside, flags, alpha=ALPHA, beta=BETA)
    alpha, beta = torch.full((50, 1), ALPHA).double(), torch.full((50, 1), BETA).double()
    expected = product_form(inside.double(), outside.double(), flags, alpha, beta)
    assert_same_scores(published_log_scores(scores.log_scores, scores.void_probability), expected)


def test_seen_categories_take_alpha_and_unseen_ones_beta() -> None:
    """Equation 7 up to the normalisation over the categories, category by category."""
    inside, outside, seen = random_logits(6, spread=2.0, queries=3)
    scores = geometric_ensemble(inside, outside, seen, alpha=ALPHA, beta=BETA)
    for query in range(3):
        p_in, p_out = inside[query, :-1].double().softmax(0), outside[query].double().softmax(0)
        mixed = torch.stack(
            [p_in[c] ** 0.6 * p_out[c] ** 0.4 if seen[c] else p_in[c] ** 0.2 * p_out[c] ** 0.8 for c in range(6)]
        )
        torch.testing.assert_close(scores.log_scores[query].exp().double(), mixed / mixed.sum(), atol=1e-6, rtol=0)
    torch.testing.assert_close(scores.void_probability, inside.softmax(-1)[:, -1])


def test_an_empty_mask_leaves_the_in_vocabulary_classifier_alone() -> None:
    inside, outside, seen = random_logits(7, spread=4.0)
    valid = torch.rand(50, generator=torch.Generator().manual_seed(1)) < 0.5
    scores = geometric_ensemble(inside, outside, seen, alpha=ALPHA, beta=BETA, valid=valid)
    ignoring = geometric_ensemble(inside, outside, seen, alpha=ALPHA, beta=BETA)
    alone = inside[:, :-1].log_softmax(-1)
    torch.testing.assert_close(scores.log_scores[~valid], alone[~valid], atol=1e-5, rtol=0)
    torch.testing.assert_close(scores.log_scores[valid], ignoring.log_scores[valid])
    alpha, beta = valid[:, None].double() * ALPHA, valid[:, None].double() * BETA
    assert_same_scores(
        published_log_scores(scores.log_scores, scores.void_probability),
        product_form(inside.double(), outside.double(), seen, alpha, beta),
    )


def test_stays_finite_where_the_product_form_does_not() -> None:
    """A category 300 below the best underflows to log(0): -inf, and NaN once it meets a zero of the overlap mask."""
    inside, outside, seen = random_logits(9, spread=0.1)
    inside[:, 0], outside[:, 1] = -300, -300
    seen[:2] = torch.tensor([True, False])
    weights = torch.full((50, 1), ALPHA), torch.full((50, 1), BETA)
    assert product_form(inside, outside, seen, *weights).isnan().any()
    scores = geometric_ensemble(inside, outside, seen, alpha=ALPHA, beta=BETA)
    assert torch.isfinite(scores.log_scores).all()
    found = published_log_scores(scores.log_scores, scores.void_probability)
    expected = product_form(inside.double(), outside.double(), seen, *(weight.double() for weight in weights))
    assert_same_scores(found, expected)
    assert (found[:, :2] < found[:, 2:-1].amin(-1, keepdim=True)).all()


def test_a_single_category_takes_all_that_void_leaves() -> None:
    inside, outside, seen = random_logits(1, spread=3.0)
    scores = geometric_ensemble(inside, outside, seen, alpha=ALPHA, beta=BETA)
    assert not scores.log_scores.any()
    published = published_log_scores(scores.log_scores, scores.void_probability).exp()
    torch.testing.assert_close(published[:, 0], 1 - scores.void_probability, atol=1e-6, rtol=0)


def test_published_scores_are_probabilities_with_a_floor() -> None:
    inside, outside, seen = random_logits(5, spread=50.0)
    scores = geometric_ensemble(inside, outside, seen, alpha=ALPHA, beta=BETA)
    torch.testing.assert_close(scores.log_scores.exp().sum(-1), torch.ones(50), atol=1e-5, rtol=0)
    published = published_log_scores(scores.log_scores, scores.void_probability)
    assert published.shape == (50, 6)
    torch.testing.assert_close(published.exp().sum(-1), torch.ones(50), atol=1e-5, rtol=0)
    assert float(published.min()) >= np.log(1e-8) - 1e-4
    torch.testing.assert_close(published[:, -1].exp(), scores.void_probability, atol=1e-6, rtol=0)


def test_ranks_and_batches_make_no_difference() -> None:
    inside, outside, seen = random_logits(4, spread=2.0)
    flat = geometric_ensemble(inside, outside, seen, alpha=ALPHA, beta=BETA)
    batched = geometric_ensemble(
        inside.unflatten(0, (5, 10)), outside.unflatten(0, (5, 10)), seen, alpha=ALPHA, beta=BETA
    )
    assert batched.log_scores.shape == (5, 10, 4)
    torch.testing.assert_close(batched.log_scores.flatten(0, 1), flat.log_scores)

"""The mask decoder: the short cut of inference against the published computation, step by step."""

import pytest
import torch
from torch import Tensor

from streamseg.fcclip.mask_decoder import Attention, MaskDecoder, QueryPredictions, _attention_bias
from streamseg.fcclip.pixel_decoder import PixelFeatures
from tests.small_models import SMALL_CONVNEXT, fill

FIELDS = ("mask_logits", "class_embedding", "query_embedding", "pixel_feature")


def random_pixels(height: int = 16, width: int = 24, batch: int = 1, seed: int = 0) -> PixelFeatures:
    """Pixel features for a picture of four times this size; masks come out neither empty nor full."""
    torch.manual_seed(seed)
    dim = SMALL_CONVNEXT.hidden_dim
    coarse, middle, fine = (torch.randn(batch, dim, height // step, width // step) for step in (8, 4, 2))
    return PixelFeatures((coarse, middle, fine), torch.randn(batch, SMALL_CONVNEXT.mask_dim, height, width))


@pytest.fixture(scope="module")
def decoder() -> MaskDecoder:
    decoder = MaskDecoder(SMALL_CONVNEXT).eval()
    fill(decoder, "mask_decoder.")
    return decoder


def assert_equal(ours: QueryPredictions, theirs: QueryPredictions, atol: float = 1e-4) -> None:
    for field in FIELDS:
        torch.testing.assert_close(getattr(ours, field), getattr(theirs, field), atol=atol, rtol=0)


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (8, 40)])
def test_forward_equals_the_last_stage(decoder: MaskDecoder, size: tuple[int, int]) -> None:
    with torch.no_grad():
        for seed in range(4):
            pixels = random_pixels(*size, batch=2, seed=seed)
            stages = decoder.forward_all_stages(pixels)
            assert len(stages) == SMALL_CONVNEXT.mask_decoder_layers + 1
            assert_equal(decoder(pixels), stages[-1])


def test_shapes_and_masks_worth_testing_with(decoder: MaskDecoder) -> None:
    with torch.no_grad():
        predictions = decoder(random_pixels(16, 24, batch=2))
    queries, spec = SMALL_CONVNEXT.num_queries, SMALL_CONVNEXT
    assert predictions.mask_logits.shape == (2, queries, 16, 24)
    assert predictions.class_embedding.shape == (2, queries, spec.embed_dim)
    assert predictions.query_embedding.shape == (2, queries, spec.hidden_dim)
    assert predictions.pixel_feature.shape == (2, queries, spec.mask_dim)
    inside = (predictions.mask_logits > 0).float().mean((0, 2, 3))
    assert ((inside > 0.02) & (inside < 0.98)).sum() > queries / 2


def test_images_of_a_batch_do_not_see_each_other(decoder: MaskDecoder) -> None:
    first, second = random_pixels(seed=1), random_pixels(seed=2)
    both = PixelFeatures(
        tuple(torch.cat(pair) for pair in zip(first.scales, second.scales, strict=True)),  # type: ignore[arg-type]
        torch.cat((first.mask_features, second.mask_features)),
    )
    with torch.no_grad():
        together = decoder(both)
        for image, pixels in enumerate((first, second)):
            alone = decoder(pixels)
            for field in FIELDS:
                torch.testing.assert_close(getattr(together, field)[image], getattr(alone, field)[0], atol=1e-4, rtol=0)


def test_learned_queries_have_no_order(decoder: MaskDecoder) -> None:
    """Queries in another order answer in that order: they see one another only through attention."""
    shuffled = MaskDecoder(SMALL_CONVNEXT).eval()
    shuffled.load_state_dict(decoder.state_dict())
    order = torch.randperm(SMALL_CONVNEXT.num_queries, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for table in (shuffled.query_feat, shuffled.query_embed):
            table.weight.copy_(table.weight[order])
        pixels = random_pixels()
        ours, theirs = shuffled(pixels), decoder(pixels)
    for field in FIELDS:
        torch.testing.assert_close(getattr(ours, field)[0], getattr(theirs, field)[0][order], atol=1e-4, rtol=0)


def test_all_stages_train_without_gradients_through_attention_masks(decoder: MaskDecoder) -> None:
    stages = decoder.forward_all_stages(random_pixels())
    torch.stack([stage.mask_logits.mean() + stage.class_embedding.square().mean() for stage in stages]).sum().backward()
    missing = [name for name, parameter in decoder.named_parameters() if parameter.grad is None]
    assert missing == ["logit_scale"]  # used by the classifier
    decoder.zero_grad()


def test_attention_is_allowed_inside_the_mask_and_everywhere_where_there_is_none() -> None:
    logits = torch.tensor([[[1.0, -1, 0, -0.5], [-1, -2, -3, -1e-9], [2, 2, 2, 2]]])
    forbidden = float("-inf")
    # A logit of exactly 0 is a probability of 0.5, which the published code does not mask.
    assert _attention_bias(logits).tolist() == [[[0, forbidden, 0, forbidden], [0, 0, 0, 0], [0, 0, 0, 0]]]


def test_empty_masks_stay_finite(decoder: MaskDecoder) -> None:
    pixels = random_pixels()
    blind = PixelFeatures(pixels.scales, torch.zeros_like(pixels.mask_features))
    with torch.no_grad():
        predictions = decoder(blind)
    assert not (predictions.mask_logits > 0).any()
    assert all(torch.isfinite(getattr(predictions, field)).all() for field in FIELDS)
    assert not predictions.pixel_feature.any()


@pytest.mark.parametrize("masked", [False, True])
def test_attention_equals_torchs_own(masked: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(16, 4), torch.nn.MultiheadAttention(16, 4, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    query, key, value = torch.randn(2, 5, 16), torch.randn(2, 7, 16), torch.randn(2, 7, 16)
    bias: Tensor | None = None
    if masked:
        bias = _attention_bias(torch.randn(2, 5, 7))
    expected, _ = theirs(
        query, key, value, attn_mask=None if bias is None else bias.repeat_interleave(4, dim=0), need_weights=False
    )
    torch.testing.assert_close(ours(query, key, value, bias), expected, atol=1e-6, rtol=0)

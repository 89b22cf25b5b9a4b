"""Mask pooling."""

import pytest
import torch

from streamseg.fcclip.pooling import mask_pool


@pytest.mark.parametrize("seed", range(3))
def test_equals_loops(seed: int) -> None:
    torch.manual_seed(seed)
    features, logits = torch.randn(2, 4, 3, 5), torch.randn(2, 6, 3, 5)
    expected = torch.zeros(2, 6, 4)
    for image in range(2):
        for query in range(6):
            inside = [features[image, :, y, x] for y in range(3) for x in range(5) if logits[image, query, y, x] > 0]
            expected[image, query] = torch.stack(inside).mean(0) if inside else 0
    torch.testing.assert_close(mask_pool(features, logits), expected, atol=1e-6, rtol=0)


def test_an_empty_mask_gives_zeros_and_a_logit_of_zero_is_outside() -> None:
    features = torch.randn(1, 3, 2, 2)
    logits = torch.tensor([[-1.0, -1, -1, -1], [0, 0, 0, 0], [0, 5, 0, 0]]).reshape(1, 3, 2, 2)
    pooled = mask_pool(features, logits)
    assert not pooled[0, :2].any()
    torch.testing.assert_close(pooled[0, 2], features[0, :, 0, 1])


def test_gradient_reaches_the_features_and_not_the_masks() -> None:
    features = torch.randn(1, 3, 2, 2, requires_grad=True)
    logits = torch.randn(1, 2, 2, 2).abs().requires_grad_()
    mask_pool(features, logits).sum().backward()
    assert logits.grad is None
    assert features.grad is not None
    torch.testing.assert_close(features.grad, torch.full_like(features, 2 / 4))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_large_masks_in_half_precision(dtype: torch.dtype) -> None:
    """float16 ends at 65504 pixels, and bfloat16 counts to 256; the mean of ones is still one."""
    pooled = mask_pool(torch.ones(1, 1, 300, 300, dtype=dtype), torch.ones(1, 1, 300, 300))
    assert pooled.dtype == dtype
    assert float(pooled) == 1

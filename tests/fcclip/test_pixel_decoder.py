"""The pixel decoder."""

import pytest
import torch

from streamseg.fcclip.backbone import BackboneFeatures
from streamseg.fcclip.pixel_decoder import PixelDecoder
from tests.small_models import SMALL_CONVNEXT, fill


def random_features(height: int, width: int, batch: int = 1) -> BackboneFeatures:
    torch.manual_seed(0)
    res2, res3, res4, res5 = (
        torch.randn(batch, channels, height // stride, width // stride)
        for channels, stride in zip(SMALL_CONVNEXT.backbone_channels, (4, 8, 16, 32), strict=True)
    )
    return BackboneFeatures(res2, res2, res3, res4, res5, res5)


@pytest.fixture(scope="module")
def decoder() -> PixelDecoder:
    decoder = PixelDecoder(SMALL_CONVNEXT).eval()
    fill(decoder, "pixel_decoder.")
    return decoder


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (32, 160), (96, 32), (64, 224)])
def test_shapes(decoder: PixelDecoder, size: tuple[int, int]) -> None:
    height, width = size
    pixels = decoder(random_features(height, width, batch=2))
    dim = SMALL_CONVNEXT.hidden_dim
    assert [tuple(scale.shape) for scale in pixels.scales] == [
        (2, dim, height // stride, width // stride) for stride in (32, 16, 8)
    ]
    assert pixels.mask_features.shape == (2, SMALL_CONVNEXT.mask_dim, height // 4, width // 4)
    assert torch.isfinite(pixels.mask_features).all()


def test_images_of_a_batch_do_not_see_each_other(decoder: PixelDecoder) -> None:
    features = random_features(64, 96, batch=2)
    together = decoder(features)
    for image in range(2):
        alone = decoder(BackboneFeatures(*(getattr(features, name)[image : image + 1] for name in features.__slots__)))
        torch.testing.assert_close(together.mask_features[image], alone.mask_features[0], atol=1e-5, rtol=0)


def test_inference_computes_what_training_computes(decoder: PixelDecoder) -> None:
    """Without gradients the deformable attention takes its fast path."""
    features = random_features(64, 96)
    with torch.no_grad():
        inference = decoder(features)
    training = decoder(features)
    assert training.mask_features.requires_grad
    torch.testing.assert_close(inference.mask_features, training.mask_features.detach(), atol=1e-4, rtol=0)
    for ours, theirs in zip(inference.scales, training.scales, strict=True):
        torch.testing.assert_close(ours, theirs.detach(), atol=1e-4, rtol=0)


def test_every_parameter_takes_part(decoder: PixelDecoder) -> None:
    pixels = decoder(random_features(64, 64))
    (pixels.mask_features.square().sum() + sum(scale.square().sum() for scale in pixels.scales)).backward()
    assert [name for name, parameter in decoder.named_parameters() if parameter.grad is None] == []
    decoder.zero_grad()

"""The frozen CLIP: features, and the embedding of a masked region against CLIP's own head."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from streamseg.fcclip.backbone import ClipBackbone, build_backbone
from streamseg.fcclip.spec import ModelSpec, get_spec
from tests.small_models import IMAGE_SIZE_OF_TINY_RESNET, SMALL_CONVNEXT, SMALL_RESNET, small_backbone

FAMILIES = pytest.mark.parametrize("spec", [SMALL_CONVNEXT, SMALL_RESNET], ids=lambda spec: spec.family)


@pytest.fixture(scope="module")
def convnext() -> ClipBackbone:
    return small_backbone(SMALL_CONVNEXT)


@pytest.fixture(scope="module")
def resnet() -> ClipBackbone:
    return small_backbone(SMALL_RESNET)


def random_images(height: int, width: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def random_masks(height: int, width: int, queries: int = 6) -> Tensor:
    """(2, queries, height, width) logits; the first mask is full, the second empty."""
    masks = torch.randn(2, queries, height, width, generator=torch.Generator().manual_seed(1))
    masks[:, 0], masks[:, 1] = 3, -3
    return masks


@FAMILIES
def test_it_stays_frozen(spec: ModelSpec) -> None:
    backbone = small_backbone(spec)
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    head = torch.nn.ModuleDict({"backbone": backbone, "head": torch.nn.Dropout()}).train()
    assert head.head.training
    assert not any(module.training for module in backbone.modules())
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone(random_images(64, 64))
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


@FAMILIES
def test_features_flow_gradients_to_nobody(spec: ModelSpec) -> None:
    features = small_backbone(spec)(random_images(32, 64))
    assert not features.res5.requires_grad


def test_convnext_features_are_those_that_clip_pools(convnext: ClipBackbone) -> None:
    images = random_images(64, 96)
    features = convnext(images)
    expected = convnext.clip_model.visual.trunk.forward_features(images)
    torch.testing.assert_close(features.dense, expected, atol=1e-5, rtol=0)


def test_convnext_full_mask_is_clips_image_embedding(convnext: ClipBackbone) -> None:
    images = random_images(64, 96)
    with torch.no_grad():
        features = convnext(images)
        embeddings = convnext.mask_embeddings(features.dense, torch.ones(2, 1, 2, 3))
        torch.testing.assert_close(embeddings[:, 0], convnext.clip_model.encode_image(images), atol=1e-5, rtol=0)


def test_convnext_mask_embedding_is_that_of_the_mean_feature(convnext: ClipBackbone) -> None:
    dense, masks = torch.randn(2, SMALL_CONVNEXT.backbone_channels[-1], 2, 3), random_masks(2, 3)
    visual = convnext.clip_model.visual
    embeddings = convnext.mask_embeddings(dense, masks)
    for image in range(2):
        for query in (0, *range(2, 6)):
            inside = dense[image][:, masks[image, query] > 0].mean(1)
            expected = visual.head(visual.trunk.head(inside[None, :, None, None]))[0]
            torch.testing.assert_close(embeddings[image, query], expected, atol=1e-5, rtol=0)
    assert torch.isfinite(embeddings).all()


def attention_pool(pool: torch.nn.Module, dense: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
    """CLIP's `AttentionPool2d` through torch's own multi-head attention: one (C, h, w) feature, one (h, w) bool mask.

    The mean token asks and is no key; pixels outside of the mask are no keys either.
    """
    tokens = dense.flatten(1).T
    query = tokens.mean(0, keepdim=True) + pool.positional_embedding[:1]
    keys = tokens + positions
    pooled, _ = F.multi_head_attention_forward(
        query[:, None],
        keys[:, None],
        keys[:, None],
        embed_dim_to_check=dense.shape[0],
        num_heads=pool.num_heads,
        in_proj_weight=None,
        in_proj_bias=torch.cat((pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias)),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=pool.c_proj.weight,
        out_proj_bias=pool.c_proj.bias,
        training=False,
        key_padding_mask=~mask.flatten()[None],
        need_weights=False,
        use_separate_proj_weight=True,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
    )
    return pooled[0, 0]


@pytest.mark.parametrize("size", [(3, 3), (2, 5), (6, 4)])
def test_resnet_mask_embedding_is_the_attention_pool_of_the_mask(resnet: ClipBackbone, size: tuple[int, int]) -> None:
    """3x3 is the pool's own size; elsewhere its positions are interpolated, which OpenCV does independently."""
    height, width = size
    pool = resnet.clip_model.visual.attnpool
    side = IMAGE_SIZE_OF_TINY_RESNET // 32
    grid = pool.positional_embedding[1:].reshape(side, side, -1).numpy()
    channels = SMALL_RESNET.backbone_channels[-1]
    positions = np.stack([cv2.resize(grid[:, :, channel], (width, height)) for channel in range(channels)], axis=-1)

    dense, masks = torch.randn(2, channels, height, width), random_masks(height, width)
    embeddings = resnet.mask_embeddings(dense, masks)
    assert embeddings.shape == (2, 6, SMALL_RESNET.embed_dim)
    for image in range(2):
        for query in (0, *range(2, 6)):
            expected = attention_pool(
                pool, dense[image], masks[image, query] > 0, torch.from_numpy(positions).reshape(height * width, -1)
            )
            torch.testing.assert_close(embeddings[image, query], expected, atol=1e-5, rtol=0)


def test_resnet_features_are_those_that_clip_pools(resnet: ClipBackbone) -> None:
    side = IMAGE_SIZE_OF_TINY_RESNET
    images, seen = random_images(side, side), []
    pool = resnet.clip_model.visual.attnpool
    hook = pool.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    resnet.clip_model.encode_image(images)
    hook.remove()
    torch.testing.assert_close(resnet(images).dense, seen[0], atol=1e-5, rtol=0)


@FAMILIES
def test_empty_masks_are_finite_and_alike(spec: ModelSpec) -> None:
    backbone = small_backbone(spec)
    dense = torch.randn(2, spec.backbone_channels[-1], 2, 3)
    embeddings = backbone.mask_embeddings(dense, torch.full((2, 3, 2, 3), -1.0))
    assert torch.isfinite(embeddings).all()
    torch.testing.assert_close(embeddings, embeddings[:1, :1].expand_as(embeddings))


@FAMILIES
def test_stem_and_strides(spec: ModelSpec) -> None:
    features = small_backbone(spec)(random_images(64, 96))
    stem_stride = 2 if spec.family == "resnet" else 4
    assert features.stem.shape[-2:] == (64 // stem_stride, 96 // stem_stride)
    assert features.res5.shape[-2:] == (2, 3)


def test_building_leaves_no_warning_and_no_log_level_behind(caplog: pytest.LogCaptureFixture) -> None:
    """open_clip warns that it was given no weights; the plan is to fill them later."""
    import logging

    before = logging.getLogger().level
    build_backbone(get_spec("demo-untrained"))
    assert logging.getLogger().level == before
    assert caplog.records == []

"""Model specs against the published facts, and against what open_clip knows."""

from functools import partial

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU

from streamseg.errors import ConfigError
from streamseg.fcclip.model import FCCLIP, build_fcclip
from streamseg.fcclip.spec import DEFAULT_MODEL, MODEL_SPECS, get_spec
from streamseg.vocabulary import BUILTIN_VOCABULARIES

PUBLISHED = [name for name in MODEL_SPECS if name.startswith("fcclip-")]


def build_without_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> FCCLIP:
    """The model on the meta device: shapes without numbers, so a billion parameters cost nothing."""
    monkeypatch.setattr(open_clip, "create_model", partial(open_clip.create_model, device="meta"))
    with torch.device("meta"):
        return build_fcclip(get_spec(name))


@pytest.mark.parametrize("name", MODEL_SPECS)
def test_spec_agrees_with_the_clip_that_it_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, model = get_spec(name), build_without_memory(name, monkeypatch)
    features = model.backbone(torch.empty(2, 3, 64, 96, device="meta"))
    maps = (features.res2, features.res3, features.res4, features.res5)
    assert [tuple(x.shape) for x in maps] == [
        (2, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(spec.backbone_channels, (4, 8, 16, 32), strict=True)
    ]
    assert features.dense.shape == features.res5.shape
    embeddings = model.backbone.mask_embeddings(features.dense, torch.empty(2, 7, 2, 3, device="meta"))
    assert embeddings.shape == (2, 7, spec.embed_dim)
    clip_model = model.backbone.clip_model
    text = clip_model.encode_text(torch.zeros(3, clip_model.context_length, dtype=torch.int64, device="meta"))
    assert text.shape == (3, spec.embed_dim)


@pytest.mark.parametrize("name", MODEL_SPECS)
def test_the_whole_model_fits_together(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, model = get_spec(name), build_without_memory(name, monkeypatch)
    image_pass = model(torch.empty(1, 3, 32, 64, device="meta"))
    assert image_pass.predictions.mask_logits.shape == (1, spec.num_queries, 8, 16)
    assert image_pass.predictions.class_embedding.shape == (1, spec.num_queries, spec.embed_dim)
    assert image_pass.clip_embedding.shape == (1, spec.num_queries, spec.embed_dim)
    assert image_pass.global_clip_embedding.shape == (1, spec.embed_dim)


@pytest.mark.parametrize("name", MODEL_SPECS)
def test_quick_gelu_where_openai_trained_with_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, model = get_spec(name), build_without_memory(name, monkeypatch)
    found = any(isinstance(module, QuickGELU) for module in model.backbone.clip_model.modules())
    assert found == (spec.clip_tag == "openai") == spec.force_quick_gelu


@pytest.mark.parametrize("name", PUBLISHED)
def test_open_clip_publishes_the_weights_that_the_spec_names(name: str) -> None:
    spec = get_spec(name)
    assert (spec.clip_model, spec.clip_tag) in open_clip.list_pretrained()


@pytest.mark.parametrize("name", PUBLISHED)
def test_constants_of_the_published_models(name: str) -> None:
    spec = get_spec(name)
    assert spec.ensemble_on_valid_mask == (spec.family == "resnet")
    assert (spec.alpha, spec.beta) == (0.4, 0.8)
    assert spec.pixel_mean == (122.7709383, 116.7460125, 104.09373615)
    assert spec.pixel_std == (68.5005327, 66.6321579, 70.32316305)
    assert (spec.num_queries, spec.hidden_dim, spec.mask_dim, spec.num_heads) == (250, 256, 256, 8)
    assert (spec.pixel_decoder_layers, spec.mask_decoder_layers, spec.num_points) == (6, 9, 4)
    assert (spec.short_side, spec.max_long_side, spec.size_divisibility) == (800, 1333, 32)


@pytest.mark.parametrize("name", MODEL_SPECS)
def test_vocabularies_are_built_in(name: str) -> None:
    spec = get_spec(name)
    assert {spec.training_vocabulary, spec.default_vocabulary} <= set(BUILTIN_VOCABULARIES)
    assert (spec.training_vocabulary == "coco") == (name in PUBLISHED)


def test_only_models_of_a_small_world_have_something_to_say_first() -> None:
    notices = {name: get_spec(name).notice for name in MODEL_SPECS}
    assert [name for name, notice in notices.items() if notice] == ["demo", "demo-untrained"]
    assert all(
        notice.startswith(f"{name} ") or f"the {name} model" in notice for name, notice in notices.items() if notice
    )
    assert all(notice.count("\n") == 0 for notice in notices.values())


def test_published_embedding_widths() -> None:
    widths = {name: get_spec(name).embed_dim for name in PUBLISHED}
    assert widths == {
        "fcclip-convnext-large": 768,
        "fcclip-convnext-base": 640,
        "fcclip-convnext-xxlarge": 1024,
        "fcclip-r50": 1024,
        "fcclip-r101": 512,
        "fcclip-r50x4": 640,
        "fcclip-r50x16": 768,
        "fcclip-r50x64": 1024,
    }
    assert get_spec(DEFAULT_MODEL).clip_tag == "laion2b_s29b_b131k_ft_soup"


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'fcclip-rn50': did you mean 'fcclip-r50'\?.*fcclip-r50x64"):
        get_spec("fcclip-rn50")
    with pytest.raises(ConfigError, match=r"unknown model '': known models are fcclip-convnext-large"):
        get_spec("")

"""FC-CLIP put together: what the image pass reads out, and the class step."""

from dataclasses import replace

import pytest
import torch

from streamseg.fcclip.classifier import TextClassifier, class_logits, geometric_ensemble
from streamseg.fcclip.model import FCCLIP, build_fcclip
from streamseg.fcclip.spec import ModelSpec, get_spec
from tests.small_models import SMALL_CONVNEXT, SMALL_RESNET, small_model

MODELS = pytest.mark.parametrize("spec", [SMALL_CONVNEXT, SMALL_RESNET], ids=lambda spec: spec.family)


def images(height: int = 64, width: int = 96, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def random_text(spec: ModelSpec) -> TextClassifier:
    rows = torch.nn.functional.normalize(torch.randn(4, spec.embed_dim), dim=-1)
    return TextClassifier(rows, (1, 2, 1), torch.tensor([True, False, True]))


@MODELS
def test_clip_sees_each_mask_at_its_own_resolution(spec: ModelSpec) -> None:
    model = small_model(spec)
    with torch.inference_mode():
        features, pixels = model.features(images())
        image_pass = model.read_out(features, model.mask_decoder(pixels))
        masks = torch.nn.functional.interpolate(image_pass.predictions.mask_logits, size=(2, 3), mode="bilinear")
        expected = model.backbone.mask_embeddings(features.dense, masks)
    torch.testing.assert_close(image_pass.clip_embedding, expected, atol=1e-5, rtol=0)
    assert torch.equal(image_pass.clip_valid, (masks > 0).flatten(2).any(-1))


@MODELS
def test_the_global_embedding_is_that_of_the_picture_without_its_padding(spec: ModelSpec) -> None:
    model = small_model(spec)
    padded = images(64, 96)
    with torch.inference_mode():
        dense = model.backbone(padded).dense
        embedding = model(padded, torch.tensor([[64, 40]])).global_clip_embedding  # 40 pixels reach into 2 cells of 3
        inside = torch.tensor([[[[1.0, 1, -1], [1, 1, -1]]]])
        expected = torch.nn.functional.normalize(model.backbone.mask_embeddings(dense, inside)[:, 0], dim=-1)
        torch.testing.assert_close(embedding, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(embedding.norm(dim=-1), torch.ones(1))
        torch.testing.assert_close(
            model(padded).global_clip_embedding, model(padded, torch.tensor([[64, 96]])).global_clip_embedding
        )


@MODELS
def test_the_class_step_is_both_classifiers_and_the_ensemble(spec: ModelSpec) -> None:
    model, text = small_model(spec), random_text(spec)
    queries = torch.randn(5, spec.embed_dim), torch.randn(5, spec.embed_dim)
    valid = torch.tensor([True, False, True, False, True])
    scores = model.classify(*queries, valid, text)
    inside = class_logits(queries[0], text, torch.tensor(60.0).log(), model.void_embedding.weight)
    outside = class_logits(queries[1], text, torch.tensor(100.0).log())
    expected = geometric_ensemble(
        inside, outside, text.seen, alpha=0.4, beta=0.8, valid=valid if spec.family == "resnet" else None
    )
    torch.testing.assert_close(scores.in_vocabulary_logits, inside, atol=1e-4, rtol=0)
    torch.testing.assert_close(scores.out_of_vocabulary_logits, outside, atol=1e-4, rtol=0)
    torch.testing.assert_close(scores.log_scores, expected.log_scores, atol=1e-4, rtol=0)
    torch.testing.assert_close(scores.void_probability, expected.void_probability)


def test_empty_masks_fall_back_to_the_in_vocabulary_classifier_by_the_spec_alone() -> None:
    spec = replace(SMALL_CONVNEXT, ensemble_on_valid_mask=True)
    guarded, published, text = small_model(spec), small_model(), random_text(spec)
    queries = torch.randn(2, spec.embed_dim), torch.randn(2, spec.embed_dim)
    empty = torch.zeros(2, dtype=torch.bool)
    alone = guarded.classify(*queries, empty, text)
    torch.testing.assert_close(alone.log_scores, alone.in_vocabulary_logits[:, :-1].log_softmax(-1), atol=1e-5, rtol=0)
    assert not torch.allclose(published.classify(*queries, empty, text).log_scores, alone.log_scores, atol=1e-2)


@MODELS
def test_images_of_a_batch_do_not_see_each_other(spec: ModelSpec) -> None:
    model, batch = small_model(spec), images(batch=3)
    with torch.inference_mode():
        together = model(batch)
        for image in range(3):
            alone = model(batch[image : image + 1])
            for name in ("clip_embedding", "global_clip_embedding"):
                torch.testing.assert_close(getattr(together, name)[image], getattr(alone, name)[0], atol=1e-3, rtol=0)
            torch.testing.assert_close(
                together.predictions.mask_logits[image], alone.predictions.mask_logits[0], atol=1e-3, rtol=0
            )


def test_built_models_are_ready_for_inference() -> None:
    model = build_fcclip(SMALL_CONVNEXT)
    assert isinstance(model, FCCLIP)
    assert not any(module.training for module in model.modules())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    trainable = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trainable == {"pixel_decoder", "mask_decoder", "void_embedding"}


@pytest.mark.parametrize("name", ["demo", "fcclip-r50"])
def test_skipping_the_random_weights_skips_nothing_else(name: str) -> None:
    """Whatever no file fills (masks, constants, buffers that are not saved) is the same without initialisation."""
    drawn, empty = build_fcclip(get_spec(name)), build_fcclip(get_spec(name), initialize=False)
    saved = {key for key in drawn.state_dict() if not key.endswith("attn_mask")}
    constants = dict(drawn.named_buffers())
    assert set(empty.state_dict()) == set(drawn.state_dict())
    for key, value in empty.named_buffers():
        if key not in saved:
            assert torch.equal(value, constants[key]), key
    for module, twin in zip(drawn.modules(), empty.modules(), strict=True):
        assert type(module) is type(twin)
        plain = {key: value for key, value in vars(module).items() if isinstance(value, int | float | str | tuple)}
        assert plain == {key: vars(twin)[key] for key in plain}

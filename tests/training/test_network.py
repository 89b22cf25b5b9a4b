"""How training begins and runs the model: published initialisation, a trunk without a graph, every stage's logits."""

import math

import pytest
import torch
from torch import nn

from streamseg.errors import ConfigError
from streamseg.fcclip.deformable_attention import MultiScaleDeformableAttention
from streamseg.fcclip.model import FCCLIP, build_fcclip
from streamseg.fcclip.text import TextEmbeddings
from streamseg.preprocess import normalize_and_pad
from streamseg.training.initialize import initialize_head
from streamseg.training.network import TextClassifiers, TrainingNetwork, normalize
from streamseg.training.start import choose_autocast, choose_device, head_state
from tests.small_models import WordVectors, picture, small_model
from tests.training.small_runs import COLORS, SHAPES, SMALL


@pytest.fixture(scope="module")
def started() -> FCCLIP:
    model = build_fcclip(SMALL)
    initialize_head(model, 3)
    return model


def bounds(weight: torch.Tensor, bound: float) -> bool:
    """Uniform between -bound and bound, by its extremes."""
    return 0.9 * bound < float(weight.detach().abs().max()) <= bound


def test_the_start_is_a_function_of_the_seed() -> None:
    a, b = build_fcclip(SMALL), build_fcclip(SMALL)
    initialize_head(a, 3)
    torch.manual_seed(99)
    initialize_head(b, 3)
    assert all(torch.equal(value, head_state(b)[key]) for key, value in head_state(a).items())
    initialize_head(b, 4)
    assert not torch.equal(a.mask_decoder.query_feat.weight, b.mask_decoder.query_feat.weight)


def test_no_entry_keeps_what_was_in_memory() -> None:
    model = build_fcclip(SMALL)
    with torch.no_grad():
        for value in head_state(model).values():
            value.fill_(float("nan"))
    initialize_head(model, 0)
    assert [key for key, value in head_state(model).items() if not value.isfinite().all()] == []


def test_deformable_attention_looks_in_eight_directions(started: FCCLIP) -> None:
    [attention] = [m for m in started.modules() if isinstance(m, MultiScaleDeformableAttention)]
    assert not attention.sampling_offsets.weight.any()
    assert not attention.attention_weights.weight.any()
    assert not attention.attention_weights.bias.any()
    offsets = attention.sampling_offsets.bias.reshape(8, 3, 4, 2)
    torch.testing.assert_close(offsets[0, :, :, 0], torch.tensor([1.0, 2, 3, 4]).expand(3, -1))  # right
    torch.testing.assert_close(offsets[1, 2, 3], torch.tensor([4.0, 4.0]))  # down and right, in the max norm
    torch.testing.assert_close(offsets[6, 1, 0], torch.tensor([0.0, -1.0]), atol=1e-6, rtol=0)
    assert bounds(attention.value_proj.weight, math.sqrt(6 / (64 + 64)))


def test_the_rest_starts_as_published(started: FCCLIP) -> None:
    pixels, masks = started.pixel_decoder, started.mask_decoder
    projection = pixels.input_proj[0][0]  # type: ignore[index]
    assert bounds(projection.weight, math.sqrt(6 / (projection.in_channels + 64)))
    assert not projection.bias.any()
    assert bounds(pixels.layer_1.weight, math.sqrt(3 / (64 * 9)))  # Kaiming with a = 1
    assert bounds(pixels.mask_features.weight, math.sqrt(3 / 64))
    assert not pixels.mask_features.bias.any()  # type: ignore[union-attr]
    layer = masks.transformer_cross_attention_layers[0].multihead_attn
    assert bounds(layer.in_proj_weight, math.sqrt(6 / (3 * 64 + 64)))  # type: ignore[arg-type, operator]
    assert not layer.in_proj_bias.any()  # type: ignore[union-attr, operator]
    assert bounds(masks.transformer_ffn_layers[0].linear1.weight, math.sqrt(6 / (64 + 64)))  # type: ignore[union-attr, arg-type]
    assert bounds(masks.class_embed.layers[2].weight, 1 / 8)  # torch's own: 1 / sqrt(fan in)
    assert bounds(masks.class_embed.layers[2].bias, 1 / 8)
    assert float(masks.query_feat.weight.detach().std()) == pytest.approx(1, abs=0.1)
    assert float(masks.logit_scale.detach()) == pytest.approx(math.log(1 / 0.07))
    assert all((m.weight == 1).all() for m in masks.modules() if isinstance(m, nn.LayerNorm))


@pytest.fixture
def classifiers() -> TextClassifiers:
    return TextClassifiers(TextEmbeddings(WordVectors(SMALL.embed_dim), None), torch.device("cpu"))


def test_every_stage_speaks_and_the_trunk_has_no_graph(started: FCCLIP, classifiers: TextClassifiers) -> None:
    network = TrainingNetwork(started)
    images = torch.from_numpy(picture(64, 96)).permute(2, 0, 1)[None]
    stages = network(images, classifiers(SHAPES))
    assert len(stages) == SMALL.mask_decoder_layers + 1
    assert all(stage.class_logits.shape == (1, 24, len(SHAPES) + 1) for stage in stages)
    assert all(stage.mask_logits.shape == (1, 24, 16, 24) for stage in stages)
    features = network._trunk(images)
    assert not any(getattr(features, name).requires_grad for name in ("res2", "res3", "res4", "res5", "dense"))


def test_training_computes_what_inference_computes(classifiers: TextClassifiers) -> None:
    """The last stage's masks and in-vocabulary scores are those of the image pass."""
    model = small_model()
    image = picture(64, 96)
    batch, _ = normalize_and_pad(
        [image], mean=SMALL.pixel_mean, std=SMALL.pixel_std, divisor=32, device=torch.device("cpu")
    )
    with torch.inference_mode():
        expected = model(batch).predictions
        scores = model.classify(
            expected.class_embedding, expected.class_embedding, torch.ones(1, 24, dtype=torch.bool), classifiers(COLORS)
        )
    found = TrainingNetwork(model)(torch.from_numpy(image).permute(2, 0, 1)[None], classifiers(COLORS))[-1]
    torch.testing.assert_close(found.mask_logits.detach(), expected.mask_logits, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.class_logits.detach(), scores.in_vocabulary_logits, rtol=1e-3, atol=1e-3)


def test_pictures_are_normalised_as_for_inference() -> None:
    image = picture(32, 32)
    expected, _ = normalize_and_pad(
        [image], mean=SMALL.pixel_mean, std=SMALL.pixel_std, divisor=32, device=torch.device("cpu")
    )
    found = normalize(torch.from_numpy(image).permute(2, 0, 1)[None], SMALL.pixel_mean, SMALL.pixel_std)
    torch.testing.assert_close(found, expected)


def test_the_pixel_decoder_keeps_float32_if_asked(classifiers: TextClassifiers) -> None:
    seen: list[torch.dtype] = []
    model = build_fcclip(SMALL)
    initialize_head(model, 0)
    model.pixel_decoder.mask_features.register_forward_hook(lambda *parts: seen.append(parts[2].dtype))
    images = torch.from_numpy(picture(64, 64)).permute(2, 0, 1)[None]
    for keep in (True, False):
        network = TrainingNetwork(model, autocast=torch.bfloat16, pixel_decoder_fp32=keep)
        assert network(images, classifiers(SHAPES))[0].mask_logits.dtype == torch.bfloat16
    assert seen == [torch.float32, torch.bfloat16]


def test_a_vocabulary_is_encoded_once(classifiers: TextClassifiers) -> None:
    first = classifiers(SHAPES)
    assert classifiers(SHAPES) is first
    assert len(classifiers(COLORS)) == 5
    assert first.seen.all()


def test_devices_and_precisions() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert choose_autocast("auto", cpu) is None
    assert choose_autocast("fp32", cuda) is None
    assert choose_autocast("bf16", cpu) == torch.bfloat16
    assert choose_autocast("fp16", cuda) == torch.float16
    with pytest.raises(ConfigError, match="precision fp16 on cpu, expected fp32 or bf16"):
        choose_autocast("fp16", cpu)
    assert choose_device("cpu", 3) == cpu
    with pytest.raises(ConfigError, match="unknown device 'gpu', expected auto, cpu, cuda or cuda:N"):
        choose_device("gpu")
    with pytest.raises(ConfigError, match="worker 99 needs device 'cuda:99', and this machine shows"):
        choose_device("cuda", 99)

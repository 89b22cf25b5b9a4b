"""`optimize`: the same class, results within a stated tolerance."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from streamseg.acceleration import optimize
from streamseg.errors import ConfigError
from streamseg.evaluation.metrics.agreement import MapAgreement
from streamseg.fcclip.spec import ModelSpec
from streamseg.panoptic import panoptic_from_queries
from streamseg.queries import Queries
from streamseg.segmenter import Segmenter
from streamseg.vocabulary import Vocabulary
from streamseg.world.stills import render_still
from tests.small_models import SMALL_CONVNEXT, SMALL_RESNET, picture, small_model, small_segmenter

STREET = Vocabulary.parse("car,automobile; person; road:stuff; sky:stuff; building:stuff")
FAMILIES = pytest.mark.parametrize("spec", [SMALL_CONVNEXT, SMALL_RESNET], ids=lambda spec: spec.family)


def demo() -> Segmenter:
    """The untrained demo with the same random weights each time, keeping every query."""
    torch.manual_seed(0)
    segmenter = Segmenter.load("demo-untrained", device="cpu", precision="fp32", min_objectness=0.0, text_cache=False)
    segmenter.objectness_vocabulary = STREET  # the training vocabulary takes seconds to encode
    return segmenter


def segment(segmenter: Segmenter, *, height: int = 96, width: int = 160) -> Queries:
    [queries] = segmenter.segment([picture(height, width)], STREET)
    return queries


def cosines(ours: Tensor, theirs: Tensor) -> Tensor:
    """Per query, of everything that it says."""
    return F.cosine_similarity(ours.flatten(1), theirs.flatten(1))


def assert_close(ours: Queries, theirs: Queries, tolerance: float) -> None:
    for name in ("mask_logits", "class_log_scores", "query_embedding", "out_of_vocabulary_embedding"):
        difference = (getattr(ours, name) - getattr(theirs, name)).abs().flatten(1).amax(1).numpy()
        scale = float(getattr(theirs, name).abs().max())
        assert np.percentile(difference, 95) <= tolerance * max(1.0, scale), name


def test_bfloat16_agrees_on_the_demo() -> None:
    """On pictures of its world, sure queries keep a cosine of 0.99 to float32, and nearly all pixels their segment.

    Segments are compared whatever their number: one query that comes or goes renumbers all behind it.
    """
    words = Vocabulary.load("world")
    segmenter = Segmenter.load("demo", device="cpu", precision="fp32", min_objectness=0.0, text_cache=False)
    segmenter.objectness_vocabulary = words
    scenes = [render_still(1_500_000_000 + number).rgb for number in range(4)]
    exact_queries = segmenter.segment(scenes, words)
    assert optimize(segmenter, dtype="bf16") is segmenter
    assert type(segmenter) is Segmenter
    assert segmenter.precision == "bf16"
    assert repr(segmenter) == "Segmenter('demo', bf16 on cpu, short side 192)"
    agreement = MapAgreement()
    for exact, rounded in zip(exact_queries, segmenter.segment(scenes, words), strict=True):
        sure = exact.objectness > 0.5
        assert sure.sum() >= 2
        for name in ("mask_logits", "query_embedding", "in_vocabulary_embedding", "out_of_vocabulary_embedding"):
            found = cosines(getattr(rounded, name), getattr(exact, name))[sure]
            assert float(found.quantile(0.1)) > 0.99, (name, found)
        kinds = {rounded.mask_logits.dtype, rounded.class_log_scores.dtype, rounded.query_embedding.dtype}
        assert kinds == {torch.float32}
        assert not torch.equal(rounded.mask_logits, exact.mask_logits)
        agreement.add(panoptic_from_queries(exact), panoptic_from_queries(rounded))
    shares = agreement.result()
    assert shares.pixels is not None
    assert shares.pixels > 0.98


@FAMILIES
def test_bfloat16_agrees_where_masks_differ(spec: ModelSpec) -> None:
    """The small models' masks are sharp, and attention masks flip with them: the median query keeps 0.98."""
    exact = segment(small_segmenter(small_model(spec)))
    rounded = segment(optimize(small_segmenter(small_model(spec)), dtype=torch.bfloat16))
    assert float(cosines(rounded.mask_logits, exact.mask_logits).median()) > 0.98
    assert float(F.cosine_similarity(rounded.global_clip_embedding, exact.global_clip_embedding, dim=0)) > 0.99


def test_text_does_not_depend_on_the_precision() -> None:
    segmenter = demo()
    before = segmenter.text(["car", "traffic light"])
    optimize(segmenter, dtype="bf16", channels_last=True)
    segmenter.text._rows.clear()
    assert torch.equal(segmenter.text(["car", "traffic light"]), before)
    visual = {parameter.dtype for parameter in segmenter.model.backbone.clip_model.visual.parameters()}
    assert visual == {torch.float32, torch.bfloat16}  # norms stay exact


@FAMILIES
def test_channels_last_changes_nothing(spec: ModelSpec) -> None:
    plain = segment(small_segmenter(small_model(spec)))
    segmenter = optimize(small_segmenter(small_model(spec)), channels_last=True)
    assert segmenter.channels_last
    assert segmenter.precision == "fp32"
    assert_close(segment(segmenter), plain, 1e-4)


def test_nothing_asked_nothing_done() -> None:
    segmenter = small_segmenter()
    plain = segment(segmenter)
    assert_close(segment(optimize(segmenter)), plain, 0.0)
    assert_close(segment(optimize(segmenter, dtype="fp32")), plain, 0.0)


def test_twice_is_once() -> None:
    segmenter = optimize(small_segmenter(), dtype="bf16")
    once = segment(segmenter)
    assert_close(segment(optimize(segmenter, dtype="bf16")), once, 0.0)


@pytest.mark.parametrize("dtype", ["fp8", "auto", "", torch.float64, torch.int8, 16])
def test_unknown_dtypes(dtype: Any) -> None:
    segmenter = small_segmenter()
    with pytest.raises(ConfigError, match=r"unknown dtype '.*', expected fp32, bf16"):
        optimize(segmenter, dtype=dtype)
    assert segmenter.precision == "fp32"


def test_half_precision_on_a_cpu_is_refused() -> None:
    with pytest.raises(ConfigError, match="fp16 on a CPU is slower than fp32 and overflows, expected fp32 or bf16"):
        optimize(small_segmenter(), dtype="fp16")


def test_there_is_no_way_back_from_rounded_weights() -> None:
    segmenter = optimize(small_segmenter(), dtype="bf16")
    with pytest.raises(ConfigError, match="the weights are already in bf16, expected fp32; load the segmenter again"):
        optimize(segmenter, dtype="fp32")


@pytest.mark.slow
def test_compiled_agrees() -> None:
    exact = segment(demo())
    compiled = segment(optimize(demo(), compile=True))
    assert_close(compiled, exact, 1e-3)


@pytest.mark.slow
def test_compiled_serves_several_sizes_and_precisions() -> None:
    segmenter = optimize(small_segmenter(), dtype="bf16", compile=True, channels_last=True)
    for height, width in ((64, 64), (64, 96)):
        exact = segment(small_segmenter(), height=height, width=width)
        compiled = segment(segmenter, height=height, width=width)
        assert float(cosines(compiled.mask_logits, exact.mask_logits).median()) > 0.98


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_on_cuda(dtype: str) -> None:
    exact = segment(demo())
    torch.manual_seed(0)
    segmenter = Segmenter.load("demo-untrained", device="cuda", precision=dtype, min_objectness=0.0, text_cache=False)
    segmenter.objectness_vocabulary = STREET
    rounded = segment(segmenter).to("cpu")
    for name in ("mask_logits", "query_embedding", "out_of_vocabulary_embedding"):
        assert float(cosines(getattr(rounded, name), getattr(exact, name)).quantile(0.05)) > 0.99, name

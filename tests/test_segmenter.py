"""Frames in, queries out."""

from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor

from streamseg import segmenter as segmenter_module
from streamseg.errors import ConfigError, WeightsError
from streamseg.fcclip import hub
from streamseg.fcclip.classifier import class_logits
from streamseg.fcclip.model import build_fcclip
from streamseg.fcclip.spec import get_spec
from streamseg.fcclip.text import TextEmbeddings
from streamseg.fcclip.weights import save_official
from streamseg.frames import Frame
from streamseg.panoptic import panoptic_from_queries
from streamseg.preprocess import normalize_and_pad, padded_size, resize, resized_size
from streamseg.queries import Queries
from streamseg.segmenter import Segmenter
from streamseg.training.pack import pack_demo
from streamseg.vocabulary import Vocabulary
from tests.small_models import SMALL_CONVNEXT, SMALL_RESNET, WordVectors, picture, small_model, small_segmenter

STREET = Vocabulary.parse("car,automobile; person; road:stuff; sky:stuff; building:stuff; dog; tree:stuff")
KITCHEN = Vocabulary.parse("cup,mug; oven; table:stuff; wall:stuff; spoon")
ANIMALS = Vocabulary.parse("cat,kitten; zebra")

PER_QUERY = (
    "mask_logits",
    "class_log_scores",
    "in_vocabulary_embedding",
    "out_of_vocabulary_embedding",
    "query_embedding",
    "pixel_feature",
)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    """Small, on the CPU, keeps every query."""
    return small_segmenter()


def per_query(ours: Tensor, theirs: Tensor) -> npt.NDArray[Any]:
    """Largest difference of each query."""
    return (ours - theirs).abs().flatten(1).amax(1).numpy()


def assert_same(ours: Queries, theirs: Queries) -> None:
    """Equal by the tolerances that the published numbers are held to: per query, median and 95th percentile."""
    assert ours.vocabulary is theirs.vocabulary
    assert ours.geometry == theirs.geometry
    assert torch.equal(ours.slots, theirs.slots)
    for name in PER_QUERY:
        median, p95 = np.percentile(per_query(getattr(ours, name), getattr(theirs, name)), (50, 95))
        assert median <= 5e-4, name
        assert p95 <= 2e-3, name
    torch.testing.assert_close(ours.void_probability, theirs.void_probability, atol=2e-3, rtol=0)
    torch.testing.assert_close(ours.global_clip_embedding, theirs.global_clip_embedding, atol=1e-4, rtol=0)
    assert (panoptic_from_queries(ours).ids == panoptic_from_queries(theirs).ids).mean() >= 0.998


# --- what comes out


@pytest.mark.parametrize("spec", [SMALL_CONVNEXT, SMALL_RESNET], ids=lambda spec: spec.family)
def test_queries_of_one_picture(spec: Any) -> None:
    segmenter = small_segmenter(small_model(spec))
    [queries] = segmenter.segment([picture(50, 90)], STREET)
    count = spec.num_queries
    assert len(queries) == count
    assert queries.geometry.resized_hw == (64, 115)
    assert queries.geometry.padded_hw == (64, 128)
    assert queries.geometry.output_hw == (50, 90)
    assert queries.mask_logits.shape == (count, 16, 32)
    assert queries.class_log_scores.shape == (count, 7)
    assert queries.slots.tolist() == list(range(count))
    assert queries.in_vocabulary_embedding.shape == queries.out_of_vocabulary_embedding.shape == (count, spec.embed_dim)
    assert queries.query_embedding.shape == (count, spec.hidden_dim)
    assert queries.pixel_feature.shape == (count, spec.mask_dim)
    assert queries.clip_valid.dtype == torch.bool
    torch.testing.assert_close(queries.class_log_scores.exp().sum(-1), torch.ones(count))
    torch.testing.assert_close(queries.global_clip_embedding.norm(), torch.tensor(1.0))
    assert panoptic_from_queries(queries).ids.shape == (50, 90)
    assert repr(queries) == f"Queries({count} of 16x32 logits on cpu, vocabulary 'custom' with 7 categories)"
    assert repr(segmenter) == f"Segmenter({spec.name!r}, fp32 on cpu, short side 64)"


def test_no_frames_give_no_queries(segmenter: Segmenter) -> None:
    assert segmenter.segment([], STREET) == []
    assert segmenter.segment([], []) == []


def test_background_takes_part_in_the_scores(segmenter: Segmenter) -> None:
    vocabulary = replace(STREET, background=KITCHEN.categories)
    [queries] = segmenter.segment([picture(64, 64)], vocabulary)
    assert queries.class_log_scores.shape[1] == len(STREET.categories) + len(KITCHEN.categories)
    labels = {segment.label for segment in panoptic_from_queries(queries).segments}
    assert labels <= {category.label for category in STREET.categories}


# --- batches


def test_pictures_of_one_size_equal_single_calls(segmenter: Segmenter) -> None:
    pictures = [picture(48, 64, seed) for seed in range(4)]
    for together, image in zip(segmenter.segment(pictures, STREET), pictures, strict=True):
        assert_same(together, segmenter.segment([image], STREET)[0])


def test_pictures_of_mixed_sizes_equal_single_calls_in_their_order(segmenter: Segmenter) -> None:
    """Two of these sizes share a padded size, so they share a pass with different paddings."""
    sizes = [(48, 64), (90, 50), (48, 70), (64, 64), (48, 64), (30, 75), (90, 50), (200, 20)]
    pictures = [picture(*size, seed) for seed, size in enumerate(sizes)]
    results = segmenter.segment(pictures, STREET)
    assert [queries.geometry.output_hw for queries in results] == sizes
    for together, image in zip(results, pictures, strict=True):
        assert_same(together, segmenter.segment([image], STREET)[0])


def recorded_batches(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of what the model is given from now on."""
    shapes: list[tuple[int, ...]] = []
    image_pass = segmenter.image_pass

    def recording(images: Tensor, valid_hw: Tensor) -> Any:
        shapes.append(tuple(images.shape))
        return image_pass(images, valid_hw)

    monkeypatch.setattr(segmenter, "image_pass", recording)
    return shapes


def test_batches_hold_one_padded_size_and_at_most_max_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = small_segmenter(max_batch=3)
    shapes = recorded_batches(segmenter, monkeypatch)
    sizes = [(64, 64)] * 4 + [(64, 90)] + [(64, 64)] + [(64, 96)]
    segmenter.segment([picture(*size) for size in sizes], STREET)
    assert sorted(shapes) == [(2, 3, 64, 64), (2, 3, 64, 96), (3, 3, 64, 64)]


def test_each_frame_may_have_its_own_vocabulary_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = small_segmenter()
    shapes = recorded_batches(segmenter, monkeypatch)
    pictures = [picture(64, 64, seed) for seed in range(3)]
    vocabularies = [STREET, ANIMALS, KITCHEN]
    results = segmenter.segment(pictures, vocabularies)
    assert shapes == [(3, 3, 64, 64)]
    for queries, image, vocabulary in zip(results, pictures, vocabularies, strict=True):
        assert queries.vocabulary is vocabulary
        assert_same(queries, segmenter.segment([image], vocabulary)[0])


# --- words


def test_other_words_need_no_image(segmenter: Segmenter) -> None:
    image = picture(64, 80)
    [street] = segmenter.segment([image], STREET)
    [kitchen] = segmenter.segment([image], KITCHEN)
    assert_same(segmenter.classify(street, KITCHEN), kitchen)
    assert_same(segmenter.classify(segmenter.classify(street, ANIMALS), STREET), street)


def test_classify_takes_part_in_no_image_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = small_segmenter()
    [queries] = segmenter.segment([picture(64, 64)], STREET)
    shapes = recorded_batches(segmenter, monkeypatch)
    relabelled = segmenter.classify(queries, ANIMALS)
    assert shapes == []
    assert relabelled.mask_logits is queries.mask_logits
    assert relabelled.class_log_scores.shape == (len(queries), 2)


def test_extending_a_vocabulary_encodes_new_names_only() -> None:
    model = small_model()
    words = WordVectors(model.spec.embed_dim)
    segmenter = Segmenter(model, TextEmbeddings(words, None))
    segmenter.text_classifier(STREET)
    assert words.asked == [name for category in STREET.categories for name in category.names]
    words.asked.clear()
    extended = Vocabulary.parse("lorry,truck; " + "car,automobile; person; road:stuff; cup")
    text = segmenter.text_classifier(extended)
    assert words.asked == ["lorry", "truck", "cup"]
    assert text.synonyms == (2, 2, 1, 1, 1)
    words.asked.clear()
    assert segmenter.text_classifier(extended) is text
    assert segmenter.text_classifier(Vocabulary("renamed", extended.categories)) is text
    assert words.asked == []


def test_seen_is_decided_against_the_training_vocabulary(segmenter: Segmenter) -> None:
    text = segmenter.text_classifier(Vocabulary.parse("quadcopter; person; feline,cat; Banana"))
    assert text.seen.tolist() == [False, True, True, False]


def test_the_cache_of_text_classifiers_is_bounded_and_keeps_what_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmenter_module, "CLASSIFIER_CACHE_SIZE", 3)
    segmenter = small_segmenter()
    favourite = segmenter.text_classifier(STREET)
    for number in range(10):
        segmenter.text_classifier(Vocabulary.parse(f"thing number {number}"))
        assert segmenter.text_classifier(STREET) is favourite
        assert len(segmenter._classifiers) <= 3


def test_text_classifiers_made_while_segmenting_can_be_trained_against() -> None:
    segmenter = small_segmenter()
    segmenter.segment([picture(64, 64)], STREET)
    text = segmenter.text_classifier(STREET)
    embedding = torch.randn(3, SMALL_CONVNEXT.embed_dim, requires_grad=True)
    class_logits(embedding, text, torch.tensor(4.0)).sum().backward()
    assert embedding.grad is not None


# --- which queries stay


def test_a_threshold_on_objectness_never_changes_the_map() -> None:
    model = small_model()
    everything, few = small_segmenter(model), small_segmenter(model, min_objectness=0.9)
    few.objectness_vocabulary = KITCHEN  # against 470 names of random vectors, nothing is void
    drawn = 0
    for seed in range(4):
        image = picture(64, 96, seed)
        [all_queries], [kept] = everything.segment([image], STREET), few.segment([image], STREET)
        assert len(kept) < len(all_queries)
        ours, theirs = panoptic_from_queries(kept), panoptic_from_queries(all_queries)
        np.testing.assert_array_equal(ours.ids, theirs.ids)
        assert [(s.id, s.category_id, s.area) for s in ours.segments] == [
            (s.id, s.category_id, s.area) for s in theirs.segments
        ]
        drawn += len(ours.segments)
        assert kept.slots.tolist() == sorted(kept.slots.tolist())
        # Whoever is left is an object by the threshold, or drawn.
        void = kept.void_probability > (kept.class_log_scores.exp().amax(-1) * (1 - kept.void_probability))
        assert ((kept.objectness >= 0.9) | ~void).all()
        for name in PER_QUERY:
            torch.testing.assert_close(getattr(kept, name), getattr(all_queries, name)[kept.slots], atol=1e-4, rtol=0)
    assert drawn > 0


def test_objectness_is_measured_against_the_training_vocabulary(segmenter: Segmenter) -> None:
    image = picture(64, 64)
    [street], [animals] = segmenter.segment([image], STREET), segmenter.segment([image], ANIMALS)
    torch.testing.assert_close(street.objectness, animals.objectness)
    assert not torch.allclose(street.void_probability, animals.void_probability, atol=1e-3)
    torch.testing.assert_close(street.objectness, 1 - street.training_void_probability)


# --- queries


def test_queries_move_and_shrink(segmenter: Segmenter) -> None:
    [queries] = segmenter.segment([picture(60, 90)], STREET)
    moved = queries.to("cpu")
    assert all(
        torch.equal(getattr(moved, field.name), getattr(queries, field.name))
        for field in fields(Queries)
        if isinstance(getattr(queries, field.name), Tensor)
    )
    assert queries.to("meta").mask_logits.device.type == "meta"
    assert queries.to("meta").vocabulary is queries.vocabulary


def test_compact_queries_halve_the_memory_and_agree(segmenter: Segmenter) -> None:
    """float16 masks: at least 99.9 % of the map's pixels are the same."""
    equal, drawn = [], 0
    for seed in range(6):
        [queries] = segmenter.segment([picture(120, 160, seed)], STREET)
        compact = queries.compact()
        assert compact.mask_logits.dtype == compact.query_embedding.dtype == torch.float16
        assert compact.class_log_scores is queries.class_log_scores
        assert compact.mask_logits.nbytes == queries.mask_logits.nbytes / 2
        equal.append((panoptic_from_queries(compact).ids == panoptic_from_queries(queries).ids).mean())
        drawn += len(panoptic_from_queries(queries).segments)
    assert min(equal) >= 0.999
    assert drawn > 0
    relabelled = segmenter.classify(compact, KITCHEN)
    torch.testing.assert_close(
        relabelled.class_log_scores, segmenter.classify(queries, KITCHEN).class_log_scores, atol=0.1, rtol=0
    )


# --- pictures


@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        ((480, 640), (800, 1333), (800, 1067)),
        ((720, 1280), (800, 1333), (750, 1333)),
        ((640, 480), (800, 1333), (1067, 800)),
        ((1280, 720), (800, 1333), (1333, 750)),
        ((500, 500), (800, 1333), (800, 800)),
        ((1024, 2048), (1024, 2560), (1024, 2048)),
        ((1080, 1920), (1024, 2560), (1024, 1820)),
        ((427, 640), (800, 1333), (800, 1199)),
        ((480, 854), (480, 1333), (480, 854)),
        ((1, 1), (800, 1333), (800, 800)),
        ((1, 10_000), (800, 1333), (1, 1333)),  # never zero
    ],
)
def test_sizes_are_the_published_ones(
    size: tuple[int, int], limits: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert resized_size(size, *limits) == expected


def test_padding_rounds_up_to_the_divisor() -> None:
    assert padded_size((800, 1067), 32) == (800, 1088)
    assert padded_size((1, 32), 32) == (32, 32)
    assert padded_size((750, 1333), 32) == (768, 1344)


def test_resizing_is_pillows_bilinear_on_bytes() -> None:
    image = picture(50, 70)
    expected = np.asarray(Image.fromarray(image).resize((31, 23), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize(image, (23, 31)), expected)
    assert resize(image, (50, 70)) is image


def test_normalising_and_padding_are_the_formula() -> None:
    mean, std = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)
    images = [picture(20, 33, 0), picture(31, 40, 1)]
    batch, sizes = normalize_and_pad(images, mean=mean, std=std, divisor=32, device=torch.device("cpu"))
    assert batch.shape == (2, 3, 32, 64)
    assert batch.dtype == torch.float32
    assert sizes.tolist() == [[20, 33], [31, 40]]
    for row, image in zip(batch.numpy(), images, strict=True):
        height, width = image.shape[:2]
        expected = ((image - np.array(mean)) / np.array(std)).transpose(2, 0, 1)
        np.testing.assert_allclose(row[:, :height, :width], expected, atol=1e-5)
        assert not row[:, height:].any()
        assert not row[:, :, width:].any()


def test_what_the_model_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resized on bytes, normalised with CLIP's numbers, padded with zeros."""
    segmenter = small_segmenter()
    seen = []
    monkeypatch.setattr(
        segmenter, "segment_tensors", lambda images, valid_hw, *_: seen.append((images, valid_hw)) or [None]
    )
    image = picture(50, 90)
    segmenter.segment([image], STREET)
    [(images, valid_hw)] = seen
    resized = np.asarray(Image.fromarray(image).resize((115, 64), Image.Resampling.BILINEAR), dtype=np.float64)
    spec = segmenter.spec
    expected = ((resized - spec.pixel_mean) / spec.pixel_std).transpose(2, 0, 1)
    np.testing.assert_allclose(images[0, :, :64, :115].numpy(), expected, atol=1e-5)
    assert not images[0, :, :, 115:].any()
    assert valid_hw.tolist() == [[64, 115]]


def test_frames_arrays_and_anything_with_pixels(segmenter: Segmenter) -> None:
    """Read-only arrays and views with odd strides come in without a warning (warnings are errors here)."""
    image = picture(64, 64)
    [expected] = segmenter.segment([image], STREET)
    frozen = image.copy()
    frozen.setflags(write=False)
    flipped = np.ascontiguousarray(image[::-1, ::-1, ::-1])[::-1, ::-1, ::-1]
    wider = np.concatenate([image, image], axis=1)[:, :64]
    for frame in (Frame(image), frozen, SimpleNamespace(rgb=image), flipped, wider, Frame(flipped)):
        assert_same(segmenter.segment([frame], STREET)[0], expected)


def test_tensors_go_in_by_the_other_door(segmenter: Segmenter) -> None:
    image = picture(64, 90)
    [expected] = segmenter.segment([image], STREET)
    batch, sizes = normalize_and_pad(
        [image], mean=segmenter.spec.pixel_mean, std=segmenter.spec.pixel_std, divisor=32, device=torch.device("cpu")
    )
    [queries] = segmenter.segment_tensors(batch, sizes, [(64, 90)], [STREET])
    assert_same(queries, expected)
    [doubled] = segmenter.segment_tensors(batch, sizes, [(128, 180)], [STREET])
    assert panoptic_from_queries(doubled).ids.shape == (128, 180)


def test_results_carry_no_gradients(segmenter: Segmenter) -> None:
    [queries] = segmenter.segment([picture(64, 64)], STREET)
    assert not queries.mask_logits.requires_grad
    assert not queries.class_log_scores.requires_grad


# --- mistakes


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (np.zeros((4, 5, 3), np.float32), r"float32 \(4, 5, 3\)"),
        (np.zeros((4, 5), np.uint8), r"uint8 \(4, 5\)"),
        (np.zeros((4, 5, 4), np.uint8), r"uint8 \(4, 5, 4\)"),
        (np.zeros((3, 4, 5), np.uint8), r"uint8 \(3, 4, 5\)"),
        (torch.zeros(4, 5, 3, dtype=torch.uint8), "Tensor"),
        ("street.jpg", "str"),
        (None, "NoneType"),
        (SimpleNamespace(rgb=[1, 2, 3]), "list"),
    ],
)
def test_what_is_no_picture_is_refused_by_its_position(segmenter: Segmenter, frame: Any, found: str) -> None:
    with pytest.raises(ConfigError, match=rf"frame 1 is {found}, expected a uint8 RGB array .*OpenCV reads BGR"):
        segmenter.segment([picture(8, 8), frame], STREET)


def test_a_picture_without_pixels_is_refused(segmenter: Segmenter) -> None:
    with pytest.raises(ConfigError, match=r"frame 0 has no pixels: shape \(0, 5, 3\), expected at least 1x1"):
        segmenter.segment([np.zeros((0, 5, 3), np.uint8)], STREET)


def test_as_many_vocabularies_as_frames(segmenter: Segmenter) -> None:
    with pytest.raises(ConfigError, match="2 vocabularies for 1 frames, expected one, or one per frame"):
        segmenter.segment([picture(8, 8)], [STREET, KITCHEN])
    with pytest.raises(ConfigError, match="0 vocabularies for 1 frames"):
        segmenter.segment([picture(8, 8)], [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"short_side": 0}, "short_side is 0, expected a whole number of at least 1"),
        ({"short_side": 480.5}, "short_side is 480.5, expected a whole number"),
        ({"short_side": True}, "short_side is True, expected a whole number"),
        ({"max_long_side": -3}, "max_long_side is -3, expected a whole number of at least 1"),
        ({"max_batch": 0}, "max_batch is 0, expected a whole number of at least 1"),
        ({"min_objectness": 1.5}, "min_objectness is 1.5, expected a number from 0 to 1"),
        ({"min_objectness": -0.1}, "min_objectness is -0.1, expected a number from 0 to 1"),
        ({"min_objectness": float("nan")}, "min_objectness is nan, expected a number from 0 to 1"),
        ({"min_objectness": "high"}, "min_objectness is 'high', expected a number from 0 to 1"),
        ({"precision": "fp8"}, "unknown precision 'fp8', expected one of auto, fp32, bf16, fp16"),
        ({"precision": "fp16"}, "fp16 on a CPU is slower than fp32 and overflows, expected fp32 or bf16"),
        ({"device": "tpu9"}, "unknown device 'tpu9', expected auto, cpu, cuda or cuda:N"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not there: this machine shows .* CUDA devices to torch"),
        ({"model": "demo-untraned"}, "unknown model 'demo-untraned': did you mean 'demo-untrained'"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    options = {"model": "demo-untrained", "device": "cpu", **options}
    with pytest.raises(ConfigError, match=message):
        Segmenter.load(text_cache=False, **options)


def test_the_default_size_is_the_models_and_can_be_chosen() -> None:
    model = small_model()
    assert small_segmenter(model).input_size((50, 100)) == (64, 128)
    assert small_segmenter(model, short_side=32).input_size((50, 100)) == (32, 64)
    # A short side above the default's longest edge takes that with it.
    assert small_segmenter(model, short_side=320).input_size((50, 50)) == (320, 320)
    assert small_segmenter(model, short_side=64, max_long_side=100).input_size((50, 100)) == (50, 100)


# --- loading


def test_the_untrained_demo_works_without_weights() -> None:
    segmenter = Segmenter.load("demo-untrained", device="cpu", text_cache=False, progress=False)
    assert (segmenter.precision, segmenter.short_side, segmenter.min_objectness) == ("fp32", 192, 0.15)
    assert segmenter.training_vocabulary == segmenter.objectness_vocabulary == Vocabulary.load("world-training")
    segmenter.objectness_vocabulary = STREET  # the training vocabulary's 300 categories take seconds to encode
    [queries] = segmenter.segment([picture(72, 128)], STREET)
    assert queries.geometry.resized_hw == (189, 336)
    assert panoptic_from_queries(queries).ids.shape == (72, 128)


def test_random_weights_take_no_file() -> None:
    with pytest.raises(ConfigError, match=r"demo-untrained has random weights by definition, .*weights\.pth"):
        Segmenter.load("demo-untrained", weights="weights.pth")


def test_the_demo_without_its_weights_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "packaged_weights", lambda _: None)
    with pytest.raises(
        WeightsError, match=r"demo comes with its weights in the package, but demo.safetensors is missing"
    ):
        Segmenter.load("demo", device="cpu", text_cache=False, progress=False)


def test_words_that_the_model_never_read_are_named_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a user has it: the packaged file, own words, twice."""
    save_official(build_fcclip(get_spec("demo")), tmp_path / "trained.pth")
    pack_demo(tmp_path / "trained.pth", tmp_path / "demo.safetensors")
    monkeypatch.setattr(hub, "packaged_weights", lambda _: tmp_path / "demo.safetensors")
    segmenter = Segmenter.load("demo", device="cpu", progress=False)  # with a cache: it must not silence the warning
    words = Vocabulary.parse("red car; zebra; wooden floor; giraffe")
    segmenter.text_classifier(words)
    assert caplog.messages == ["the demo model never read 'zebra', 'giraffe': what it calls so may be anything"]
    caplog.clear()
    segmenter.text_classifier(Vocabulary.parse("zebra; blue car"))
    assert caplog.messages == []
    again = Segmenter.load("demo", device="cpu", progress=False)
    again.text_classifier(words)
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("vocabulary", ["car; person", ["car", "person"]])
def test_text_instead_of_a_vocabulary(vocabulary: Any) -> None:
    segmenter = small_segmenter()
    with pytest.raises(
        ConfigError, match=r"vocabulary is the text 'car.*', expected a Vocabulary: use Vocabulary.parse"
    ):
        segmenter.segment([picture(64, 64), picture(64, 64)], vocabulary)

"""The heads against the published algorithms, written out query by query and pixel by pixel."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from streamseg import competition, panoptic
from streamseg.fcclip.classifier import published_log_scores
from streamseg.panoptic import (
    PanopticMap,
    PanopticSegment,
    instance_inference,
    merge_masks,
    panoptic_from_association,
    panoptic_from_queries,
    panoptic_inference,
    published_scores,
    semantic_inference,
)
from streamseg.queries import MaskGeometry, Queries
from streamseg.vocabulary import Category, Vocabulary

CATEGORIES = (
    Category(7, ("car", "automobile"), True),
    Category(3, ("sky",), False),
    Category(11, ("person",), True),
    Category(20, ("road",), False),
    Category(21, ("tree",), False),
)
SURE = 8.0

MERGES = pytest.mark.parametrize("compete", [competition.compete_plain, competition.compete_tiles])


@dataclass(frozen=True)
class Kept:
    """Masks that compete."""

    scores: Tensor
    labels: Tensor
    mask_logits: Tensor
    geometry: MaskGeometry


def published_merge(
    kept: Kept, categories: Sequence[Category], overlap_threshold: float = 0.8
) -> tuple[npt.NDArray[np.int32], list[dict[str, Any]]]:
    """`panoptic_inference` of Mask2Former and FC-CLIP, from the masks that were kept; one query at a time."""
    height, width = kept.geometry.output_hw
    panoptic_seg = np.zeros((height, width), np.int32)
    segments_info: list[dict[str, Any]] = []
    if len(kept.scores) == 0:
        return panoptic_seg, segments_info
    masks = []
    for logits in kept.mask_logits:
        mask = F.interpolate(logits[None, None], kept.geometry.padded_hw, mode="bilinear", align_corners=False)
        mask = mask[:, :, : kept.geometry.resized_hw[0], : kept.geometry.resized_hw[1]]
        mask = F.interpolate(mask, (height, width), mode="bilinear", align_corners=False)
        masks.append(mask[0, 0].sigmoid().numpy())
    ids = (kept.scores.numpy()[:, None, None] * np.stack(masks)).argmax(0)
    stuff_memory: dict[int, int] = {}
    current = 0
    for k, mask in enumerate(masks):
        label = int(kept.labels[k])
        mask_area = int((ids == k).sum())
        original_area = int((mask >= 0.5).sum())
        final = (ids == k) & (mask >= 0.5)
        if mask_area == 0 or original_area == 0 or final.sum() == 0:
            continue
        if mask_area / original_area < overlap_threshold:
            continue
        if label >= len(categories):  # background, which the published code does not have: void
            continue
        if not categories[label].isthing:
            if label in stuff_memory:
                panoptic_seg[final] = stuff_memory[label]
                continue
            stuff_memory[label] = current + 1
        current += 1
        panoptic_seg[final] = current
        segments_info.append({"id": current, "isthing": categories[label].isthing, "category_id": categories[label].id})
    return panoptic_seg, segments_info


def assert_published(
    result: PanopticMap, kept: Kept, categories: Sequence[Category] = CATEGORIES, **options: float
) -> None:
    ids, info = published_merge(kept, categories, **options)
    np.testing.assert_array_equal(result.ids, ids)
    assert [{"id": s.id, "isthing": s.isthing, "category_id": s.category_id} for s in result.segments] == info
    assert_consistent(result)


def assert_consistent(result: PanopticMap) -> None:
    """Segments and map say the same."""
    assert result.ids.dtype == np.int32
    values, areas = np.unique(result.ids[result.ids > 0], return_counts=True)
    assert {segment.id: segment.area for segment in result.segments} == dict(
        zip(values.tolist(), areas.tolist(), strict=True)
    )
    assert [segment.id for segment in result.segments] == list(range(1, len(result.segments) + 1))


def identity(height: int, width: int) -> MaskGeometry:
    return MaskGeometry((height, width), (height, width), (height, width))


def random_kept(seed: int, geometry: MaskGeometry, count: int = 12, *, labels: int = len(CATEGORIES)) -> Kept:
    """Discs that overlap: some win, some lose, some are empty, some are everywhere."""
    random = torch.Generator().manual_seed(seed)
    height, width = geometry.padded_hw
    size = (height // 4, width // 4) if geometry.padded_hw != geometry.output_hw else (height, width)
    y, x = torch.linspace(0, 1, size[0])[:, None], torch.linspace(0, 1, size[1])
    top, left, radius, sureness = torch.rand(4, count, 1, 1, generator=random)
    distance = ((y - top) ** 2 + (x - left) ** 2).sqrt()
    logits = 60 * (0.4 * radius**2 - distance) + 4 * (sureness - 0.4)
    logits += torch.randn(count, *size, generator=random) * 0.3
    if count > 3:
        logits[1], logits[2] = -4 - sureness[1], 1.5 + sureness[2]
    scores = torch.rand(count, generator=random)
    scores[2:3] /= 20
    return Kept(scores, torch.randint(0, labels, (count,), generator=random), logits, geometry)


def merged(kept: Kept, categories: Sequence[Category] = CATEGORIES, **options: Any) -> PanopticMap:
    return merge_masks(kept.scores, kept.labels, kept.mask_logits, kept.geometry, categories, **options)


GEOMETRIES = [
    identity(23, 31),
    MaskGeometry((64, 96), (64, 96), (64, 96)),
    MaskGeometry((64, 96), (50, 90), (50, 90)),
    MaskGeometry((64, 96), (50, 90), (75, 135)),
    MaskGeometry((64, 96), (64, 96), (30, 47)),
    MaskGeometry((32, 160), (20, 150), (120, 900)),
    MaskGeometry((64, 64), (60, 61), (1, 1)),
]


@MERGES
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda geometry: "-".join(map(str, geometry.output_hw)))
@pytest.mark.parametrize("count", [1, 4, 30])
def test_merge_equals_the_published_loop(
    compete: Callable[..., Any], geometry: MaskGeometry, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panoptic, "compete", compete)
    drawn = 0
    for seed in range(8):
        kept = random_kept(seed, geometry, count)
        result = merged(kept)
        assert_published(result, kept)
        drawn += len(result.segments)
    assert drawn > 0


@MERGES
@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.95, 1.0])
def test_overlap_threshold(compete: Callable[..., Any], threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panoptic, "compete", compete)
    for seed in range(5):
        kept = random_kept(seed, identity(20, 30))
        assert_published(merged(kept, overlap_threshold=threshold), kept, overlap_threshold=threshold)


@MERGES
@pytest.mark.parametrize("geometry", [identity(40, 70), GEOMETRIES[3]], ids=["identity", "resized"])
def test_of_equal_masks_the_first_wins(
    compete: Callable[..., Any], geometry: MaskGeometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panoptic, "compete", compete)
    for seed in range(5):
        kept = random_kept(seed, geometry, 6)
        order = torch.tensor([0, 1, 0, 2, 3, 3, 1, 4, 5, 0])
        twice = Kept(kept.scores[order], kept.labels[order], kept.mask_logits[order], geometry)
        assert_published(merged(twice), twice)
        unrepeated = merged(
            replace(kept, **{name: getattr(kept, name)[:6] for name in ("scores", "labels", "mask_logits")})
        )
        assert np.array_equal(merged(twice).ids > 0, unrepeated.ids > 0)


@MERGES
def test_ties_of_saturated_masks(compete: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a logit of 17 a float32 sigmoid is exactly 1: surer masks do not win, earlier ones do."""
    monkeypatch.setattr(panoptic, "compete", compete)
    random = torch.Generator().manual_seed(0)
    for _ in range(5):
        signs = torch.randint(0, 2, (8, 9, 11), generator=random) * 2 - 1
        levels = torch.tensor([20.0, 40, 30, 25, 60, 20, 90, 35])[:, None, None]
        scores = torch.tensor([0.5, 0.5, 0.5, 0.25, 0.5, 0.5, 0.25, 0.5])
        kept = Kept(scores, torch.arange(8) % len(CATEGORIES), signs * levels, identity(9, 11))
        for threshold in (0.0, 0.3, 0.8):
            assert_published(merged(kept, overlap_threshold=threshold), kept, overlap_threshold=threshold)


@MERGES
def test_background_labels_become_void(compete: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panoptic, "compete", compete)
    for seed in range(5):
        kept = random_kept(seed, identity(20, 30), labels=len(CATEGORIES) + 3)
        assert_published(merged(kept), kept)
    everything = Kept(torch.tensor([0.9]), torch.tensor([5]), torch.full((1, 20, 30), SURE), identity(20, 30))
    assert not merged(everything).ids.any()
    assert merged(everything).segments == ()


def blocks(height: int, width: int, *boxes: tuple[int, int, int, int], outside: float = -SURE) -> Tensor:
    """(N, height, width) logits: sure inside of each (top, left, bottom, right)."""
    logits = torch.full((len(boxes), height, width), outside)
    for mask, (top, left, bottom, right) in zip(logits, boxes, strict=True):
        mask[top:bottom, left:right] = SURE
    return logits


def test_masks_of_one_stuff_category_share_a_segment_and_things_do_not() -> None:
    logits = blocks(10, 10, (0, 0, 2, 10), (2, 0, 4, 10), (4, 0, 6, 10), (6, 0, 8, 10), (8, 0, 10, 10))
    labels = torch.tensor([1, 0, 1, 0, 3])  # sky, car, sky, car, road
    result = merge_masks(torch.tensor([0.5, 0.6, 0.7, 0.8, 0.9]), labels, logits, identity(10, 10), CATEGORIES)
    assert result.segments == (
        PanopticSegment(1, 3, "sky", False, pytest.approx(0.7), 40, 0),
        PanopticSegment(2, 7, "car", True, pytest.approx(0.6), 20, 1),
        PanopticSegment(3, 7, "car", True, pytest.approx(0.8), 20, 3),
        PanopticSegment(4, 20, "road", False, pytest.approx(0.9), 20, 4),
    )
    assert result.ids[:, 0].tolist() == [1, 1, 2, 2, 1, 1, 3, 3, 4, 4]
    assert repr(result) == "PanopticMap(10x10, 4 segments)"


def test_a_mask_that_lost_a_fifth_stays_and_one_that_lost_more_goes() -> None:
    logits = blocks(10, 10, (0, 0, 10, 5), (0, 0, 2, 5))  # the second takes 10 of the first's 50
    scores, labels = torch.tensor([0.5, 0.9]), torch.tensor([0, 2])
    assert len(merge_masks(scores, labels, logits, identity(10, 10), CATEGORIES).segments) == 2
    logits[1, 2, 0] = SURE
    [left] = merge_masks(scores, labels, logits, identity(10, 10), CATEGORIES).segments
    assert left.label == "person"


def test_won_pixels_count_also_where_the_mask_is_unsure() -> None:
    """`mask_area` holds argmax pixels below 0.5, so it may exceed the mask's own area; the segment does not."""
    # 5 of its 8 own pixels are lost (share 0.375), but it wins 30 unsure ones: 33/8, so it stays.
    torn = blocks(10, 10, (0, 0, 1, 8), (0, 0, 1, 5), outside=-SURE)
    torn[0, 5:8] = -1.0
    kept = Kept(torch.tensor([0.5, 0.9]), torch.tensor([0, 2]), torn, identity(10, 10))
    both = merged(kept)
    assert_published(both, kept)
    assert {segment.label: segment.area for segment in both.segments} == {"car": 3, "person": 5}


def test_nothing_kept_and_nothing_sure() -> None:
    none = merge_masks(
        torch.zeros(0), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4, 5), identity(4, 5), CATEGORIES
    )
    assert none.ids.shape == (4, 5)
    assert none.ids.dtype == np.int32
    assert not none.ids.any()
    assert none.segments == ()
    unsure = merge_masks(torch.ones(2), torch.tensor([0, 1]), torch.full((2, 4, 5), -2.0), identity(4, 5), CATEGORIES)
    assert not unsure.ids.any()
    assert unsure.segments == ()


def test_one_pixel() -> None:
    kept = Kept(torch.tensor([0.3, 0.6]), torch.tensor([2, 1]), torch.full((2, 1, 1), 4.0), identity(1, 1))
    assert_published(merged(kept), kept)
    assert merged(kept).segments[0].label == "sky"


@pytest.mark.parametrize("chunk_pixels", [1, 20 * 30 * 3, 1 << 30])
def test_chunks_make_no_difference(chunk_pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panoptic, "compete", competition.compete_plain)
    monkeypatch.setattr(competition, "CPU_CHUNK_PIXELS", chunk_pixels)
    for seed in range(4):
        kept = random_kept(seed, identity(20, 30))
        assert_published(merged(kept), kept)


@pytest.mark.parametrize("tile", [(1, 1), (3, 5), (16, 16), (4096, 4096)])
def test_tiles_make_no_difference(tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panoptic, "compete", competition.compete_tiles)
    monkeypatch.setattr(competition, "TILE_HW", tile)
    for seed in range(3):
        for geometry in (identity(20, 30), GEOMETRIES[3]):
            kept = random_kept(seed, geometry)
            assert_published(merged(kept), kept)


def random_probabilities(count: int, classes: int, seed: int = 0, spread: float = 3.0) -> Tensor:
    return (torch.randn(count, classes + 1, generator=torch.Generator().manual_seed(seed)) * spread).softmax(-1)


@pytest.mark.parametrize("threshold", [0.0, 0.6])
def test_panoptic_inference_keeps_what_is_not_void_and_above_the_threshold(threshold: float) -> None:
    drawn = 0
    for seed in range(8):
        probabilities = random_probabilities(25, len(CATEGORIES), seed)
        logits = random_kept(seed, identity(18, 26), 25).mask_logits
        scores, labels = probabilities.max(-1)
        keep = (labels != len(CATEGORIES)) & (scores > threshold)
        result = panoptic_inference(probabilities, logits, CATEGORIES, score_threshold=threshold)
        assert_published(result, Kept(scores[keep], labels[keep], logits[keep], identity(18, 26)))
        drawn += len(result.segments)
    assert drawn > 0


def test_all_void() -> None:
    probabilities = torch.tensor([[0.1, 0.1, 0.1, 0.1, 0.1, 0.5]]).repeat(3, 1)
    assert not panoptic_inference(probabilities, torch.full((3, 6, 8), SURE), CATEGORIES).ids.any()


def random_queries(seed: int, geometry: MaskGeometry, background: int = 2, count: int = 25) -> Queries:
    """Scores under `CATEGORIES` and some background, as the segmenter makes them."""
    kept = random_kept(seed, geometry, count)
    classes = len(CATEGORIES) + background
    random = torch.Generator().manual_seed(seed)
    rubbish = tuple(Category(100 + i, (f"rubbish {i}",), True) for i in range(background))
    embedding = torch.randn(count, 4, generator=random)
    return Queries(
        vocabulary=Vocabulary("test", CATEGORIES, rubbish),
        geometry=geometry,
        slots=torch.arange(count),
        mask_logits=kept.mask_logits,
        class_log_scores=(torch.randn(count, classes, generator=random) * 3).log_softmax(-1),
        void_probability=torch.rand(count, generator=random) ** 2,
        training_void_probability=torch.rand(count, generator=random),
        in_vocabulary_embedding=embedding,
        out_of_vocabulary_embedding=embedding,
        clip_valid=torch.ones(count, dtype=torch.bool),
        query_embedding=embedding,
        pixel_feature=embedding,
        global_clip_embedding=torch.ones(4) / 2,
    )


@pytest.mark.parametrize("background", [0, 2])
@pytest.mark.parametrize("threshold", [0.0, 0.4])
def test_queries_are_scored_as_published(background: int, threshold: float) -> None:
    """softmax over log(p + 1e-8), void and background included; then the merge."""
    geometry = MaskGeometry((64, 96), (50, 90), (75, 135))
    drawn = 0
    for seed in range(6):
        queries = random_queries(seed, geometry, background)
        mask_cls = published_log_scores(queries.class_log_scores, queries.void_probability)
        torch.testing.assert_close(published_scores(queries), mask_cls.softmax(-1))
        scores, labels = mask_cls.softmax(-1).max(-1)
        keep = (labels != len(CATEGORIES) + background) & (scores > threshold)
        kept = Kept(scores[keep], labels[keep], queries.mask_logits[keep], geometry)
        result = panoptic_from_queries(queries, score_threshold=threshold)
        assert_published(result, kept)
        assert all(result.segments[i].label in [c.label for c in CATEGORIES] for i in range(len(result.segments)))
        drawn += len(result.segments)
    assert drawn > 0


def test_a_map_of_another_size_than_the_frame() -> None:
    queries = random_queries(0, MaskGeometry((64, 96), (50, 90), (75, 135)))
    result = panoptic_from_queries(queries, output_hw=(10, 18))
    assert result.ids.shape == (10, 18)
    small = replace(queries, geometry=MaskGeometry((64, 96), (50, 90), (10, 18)))
    np.testing.assert_array_equal(result.ids, panoptic_from_queries(small).ids)


def test_half_precision_masks_merge_in_float32() -> None:
    queries = random_queries(0, MaskGeometry((64, 96), (50, 90), (75, 135)))
    rounded = queries.mask_logits.half()
    compact = panoptic_from_queries(replace(queries, mask_logits=rounded))
    np.testing.assert_array_equal(compact.ids, panoptic_from_queries(replace(queries, mask_logits=rounded.float())).ids)


def test_semantic_inference_equals_loops() -> None:
    probabilities = random_probabilities(4, 3)
    logits = torch.randn(4, 3, 5)
    semantic = semantic_inference(probabilities, logits)
    assert semantic.shape == (3, 3, 5)
    for category in range(3):
        for y in range(3):
            for x in range(5):
                expected = sum(
                    float(probabilities[q, category]) / (1 + np.exp(-float(logits[q, y, x]))) for q in range(4)
                )
                assert float(semantic[category, y, x]) == pytest.approx(expected, abs=1e-5)


def published_instances(probabilities: Tensor, logits: Tensor, top_k: int) -> list[tuple[float, int, Any, list[float]]]:
    """(score, class, mask, x y w h) of the `top_k` pairs that are things; best first."""
    pairs = [
        (float(probabilities[query, label]), query, label)
        for query in range(len(probabilities))
        for label in range(len(CATEGORIES))
    ]
    found = []
    for score, query, label in sorted(pairs, reverse=True)[:top_k]:
        if not CATEGORIES[label].isthing:
            continue
        mask = (logits[query] > 0).numpy()
        sigmoid = 1 / (1 + np.exp(-logits[query].double().numpy()))
        quality = (sigmoid * mask).sum() / (mask.sum() + 1e-6)
        ys, xs = np.nonzero(mask)
        box = [xs.min(), ys.min(), xs.max() - xs.min() + 1, ys.max() - ys.min() + 1] if len(xs) else [0, 0, 0, 0]
        found.append((score * quality, label, mask, [float(side) for side in box]))
    return sorted(found, key=lambda instance: -instance[0])


@pytest.mark.parametrize("top_k", [1, 7, 40, 1000])
def test_instance_inference_equals_loops(top_k: int) -> None:
    for seed in range(4):
        probabilities = random_probabilities(9, len(CATEGORIES), seed)
        logits = random_kept(seed, identity(12, 17), 9).mask_logits
        logits[3] = -1.0  # an empty mask
        instances = instance_inference(probabilities, logits, CATEGORIES, top_k=top_k)
        expected = published_instances(probabilities, logits, top_k)
        scores = np.array([score for score, *_ in expected])
        np.testing.assert_allclose(instances.scores.numpy(), scores, atol=1e-5)
        sure = int((scores > 1e-9).sum())  # empty masks all score 0, in any order
        assert instances.classes.tolist()[:sure] == [label for _, label, *_ in expected][:sure]
        for position, (_, _, mask, box) in enumerate(expected[:sure]):
            np.testing.assert_array_equal(instances.masks[position].numpy(), mask)
            assert instances.boxes[position].tolist() == box
        assert not instances.boxes[sure:].any()


def test_no_instances_where_there_are_only_stuff_categories() -> None:
    stuff = CATEGORIES[3:]
    instances = instance_inference(random_probabilities(4, 2), torch.randn(4, 5, 6), stuff)
    assert instances.scores.shape == (0,)
    assert instances.masks.shape == (0, 5, 6)
    assert instances.boxes.shape == (0, 4)


def test_boxes_of_single_pixels_and_borders() -> None:
    logits = blocks(6, 8, (2, 3, 3, 4), (0, 0, 6, 8), (5, 7, 6, 8))
    probabilities = torch.tensor([[0.9, 0, 0], [0.8, 0, 0], [0.7, 0, 0]])
    instances = instance_inference(probabilities, logits, CATEGORIES[::2][:2], top_k=3)
    assert instances.boxes.tolist() == [[3, 2, 1, 1], [0, 0, 8, 6], [7, 5, 1, 1]]


def on_cuda(kept: Kept) -> Kept:
    return Kept(kept.scores.cuda(), kept.labels.cuda(), kept.mask_logits.cuda(), kept.geometry)


@pytest.mark.cuda
@pytest.mark.parametrize("geometry", GEOMETRIES[:6], ids=lambda geometry: "-".join(map(str, geometry.output_hw)))
def test_merge_on_cuda_equals_the_cpu(geometry: MaskGeometry) -> None:
    for seed in range(4):
        kept = random_kept(seed, geometry, 40)
        cpu, cuda = merged(kept), merged(on_cuda(kept))
        assert (cpu.ids == cuda.ids).mean() >= 0.998
        assert [(s.id, s.category_id) for s in cpu.segments] == [(s.id, s.category_id) for s in cuda.segments]
        assert_consistent(cuda)


@pytest.mark.cuda
def test_waits_for_the_gpu_do_not_grow_with_the_queries() -> None:
    def waits(count: int) -> int:
        kept = on_cuda(random_kept(0, identity(64, 96), count))
        merged(kept)  # whatever is set up once
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                merged(kept)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(warning.message) for warning in caught)

    assert waits(2) == waits(100) <= 10


# With identities of association.


def associated(queries: Queries, **changed: Any) -> dict[str, Any]:
    """What association says where it follows everything and changes nothing."""
    scores, labels = published_scores(queries).max(-1)
    void = queries.class_log_scores.shape[-1]
    plain = {"ids": np.arange(len(queries)) + 10, "labels": labels, "scores": scores, "keep": labels != void}
    return plain | changed


@pytest.mark.parametrize("background", [0, 2])
@pytest.mark.parametrize("threshold", [0.0, 0.4])
def test_identities_change_nothing_but_the_numbers(background: int, threshold: float) -> None:
    geometry = MaskGeometry((64, 96), (50, 90), (75, 135))
    for seed in range(6):
        queries = random_queries(seed, geometry, background)
        facts = associated(queries)
        labels = np.minimum(facts["labels"].numpy(), len(CATEGORIES))
        stuff = np.array([not category.isthing for category in CATEGORIES] + [False])[labels]
        facts["ids"] = np.where(stuff, 100 + labels, 200 - np.arange(len(queries)))  # descending: order must not matter
        published = panoptic_from_queries(queries, score_threshold=threshold)
        found = panoptic_from_association(queries, score_threshold=threshold, **facts)
        assert [segment.id for segment in found.segments] == sorted(segment.id for segment in found.segments)
        assert len(found.segments) == len(published.segments)
        for segment in found.segments:
            (twin,) = [other for other in published.segments if other.query == segment.query]
            assert replace(segment, id=twin.id) == twin
            np.testing.assert_array_equal(found.ids == segment.id, published.ids == twin.id)
        np.testing.assert_array_equal(found.ids == 0, published.ids == 0)


def handmade(*boxes: tuple[int, int, int, int]) -> Queries:
    """Queries whose scores and labels association will say."""
    count = len(boxes)
    queries = random_queries(0, identity(16, 16))
    rows = torch.zeros(count, dtype=torch.int64)
    picked = {name: getattr(queries, name)[rows] for name in ("class_log_scores", "void_probability")}
    return replace(queries, mask_logits=blocks(16, 16, *boxes), geometry=identity(16, 16), **picked)


def merged_as(queries: Queries, ids: list[int], labels: list[int], scores: list[float], **options: Any) -> PanopticMap:
    return panoptic_from_association(
        queries,
        ids=ids,
        labels=torch.tensor(labels),
        scores=torch.tensor(scores),
        keep=options.pop("keep", torch.ones(len(ids), dtype=torch.bool)),
        **options,
    )


def test_queries_of_one_identity_share_a_segment() -> None:
    queries = handmade((0, 0, 8, 16), (8, 0, 16, 8), (8, 8, 16, 16))
    found = merged_as(queries, [7, 7, 3], [3, 3, 0], [0.5, 0.8, 0.9])
    assert [(s.id, s.label, s.area, s.query) for s in found.segments] == [(3, "car", 64, 2), (7, "road", 192, 0)]
    assert found.segments[1].score == pytest.approx(0.8)


def test_who_is_not_followed_takes_no_pixels() -> None:
    queries = handmade((0, 0, 16, 16), (0, 0, 16, 12))
    found = merged_as(queries, [5, 0], [0, 0], [0.5, 0.9])
    assert [(segment.id, segment.area) for segment in found.segments] == [(5, 256)]


def test_background_wins_pixels_for_void_without_an_identity() -> None:
    queries = handmade((0, 0, 16, 16), (0, 0, 16, 2))
    found = merged_as(queries, [5, 0], [0, len(CATEGORIES)], [0.5, 0.9])
    assert [(segment.id, segment.area) for segment in found.segments] == [(5, 224)]
    assert (found.ids[:, :2] == 0).all()


def test_who_is_not_kept_or_scores_too_little_stays_out() -> None:
    queries = handmade((0, 0, 8, 16), (8, 0, 16, 16))
    kept = torch.tensor([True, False])
    assert [s.id for s in merged_as(queries, [5, 6], [0, 0], [0.5, 0.9], keep=kept).segments] == [5]
    assert [s.id for s in merged_as(queries, [5, 6], [0, 0], [0.5, 0.9], score_threshold=0.6).segments] == [6]
    assert merged_as(queries, [0, 0], [0, 0], [0.5, 0.9]).ids.shape == (16, 16)


def test_a_map_with_identities_of_another_size_than_the_frame() -> None:
    found = merged_as(handmade((0, 0, 16, 16)), [9], [0], [0.5], output_hw=(4, 6))
    assert found.ids.tolist() == [[9] * 6] * 4

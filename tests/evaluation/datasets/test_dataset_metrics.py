"""Average precision as pycocotools and Cityscapes' script have it, class maps as published, and tallies that add up."""

import contextlib
import io
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from streamseg.evaluation.datasets.annotations import IGNORED
from streamseg.evaluation.datasets.cityscapes_instances import CityscapesPrecision
from streamseg.evaluation.datasets.class_maps import class_map
from streamseg.evaluation.datasets.instances import CocoPrecision
from streamseg.evaluation.datasets.predictions import QueriesPrediction
from streamseg.evaluation.datasets.protocols import PROTOCOLS
from streamseg.evaluation.datasets.published import ROWS, published_scores
from streamseg.evaluation.datasets.semantic import ClassTable
from streamseg.panoptic import Instances, instance_inference, semantic_inference
from streamseg.panoptic import published_scores as published_probabilities
from streamseg.queries import MaskGeometry
from streamseg.testing.scripted import ScriptedMask, ScriptedSegmenter
from streamseg.vocabulary import Vocabulary
from tests.evaluation.datasets.random_instances import SIZE_HW, coco_truth, random_pictures

CITYSCAPES = Vocabulary.load("cityscapes")
PICTURES = 12


# What cityscapesScripts 2.3.0 gives for `random_pictures(seed, 12, ...)`: AP, AP50, and AP of person, rider, car.
SCRIPT = {
    0: (0.11940166215025176, 0.35083153485565766, 0.0975036908038069, 0.14204505027030773, 0.14099288921187417),
    1: (0.09576694268670442, 0.23882507209422843, 0.03111270673770674, 0.16540881333223845, 0.07604781524518366),
    2: (0.11840595173143684, 0.31519130170462967, 0.16043428330928328, 0.1119384781884782, 0.05182730463980464),
}


@pytest.mark.parametrize("seed", SCRIPT)
def test_cityscapes_precision_is_that_of_its_script(seed: int) -> None:
    precision = CityscapesPrecision(CITYSCAPES)
    for truth, predicted in random_pictures(seed, PICTURES, CITYSCAPES):
        precision.add(truth, predicted)
    scores, per_class = precision.scores(), precision.per_class()
    found = (scores["AP"], scores["AP50"], *(per_class[category] for category in (24, 25, 26)))
    assert found == pytest.approx(SCRIPT[seed], abs=1e-12)
    assert per_class[28] is None  # no bus


def test_coco_precision_is_that_of_pycocotools_on_all_pictures_at_once() -> None:
    precision = CocoPrecision(CITYSCAPES)
    annotations, results = [], []
    for image, (ids, predicted) in enumerate(random_pictures(3, PICTURES, CITYSCAPES), start=1):
        truth = coco_truth(ids, CITYSCAPES, first=len(annotations) + 1)
        precision.add(truth, predicted)
        annotations += [entry | {"image_id": image} for entry in truth]
        results += [
            {"image_id": image, **{key: entry[key] for key in ("category_id", "segmentation", "score")}}
            for entry in precision._detections(predicted)
        ]
    with contextlib.redirect_stdout(io.StringIO()):
        expected = COCO()
        expected.dataset = {
            "info": {},
            "images": [{"id": image, "height": SIZE_HW[0], "width": SIZE_HW[1]} for image in range(1, PICTURES + 1)],
            "categories": [{"id": c.id, "name": c.label} for c in CITYSCAPES.categories if c.isthing],
            "annotations": annotations,
        }
        expected.createIndex()
        evaluation = COCOeval(expected, expected.loadRes(results), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = ("AP", "AP50", "AP75", "APs", "APm", "APl")
    scores = precision.scores()
    assert [scores[name] if scores[name] is not None else -1 for name in names] == pytest.approx(
        evaluation.stats[:6].tolist(), abs=1e-12
    )
    assert scores["AP"] is not None
    assert 0 < scores["AP"] < 1


@pytest.mark.parametrize("kind", [CityscapesPrecision, CocoPrecision])
def test_precision_adds_up_bit_for_bit(kind: type[CityscapesPrecision] | type[CocoPrecision]) -> None:
    whole, parts = kind(CITYSCAPES), [kind(CITYSCAPES) for _ in range(3)]
    for number, (ids, predicted) in enumerate(random_pictures(4, PICTURES, CITYSCAPES)):
        truth = ids if kind is CityscapesPrecision else coco_truth(ids, CITYSCAPES, first=1)
        for precision in (whole, parts[number // 4]):
            precision.add(truth, predicted)  # type: ignore[arg-type]
    total = kind(CITYSCAPES)
    for part in parts:
        total.absorb(part)  # type: ignore[arg-type]
    assert total.scores() == whole.scores()
    assert total.per_class() == whole.per_class()


@pytest.mark.parametrize("kind", [CityscapesPrecision, CocoPrecision])
def test_nothing_to_find_is_no_score(kind: type[CityscapesPrecision] | type[CocoPrecision]) -> None:
    assert set(kind(CITYSCAPES).scores().values()) == {None}


def test_nothing_found_is_zero() -> None:
    ids = np.zeros(SIZE_HW, np.int32)
    ids[10:30, 10:30] = 26001
    nobody = Instances(
        torch.zeros(0), torch.zeros(0, dtype=torch.int64), torch.zeros(0, *SIZE_HW, dtype=torch.bool), torch.zeros(0, 4)
    )
    cityscapes, coco = CityscapesPrecision(CITYSCAPES), CocoPrecision(CITYSCAPES)
    cityscapes.add(ids, nobody)
    coco.add(coco_truth(ids, CITYSCAPES, first=1), nobody)
    assert cityscapes.scores()["AP"] == 0
    assert coco.scores()["AP"] == 0


GEOMETRIES = [
    MaskGeometry((64, 96), (50, 90), (100, 180)),
    MaskGeometry((64, 96), (64, 96), (64, 96)),
    MaskGeometry((64, 96), (61, 96), (37, 51)),
    MaskGeometry((32, 32), (32, 20), (480, 301)),
    MaskGeometry((64, 32), (64, 32), (64, 77)),
]


def published_class_map(
    probabilities: torch.Tensor, logits: torch.Tensor, geometry: MaskGeometry, upsample: str
) -> torch.Tensor:
    """As the original does it, everything at once; the scores behind the map."""
    if upsample == "masks":
        return semantic_inference(probabilities, geometry.upsample(logits))
    height, width = geometry.resized_hw
    padded = torch.nn.functional.interpolate(logits[None], geometry.padded_hw, mode="bilinear", align_corners=False)[0]
    scores = semantic_inference(probabilities, padded)[:, :height, :width]
    return torch.nn.functional.interpolate(scores[None], geometry.output_hw, mode="bilinear", align_corners=False)[0]


@pytest.mark.parametrize("upsample", ["masks", "scores"])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("band", [1, 1 << 15, 1 << 24])
def test_bands_of_rows_make_the_published_map(
    geometry: MaskGeometry, upsample: str, band: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamseg.evaluation.datasets.class_maps.CPU_BAND_NUMBERS", band)
    generator = torch.Generator().manual_seed(0)
    logits = 6 * torch.randn(12, geometry.padded_hw[0] // 4, geometry.padded_hw[1] // 4, generator=generator)
    probabilities = torch.randn(12, 8, generator=generator).softmax(-1)
    scores = published_class_map(probabilities, logits, geometry, upsample)
    found = class_map(probabilities, logits, geometry, upsample=upsample)  # type: ignore[arg-type]
    assert found.shape == geometry.output_hw
    best, chosen = scores.max(0).values, scores.gather(0, found[None])[0]
    torch.testing.assert_close(chosen, best, atol=2e-5, rtol=0)
    assert (found == scores.argmax(0)).float().mean() > 0.999


def test_instances_of_queries_are_the_published_ones() -> None:
    """Only the masks that are used are upsampled; the result is that of all of them."""
    vocabulary = Vocabulary.parse("car:thing; person:thing; sky:stuff")
    masks = [np.zeros((20, 30), bool) for _ in range(60)]
    for number, mask in enumerate(masks):
        mask[number % 13 : number % 13 + 5, number % 17 : number % 17 + 9] = True
    script = [ScriptedMask(mask, number % 3, 0.9 - 0.01 * number) for number, mask in enumerate(masks)]
    (queries,) = ScriptedSegmenter(lambda *_: script).segment([np.zeros((20, 30, 3), np.uint8)], vocabulary)
    found = QueriesPrediction(queries, "masks").instances()
    logits = queries.geometry.upsample(queries.mask_logits)
    expected = instance_inference(published_probabilities(queries), logits, vocabulary.categories)
    assert len(found.scores) == len(expected.scores) > 20
    torch.testing.assert_close(found.scores, expected.scores)
    assert torch.equal(found.classes, expected.classes)
    assert torch.equal(found.masks, expected.masks)


@pytest.mark.parametrize("upsample", ["masks", "scores"])
def test_no_query_at_all(upsample: Literal["masks", "scores"]) -> None:
    """Every pixel has the first class, as an argmax of zeros does, and there is no instance."""
    vocabulary = Vocabulary.parse("car:thing; sky:stuff")
    (queries,) = ScriptedSegmenter(lambda *_: []).segment([np.zeros((21, 30, 3), np.uint8)], vocabulary)
    prediction = QueriesPrediction(queries, upsample)
    assert np.array_equal(prediction.classes(), np.zeros((21, 30)))
    assert prediction.instances().masks.shape == (0, 21, 30)
    assert not prediction.panoptic().segments


def test_class_table_by_hand() -> None:
    """Three of four labelled pixels of class 0 are right, the fourth is class 1, which has one pixel of its own, right;
    what lies on ignored ground counts for nobody. Class 2 is predicted on no labelled pixel."""
    table = ClassTable(Vocabulary.parse("a; b; c"))
    table.add(np.array([[0, 0, 0], [0, 1, IGNORED]]), np.array([[0, 0, 0], [1, 1, 2]]))
    scores = table.scores()
    assert scores["mIoU"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert scores["fwIoU"] == pytest.approx((4 * 3 / 4 + 1 / 2) / 5)
    assert scores["mACC"] == pytest.approx((3 / 4 + 1) / 2)
    assert scores["pACC"] == pytest.approx(4 / 5)
    assert table.per_class() == {0: 0.75, 1: 0.5, 2: None}


def test_published_figures() -> None:
    assert published_scores("ade20k", "fcclip-convnext-large") == {"PQ": 26.8, "AP": 16.8, "mIoU": 34.1}
    assert published_scores("cityscapes", "fcclip-r50") == {"PQ": 40.3, "AP": 21.6, "mIoU": 53.2}
    assert published_scores("mapillary", "fcclip-convnext-large") == {"PQ": 18.3, "mIoU": 27.8}
    assert published_scores("coco", "fcclip-r50x64") == {"PQ": 55.6, "AP": 46.4, "mIoU": 65.3}
    assert published_scores("pascal-voc-20", "fcclip-r101") == {"mIoU": 91.3}
    assert published_scores("coco", "demo") == {}
    assert len(ROWS) == 6


def test_sizes_words_and_metrics_of_the_protocols() -> None:
    large = {
        name for name, protocol in PROTOCOLS.items() if (protocol.short_side, protocol.max_long_side) == (1024, 2560)
    }
    assert large == {"cityscapes", "mapillary"}
    assert all(
        (protocol.short_side, protocol.max_long_side) == (800, 1333)
        for name, protocol in PROTOCOLS.items()
        if name not in large
    )
    alone = {name for name, protocol in PROTOCOLS.items() if protocol.metrics == ("miou",)}
    assert alone == {name for name, protocol in PROTOCOLS.items() if protocol.upsample == "scores"}


def test_without_pycocotools_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    from streamseg.errors import ConfigError
    from streamseg.evaluation.datasets.run import Plan, evaluate_dataset
    from tests.evaluation.datasets.tiny_sets import write_coco

    write_coco(tmp_path)
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    with pytest.raises(ConfigError, match="average precision needs pycocotools: pip install pycocotools"):
        evaluate_dataset(Plan("coco", str(tmp_path), "demo"))

"""Every official layout, read end to end: what is right scores 100, and a mistake what can be counted by hand."""

import pickle
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamseg.errors import EvaluationError
from streamseg.evaluation.datasets.protocols import PROTOCOLS
from streamseg.evaluation.datasets.run import DatasetReport, Evaluation, Plan, evaluate_dataset
from streamseg.panoptic import PanopticMap
from streamseg.vocabulary import Vocabulary
from tests.evaluation.datasets import tiny_sets as tiny
from tests.evaluation.datasets.tiny_sets import PaintedPrediction, Painting, sees

Writer = Callable[[Path], list[Painting]]

PICTURES: dict[str, tuple[str, Writer]] = {
    "ade20k, prepared": ("ade20k", tiny.write_ade20k),
    "ade20k, labels as downloaded": ("ade20k", partial(tiny.write_ade20k, prepared=False)),
    "coco": ("coco", tiny.write_coco),
    "coco-stuff": ("coco-stuff", tiny.write_coco_stuff),
    "cityscapes": ("cityscapes", tiny.write_cityscapes),
    "mapillary": ("mapillary", tiny.write_mapillary),
    "ade20k-full": ("ade20k-full", tiny.write_ade20k_full),
    "pascal-context-59": ("pascal-context-59", tiny.write_context_59),
    "pascal-context-459": ("pascal-context-459", tiny.write_context_459),
    "pascal-voc-21, prepared": ("pascal-voc-21", partial(tiny.write_voc, prepared=True)),
    "pascal-voc-21, as downloaded": ("pascal-voc-21", partial(tiny.write_voc, prepared=False)),
    "pascal-voc-20, prepared": ("pascal-voc-20", partial(tiny.write_voc, prepared=True)),
    "pascal-voc-20, as downloaded": ("pascal-voc-20", partial(tiny.write_voc, prepared=False)),
}


def words_of(name: str) -> Vocabulary:
    vocabulary = Vocabulary.load(PROTOCOLS[name].vocabulary)
    return Vocabulary(name, vocabulary.categories[1:]) if PROTOCOLS[name].without_background else vocabulary


def plan(name: str, root: Path, metrics: Sequence[str] = ()) -> Plan:
    return Plan(name, str(root), "fcclip-convnext-large", metrics=tuple(metrics))


def score(name: str, root: Path, made: Sequence[Painting], said: Sequence[Painting] | None = None) -> DatasetReport:
    return evaluate_dataset(plan(name, root), predictor=sees(made, words_of(name), said))


def without_background(made: Sequence[Painting]) -> list[Painting]:
    """The same among 20 classes; background, which does not count there, becomes any of them."""
    return [
        replace(one, regions=tuple(replace(region, place=max(0, region.place - 1)) for region in one.regions))
        for one in made
    ]


@pytest.mark.parametrize("case", PICTURES)
def test_what_is_right_scores_100(case: str, tmp_path: Path) -> None:
    name, write = PICTURES[case]
    made = write(tmp_path)
    report = score(name, tmp_path, made, without_background(made) if name == "pascal-voc-20" else made)
    expected = {"pq": "PQ", "ap": "AP", "miou": "mIoU"}
    for metric in PROTOCOLS[name].metrics:
        assert report.scores[expected[metric]] == pytest.approx(100)
    assert report.pictures == 2
    assert report.published.keys() <= report.scores.keys()


@pytest.mark.parametrize("case", PICTURES)
def test_the_folder_itself_may_be_named_as_well_as_the_one_above(case: str, tmp_path: Path) -> None:
    name, write = PICTURES[case]
    made = write(tmp_path)
    inner = next(tmp_path.iterdir())
    said = without_background(made) if name == "pascal-voc-20" else made
    assert score(name, inner, made, said).scores == score(name, tmp_path, made, said).scores


@pytest.mark.parametrize("case", PICTURES)
def test_nothing_is_right_where_every_pixel_has_the_wrong_class(case: str, tmp_path: Path) -> None:
    name, write = PICTURES[case]
    made = write(tmp_path)
    last = len(words_of(name)) - 1
    wrong = [painting.seen_as({region.id: last for region in painting.regions}) for painting in made]
    report = score(name, tmp_path, made, wrong)
    assert report.scores["mIoU"] == 0


def test_one_mistake_on_coco_counts_as_it_should(tmp_path: Path) -> None:
    """Of two persons in the first picture one is taken for a bicycle, which the second picture has.

    PQ by category: person 1 found, 1 missed -> 1 / 1.5; bicycle 1 found, 1 made up -> 1 / 1.5; two kinds of stuff, 1
    each. The crowd of persons in the second picture, which is not found, is not missed, either.

    AP: person finds one of two -> precision 1 up to a recall of 0.5, which is 51 of 101 points; bicycle's true find and
    the false one: the order is that of the scores, 0.5 for the false one (second of its picture), 0.9 for the true.

    IoU: person 12 of (12 + 12 + 8 crowd rows), of which the crowd is right: 20 / 32; bicycle 16 / 28; stuff 1 each.
    """
    made = tiny.write_coco(tmp_path)
    things = [place for place, category in enumerate(words_of("coco").categories) if category.isthing]
    said = [made[0].seen_as({2: things[1]}), made[1]]
    report = score("coco", tmp_path, made, said)
    assert report.scores["PQ"] == pytest.approx(100 * (1 / 1.5 + 1 / 1.5 + 1 + 1) / 4)
    assert report.scores["PQ_th"] == pytest.approx(100 / 1.5)
    assert report.scores["PQ_st"] == pytest.approx(100)
    assert report.scores["AP"] == pytest.approx(100 * (51 / 101 + 1) / 2)
    assert report.scores["mIoU"] == pytest.approx(100 * (20 / 32 + 16 / 28 + 1 + 1) / 4)
    assert report.per_class["person"] == pytest.approx({"PQ": 100 / 1.5, "AP": 5100 / 101, "IoU": 62.5})


def test_one_mistake_on_cityscapes_counts_as_its_script_counts(tmp_path: Path) -> None:
    """The same mistake. Person: one of two objects found, one wholly missed. At the only score p = 1, r = 0.5; the
    integral takes half of each step's neighbours: 1 x (0.5 - 0) / 2 + 1 x (0.5 - 0) / 2 = 0.5.

    Rider: right at 0.9, wrong at 0.5, one object: precision 1/2, 1, 1 at recall 1, 1, 0: (1 - 1) / 2 x 1/2
    + (1 - 0) / 2 + (1 - 0) / 2 = 1. The group of persons is not asked for.
    """
    made = tiny.write_cityscapes(tmp_path)
    categories = words_of("cityscapes").categories
    person, rider = (place for place, category in enumerate(categories) if category.id in (24, 25))
    assert made[0].regions[0].place == person
    said = [made[0].seen_as({2: rider}), made[1]]
    report = score("cityscapes", tmp_path, made, said)
    assert report.scores["AP"] == pytest.approx(100 * (0.5 + 1) / 2)
    assert report.scores["PQ"] == pytest.approx(100 * (1 / 1.5 + 1 / 1.5 + 1 + 1) / 4)


def test_a_class_that_is_only_predicted_counts_on_cityscapes_alone(tmp_path: Path) -> None:
    """Cityscapes' script takes it into the mean with 0, Detectron2's evaluator leaves it out."""
    for name, write, classes in (("cityscapes", tiny.write_cityscapes, 5), ("coco", tiny.write_coco, 4)):
        made = write(tmp_path / name)
        said = [made[0].seen_as({3: len(words_of(name)) - 1}), made[1]]
        report = score(name, tmp_path / name, made, said)
        assert report.scores["mIoU"] == pytest.approx(100 * 3 / classes)


def test_background_counts_among_21_classes_and_not_among_20(tmp_path: Path) -> None:
    """Region 1 of the first picture, 12 rows, and region 2 of the second, 8 rows, are background; they are taken for
    the aeroplanes that fill 24 rows of the first picture and 16 of the second."""
    made = tiny.write_voc(tmp_path, prepared=True)
    said = [made[0].seen_as({1: 1, 2: 1}), made[1].seen_as({2: 1})]
    with_it = score("pascal-voc-21", tmp_path, made, said)
    without = score("pascal-voc-20", tmp_path, made, without_background(said))
    assert with_it.scores["mIoU"] == pytest.approx(100 * (0 + 40 / 72 + 1) / 3)
    assert without.scores["mIoU"] == pytest.approx(100)


@pytest.mark.parametrize("name", ["coco", "cityscapes", "mapillary", "vipseg"])
def test_blocks_scored_apart_and_sent_around_give_the_same_report(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As workers do it: each block by an evaluation of its own, its tallies pickled, added up in order."""
    monkeypatch.setattr("streamseg.evaluation.datasets.run.BLOCK", 1)
    write = {"coco": tiny.write_coco, "cityscapes": tiny.write_cityscapes, "mapillary": tiny.write_mapillary}
    made = write.get(name, tiny.write_vipseg)(tmp_path)
    given: dict[str, Any] = {"video_predictor": right_video(made)}
    if name in write:
        said = [made[0].seen_as({2: made[1].regions[0].place}), made[1]]
        given = {"predictor": sees(made, words_of(name), said)}
    expected = evaluate_dataset(plan(name, tmp_path), **given)
    whole = Evaluation(plan(name, tmp_path), **given)
    assert len(whole.blocks) == 2
    sent = [pickle.dumps(Evaluation(plan(name, tmp_path), **given).score(number)) for number in (1, 0)]
    total: Any = whole.tallies()
    for packed in reversed(sent):
        total.absorb(pickle.loads(packed))
    assert whole.report(total) == expected


def test_limit_takes_the_first_pictures(tmp_path: Path) -> None:
    made = tiny.write_coco(tmp_path)
    said = [made[0], made[1].seen_as({1: 132})]
    report = evaluate_dataset(replace(plan("coco", tmp_path), limit=1), predictor=sees(made, words_of("coco"), said))
    assert report.pictures == 1
    assert report.scores["PQ"] == pytest.approx(100)
    assert not report.plan.as_published


def test_only_the_metrics_that_are_wanted_need_their_files(tmp_path: Path) -> None:
    made = tiny.write_ade20k(tmp_path)
    home = tmp_path / "ADEChallengeData2016"
    (home / "ade20k_instance_val.json").unlink()
    shutil.rmtree(home / "annotations_detectron2")
    report = evaluate_dataset(plan("ade20k", tmp_path, ["pq"]), predictor=sees(made, words_of("ade20k")))
    assert report.scores["PQ"] == pytest.approx(100)
    assert "AP" not in report.scores
    assert "mIoU" not in report.scores


MISSING = [
    ("ade20k", tiny.write_ade20k, "ADEChallengeData2016/images/validation"),
    ("ade20k", tiny.write_ade20k, "ADEChallengeData2016/ade20k_panoptic_val.json"),
    ("ade20k", tiny.write_ade20k, "ADEChallengeData2016/ade20k_panoptic_val"),
    ("ade20k", tiny.write_ade20k, "ADEChallengeData2016/ade20k_instance_val.json"),
    ("ade20k", tiny.write_ade20k, "ADEChallengeData2016/annotations_detectron2"),
    ("coco", tiny.write_coco, "coco/val2017"),
    ("coco", tiny.write_coco, "coco/panoptic_val2017"),
    ("coco", tiny.write_coco, "coco/annotations/panoptic_val2017.json"),
    ("coco", tiny.write_coco, "coco/annotations/instances_val2017.json"),
    ("coco", tiny.write_coco, "coco/panoptic_val2017/000000000285.png"),
    ("coco-stuff", tiny.write_coco_stuff, "coco/stuffthingmaps"),
    ("cityscapes", tiny.write_cityscapes, "cityscapes/gtFine/cityscapes_panoptic_val.json"),
    ("cityscapes", tiny.write_cityscapes, "cityscapes/gtFine/cityscapes_panoptic_val"),
    ("cityscapes", tiny.write_cityscapes, "cityscapes/leftImg8bit/val/munster"),
    (
        "cityscapes",
        tiny.write_cityscapes,
        "cityscapes/gtFine/val/munster/munster_000001_000019_gtFine_instanceIds.png",
    ),
    ("mapillary", tiny.write_mapillary, "mapillary_vistas/validation/labels"),
    ("mapillary", tiny.write_mapillary, "mapillary_vistas/validation/panoptic/panoptic_2018.json"),
    ("ade20k-full", tiny.write_ade20k_full, "ADE20K_2021_17_01/annotations_detectron2"),
    ("pascal-context-59", tiny.write_context_59, "pascal_ctx_d2/annotations_ctx59"),
    ("pascal-context-459", tiny.write_context_459, "pascal_ctx_d2/images"),
    ("pascal-voc-21", partial(tiny.write_voc, prepared=False), "VOCdevkit/VOC2012/ImageSets"),
    ("pascal-voc-20", partial(tiny.write_voc, prepared=False), "VOCdevkit/VOC2012/SegmentationClass"),
    ("vipseg", tiny.write_vipseg, "VIPSeg_720P/panoptic_gt_VIPSeg_val.json"),
    ("vipseg", tiny.write_vipseg, "VIPSeg_720P/panomasksRGB"),
]


@pytest.mark.parametrize(
    ("name", "write", "path"), MISSING, ids=lambda value: str(value) if isinstance(value, str) else ""
)
def test_what_is_missing_is_named_in_one_line(name: str, write: Writer, path: str, tmp_path: Path) -> None:
    made = write(tmp_path)
    missing = tmp_path / path
    shutil.rmtree(missing) if missing.is_dir() else missing.unlink()
    words = tiny.VIPSEG if name == "vipseg" else words_of(name)
    with pytest.raises(EvaluationError) as raised:
        evaluate_dataset(plan(name, tmp_path), predictor=sees(made, words), video_predictor=right_video(made))
    message = str(raised.value)
    assert missing.name in message or missing.parent.name in message or str(missing) in message
    assert "expected" in message
    assert "\n" not in message


def renamed(found: PanopticMap) -> PanopticMap:
    """Ids of things that nothing had before."""
    fresh = {1: 11, 2: 12, 3: 3}
    ids = np.vectorize(lambda id_: fresh.get(int(id_), 0), otypes=[np.int32])(found.ids)
    return PanopticMap(ids, tuple(replace(segment, id=fresh[segment.id]) for segment in found.segments))


def right_video(made: Sequence[Painting]) -> Callable[..., list[PanopticMap]]:
    said = sees(made, tiny.VIPSEG)
    return lambda pictures: [said(picture).panoptic() for picture in pictures]


def test_video_that_is_right_scores_100(tmp_path: Path) -> None:
    made = tiny.write_vipseg(tmp_path)
    report = evaluate_dataset(plan("vipseg", tmp_path), video_predictor=right_video(made))
    assert report.scores == pytest.approx(dict.fromkeys(report.scores, 100))
    windows = [f"VPQ{k}" for k in (1, 2, 4, 6, 8)]
    assert list(report.scores) == ["PQ", "VPQ", *windows, "STQ", "AQ", "SQ (STQ)", "mIoU"]
    assert report.pictures == 16
    assert "well" in report.per_class  # "well_or_well_lid" is a word with a synonym


def test_identities_that_change_cost_video_scores_and_no_others(tmp_path: Path) -> None:
    """In one of two videos both things get new ids from the fifth frame on."""
    made = tiny.write_vipseg(tmp_path)
    right = right_video(made)
    calls: list[int] = []

    def swapped(pictures: object) -> list[PanopticMap]:
        calls.append(1)
        maps = right(pictures)
        return maps if len(calls) == 1 else [*maps[:4], *(renamed(one) for one in maps[4:])]

    report = evaluate_dataset(plan("vipseg", tmp_path), video_predictor=swapped)
    assert report.scores["VPQ1"] == pytest.approx(100)
    assert report.scores["PQ"] == pytest.approx(100)
    assert report.scores["mIoU"] == pytest.approx(100)
    for name in ("VPQ", "STQ", "AQ"):
        value = report.scores[name]
        assert value is not None
        assert value < 99


def spoil_labels(root: Path) -> Path:
    path = root / "ADEChallengeData2016/annotations_detectron2/validation/ADE_val_00000002.png"
    tiny.save(path, np.full(tiny.SIZE_HW, 200, np.uint8))
    return path


def shrink_labels(root: Path) -> Path:
    path = root / "ADEChallengeData2016/annotations_detectron2/validation/ADE_val_00000002.png"
    tiny.save(path, np.zeros((7, 9), np.uint8))
    return path


def colour_labels(root: Path) -> Path:
    path = root / "ADEChallengeData2016/annotations_detectron2/validation/ADE_val_00000002.png"
    tiny.save(path, np.zeros((*tiny.SIZE_HW, 3), np.uint8))
    return path


def tear_panoptic(root: Path) -> Path:
    path = root / "ADEChallengeData2016/ade20k_panoptic_val/ADE_val_00000002.png"
    path.write_bytes(path.read_bytes()[:40])
    return path


def tear_document(root: Path) -> Path:
    path = root / "ADEChallengeData2016/ade20k_panoptic_val.json"
    path.write_text(path.read_text()[:-20])
    return path


def renumber_document(root: Path) -> Path:
    path = root / "ADEChallengeData2016/ade20k_panoptic_val.json"
    path.write_text(path.read_text().replace('"category_id": ', '"category_id": 900'))
    return path


def forget_image(root: Path) -> Path:
    path = root / "ADEChallengeData2016/ade20k_instance_val.json"
    path.write_text(path.read_text().replace('{"id": "ADE_val_00000002"', '{"id": "another"'))
    return path


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (spoil_labels, "holds the label 200, expected one of 150 classes"),
        (shrink_labels, "expected one size"),
        (colour_labels, "of mode RGB, expected one number for each pixel"),
        (tear_panoptic, "expected a panoptic PNG"),
        (tear_document, "expected a JSON document"),
        (renumber_document, "expected one of the 150 that are scored"),
        (forget_image, "has no image 'ADE_val_00000002'"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(spoil: Callable[[Path], Path], complaint: str, tmp_path: Path) -> None:
    made = tiny.write_ade20k(tmp_path)
    path = spoil(tmp_path)
    with pytest.raises(EvaluationError) as raised:
        score("ade20k", tmp_path, made)
    message = str(raised.value)
    assert complaint in message
    assert path.stem in message
    assert "\n" not in message


def test_things_and_stuff_that_changed_places_are_noticed(tmp_path: Path) -> None:
    made = tiny.write_ade20k(tmp_path)
    path = tmp_path / "ADEChallengeData2016/ade20k_panoptic_val.json"
    path.write_text(path.read_text().replace('"name": "wall", "isthing": 0', '"name": "bed", "isthing": 1'))
    with pytest.raises(EvaluationError, match="calls 'bed' a thing, but category 0 of vocabulary 'ade20k' is 'wall'"):
        score("ade20k", tmp_path, made)


def test_predictions_of_pictures_are_made_one_at_a_time_and_dropped(tmp_path: Path) -> None:
    """A picture's prediction lives no longer than its turn: memory does not grow with the data set."""
    made = tiny.write_coco(tmp_path)
    import weakref

    alive: list[weakref.ref[PaintedPrediction]] = []
    right = sees(made, words_of("coco"))

    def watched(picture: np.ndarray) -> PaintedPrediction:
        assert not any(reference() is not None for reference in alive[:-1])
        prediction = right(picture)
        assert isinstance(prediction, PaintedPrediction)
        alive.append(weakref.ref(prediction))
        return prediction

    evaluate_dataset(plan("coco", tmp_path), predictor=watched)
    assert len(alive) == 2

"""Panoptic quality: held against the reference code's stored numbers, and against a plain loop on random frames."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from streamseg.errors import EvaluationError
from streamseg.evaluation.inputs.panoptic_folders import PanopticFolder, score_folders
from streamseg.evaluation.metrics.overlaps import Overlaps
from streamseg.evaluation.metrics.panoptic_quality import ClassQuality, PanopticQuality, PanopticScores, SegmentInfo

Ids = npt.NDArray[np.int32]

SKY, GRASS, PERSON, CAR = range(4)
CATEGORIES = {SKY: False, GRASS: False, PERSON: True, CAR: True}


def row(*runs: tuple[int, int]) -> Ids:
    """A picture of one row: (id, pixels), one run after another."""
    return np.concatenate([np.full(length, id_, np.int32) for id_, length in runs])[None]


def score(
    truth: Ids, truth_segments: Sequence[SegmentInfo], predicted: Ids, predicted_segments: Sequence[SegmentInfo]
) -> PanopticScores:
    quality = PanopticQuality(CATEGORIES)
    quality.add(truth, truth_segments, predicted, predicted_segments)
    return quality.result()


# --- the reference code's own numbers


def difference(found: Any, expected: Any, where: str = "") -> float:
    """Largest difference of the numbers that are not whole; everything else must be equal."""
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        return max((difference(found[key], expected[key], f"{where}/{key}") for key in expected), default=0.0)
    if isinstance(expected, float):
        return float(abs(found - expected))
    assert found == expected, where
    return 0.0


def scored(folder: Path, predictions: str = "pred") -> dict[str, Any]:
    return score_folders(PanopticFolder.read(folder / "gt"), PanopticFolder.read(folder / predictions)).to_dict()


@pytest.mark.parametrize(("predictions", "results"), [("pred", "results.json"), ("gt", "results_perfect.json")])
def test_equals_the_reference_on_videos(shared_dir: Path, predictions: str, results: str) -> None:
    folder = shared_dir / "metrics" / "public"
    expected = json.loads((folder / results).read_text())["pq"]
    assert difference(scored(folder, predictions), expected) < 1e-9


def test_equals_the_reference_in_every_corner_case(shared_dir: Path) -> None:
    folder = shared_dir / "metrics" / "edge"
    cases = json.loads((folder / "results.json").read_text())
    valid = {name: case["results"]["pq"] for name, case in cases.items() if "results" in case}
    assert len(valid) == 42
    assert {
        name for name, expected in valid.items() if difference(scored(folder / name), expected, name) > 1e-9
    } == set()


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("invalid_png_id_not_in_json", "frame a/00000: the predicted map holds 3, which no segment has"),
        ("invalid_json_id_not_in_png", "frame a/00000: the prediction lists 77 without pixels"),
        (
            "invalid_unknown_category",
            "frame a/00000: segment 3 of the prediction has category 99, expected one of 0, 1",
        ),
    ],
)
def test_what_the_reference_stops_at_is_refused(shared_dir: Path, case: str, message: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        scored(shared_dir / "metrics" / "edge" / case)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


# --- against a plain loop


def plain_counts(
    truth: Ids, truth_segments: Sequence[SegmentInfo], predicted: Ids, predicted_segments: Sequence[SegmentInfo]
) -> dict[int, ClassQuality]:
    """The rules, one pair of masks at a time."""
    counts = {key: [0.0, 0, 0, 0] for key in CATEGORIES}
    void = truth == 0
    matched: set[int] = set()
    found: set[int] = set()
    for true in truth_segments:
        for guess in predicted_segments:
            a, b = truth == true.id, predicted == guess.id
            area = int(a.sum()) if true.area is None else true.area
            union = area + int(b.sum()) - int((a & b).sum()) - int((b & void).sum())
            same = true.category_id == guess.category_id and not true.iscrowd and (a & b).any()
            if same and int((a & b).sum()) / union > 0.5:
                counts[true.category_id][0] += int((a & b).sum()) / union
                counts[true.category_id][1] += 1
                found.add(true.id)
                matched.add(guess.id)
    crowds = {true.category_id: true.id for true in truth_segments if true.iscrowd}
    for true in truth_segments:
        counts[true.category_id][3] += not true.iscrowd and true.id not in found
    for guess in predicted_segments:
        mask = predicted == guess.id
        forgiven = (mask & void).sum() + (mask & (truth == crowds.get(guess.category_id, -1))).sum()
        counts[guess.category_id][2] += guess.id not in matched and forgiven / mask.sum() <= 0.5
    return {key: ClassQuality(iou, int(tp), int(fp), int(fn)) for key, (iou, tp, fp, fn) in counts.items()}


def random_frame(seed: int) -> tuple[Ids, list[SegmentInfo], Ids, list[SegmentInfo]]:
    """Boxes in front of one another, and the same moved a little, some of them called something else."""
    rng = np.random.default_rng(seed)
    truth, predicted = np.zeros((24, 32), np.int32), np.zeros((24, 32), np.int32)
    names = rng.choice(2**24, size=12, replace=False).astype(np.int32) + 1
    categories = rng.integers(0, 4, 12)
    for id_, (top, left, height, width) in zip(names, rng.integers(4, 16, (12, 4)), strict=True):
        truth[top : top + height, left : left + width] = id_
        down, right = rng.integers(-2, 3, 2)
        predicted[top + down : top + down + height, left + right : left + right + width] = id_ // 2 + 1
    kind = dict(zip(names.tolist(), categories.tolist(), strict=True))
    other = {id_ // 2 + 1: category if rng.random() < 0.8 else PERSON for id_, category in kind.items()}
    true = [SegmentInfo(i, kind[i], iscrowd=bool(rng.random() < 0.2)) for i in np.unique(truth).tolist() if i]
    guess = [SegmentInfo(i, other[i]) for i in np.unique(predicted).tolist() if i]
    return truth, true, predicted, guess


def test_equals_a_plain_loop_on_random_frames() -> None:
    total = PanopticQuality(CATEGORIES)
    expected = {key: ClassQuality() for key in CATEGORIES}
    for seed in range(40):
        frame = random_frame(seed)
        total.add(*frame)
        for key, more in plain_counts(*frame).items():
            so_far = expected[key]
            expected[key] = ClassQuality(
                so_far.iou + more.iou, so_far.tp + more.tp, so_far.fp + more.fp, so_far.fn + more.fn
            )
    for key, found in total.result().per_class.items():
        assert (found.tp, found.fp, found.fn) == (expected[key].tp, expected[key].fp, expected[key].fn)
        assert found.iou == pytest.approx(expected[key].iou, abs=1e-12)
        assert min(found.tp, found.fp, found.fn) > 0  # the frames had something to see


def test_overlaps_of_two_frames_add_up_to_those_of_both() -> None:
    first, second = random_frame(0), random_frame(1)
    added = Overlaps.between(first[0], first[2]) + Overlaps.between(second[0], second[2])
    joint = Overlaps.between(np.stack((first[0], second[0])), np.stack((first[2], second[2])))
    for name in ("ground_truth_ids", "predicted_ids", "pixels"):
        assert np.array_equal(getattr(added, name), getattr(joint, name))
    assert joint.pixels.sum() == 2 * 24 * 32


# --- one rule at a time


def test_an_iou_of_exactly_half_is_no_match() -> None:
    scores = score(row((1, 10), (2, 10)), [SegmentInfo(1, SKY), SegmentInfo(2, CAR)], row((1, 15), (0, 5)), [
        SegmentInfo(1, SKY)
    ])  # fmt: skip
    assert scores.per_class[SKY] == ClassQuality(iou=10 / 15, tp=1)
    scores = score(row((1, 10), (2, 10)), [SegmentInfo(1, SKY), SegmentInfo(2, CAR)], row((1, 20)), [
        SegmentInfo(1, SKY)
    ])  # fmt: skip
    assert scores.per_class[SKY] == ClassQuality(fp=1, fn=1)


def test_the_stated_area_of_ground_truth_counts_and_that_of_predictions_does_not() -> None:
    truth, predicted = row((1, 10), (0, 10)), row((5, 10), (0, 10))
    scores = score(truth, [SegmentInfo(1, CAR, area=16)], predicted, [SegmentInfo(5, CAR, area=999)])
    assert scores.per_class[CAR] == ClassQuality(iou=10 / 16, tp=1)


def test_of_two_crowds_of_a_category_the_last_listed_forgives() -> None:
    truth, predicted = row((1, 10), (2, 10)), row((5, 10), (0, 10))
    crowds = [SegmentInfo(1, CAR, iscrowd=True), SegmentInfo(2, CAR, iscrowd=True)]
    assert score(truth, crowds, predicted, [SegmentInfo(5, CAR)]).per_class[CAR] == ClassQuality(fp=1)
    assert score(truth, crowds[::-1], predicted, [SegmentInfo(5, CAR)]).per_class[CAR] == ClassQuality()
    assert score(truth, crowds[::-1], predicted, [SegmentInfo(5, PERSON)]).per_class[PERSON] == ClassQuality(fp=1)


def test_of_two_entries_with_one_id_the_last_counts() -> None:
    truth = row((1, 10))
    scores = score(truth, [SegmentInfo(1, CAR), SegmentInfo(1, PERSON)], truth, [SegmentInfo(1, PERSON)])
    assert scores.per_class[PERSON] == ClassQuality(iou=1.0, tp=1)
    assert scores.per_class[CAR] == ClassQuality()


def test_true_ids_that_are_not_listed_are_not_void() -> None:
    scores = score(row((9, 10), (1, 6)), [SegmentInfo(1, CAR)], row((1, 16)), [SegmentInfo(1, CAR)])
    assert scores.per_class[CAR] == ClassQuality(fp=1, fn=1)


def test_groups_are_means_over_what_occurs() -> None:
    truth, predicted = row((1, 10), (2, 10), (0, 5)), row((1, 10), (2, 8), (3, 2), (0, 5))
    scores = score(
        truth,
        [SegmentInfo(1, SKY), SegmentInfo(2, CAR)],
        predicted,
        [SegmentInfo(1, SKY), SegmentInfo(2, CAR), SegmentInfo(3, PERSON)],
    )
    assert scores.things is not None
    assert scores.things.n == 2  # the person is only predicted, and counts
    assert scores.things.pq == pytest.approx((0.8 + 0) / 2)
    assert scores.all is not None
    assert scores.all.pq == pytest.approx(1.8 / 3)
    assert scores.over([GRASS]) is None
    only_car = scores.over([CAR, GRASS])
    assert only_car is not None
    assert (only_car.pq, only_car.n) == (pytest.approx(0.8), 1)
    assert scores.to_dict()["Stuff"] == {"pq": 1.0, "sq": 1.0, "rq": 1.0, "n": 1}


def test_nothing_to_score_is_said_as_the_reference_would_stop() -> None:
    empty = row((0, 10))
    document = score(empty, [], empty, []).to_dict()
    assert document["All"] == document["Things"] == {"error": "ZeroDivisionError"}
    assert document["per_class"]["0"]["pq"] == 0.0


@pytest.mark.parametrize(
    ("truth", "segments", "message"),
    [
        (row((1, 9)), [SegmentInfo(1, CAR)], "ground truth is 1x9 and prediction 1x10, expected one size"),
        (row((1, 10)), [SegmentInfo(1, 7)], "segment 1 of the ground truth has category 7, expected one of 0, 1, 2, 3"),
        (row((0, 10)), [SegmentInfo(0, CAR)], "the ground truth lists a segment 0, expected ids from 1"),
        (row((1, 10)), [SegmentInfo(1, CAR, area=0)], "the ground truth states an area of 0"),
    ],
)
def test_ground_truth_that_makes_no_sense_is_refused(truth: Ids, segments: list[SegmentInfo], message: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        score(truth, segments, row((1, 10)), [SegmentInfo(1, CAR)])
    assert str(caught.value).startswith(message)


def test_a_refused_frame_leaves_the_counts_as_they_were() -> None:
    quality = PanopticQuality(CATEGORIES)
    quality.add(*random_frame(0))
    before = quality.result()
    truth, segments, predicted, _ = random_frame(1)
    with pytest.raises(EvaluationError):
        quality.add(truth, segments, predicted, [])
    assert quality.result() == before

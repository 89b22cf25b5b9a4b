"""What a track loses: each cause by hand, and all of them together against STQ and against loops over masks."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from streamseg.evaluation.metrics.compared_frame import ComparedFrame
from streamseg.evaluation.metrics.panoptic_quality import SegmentInfo
from streamseg.evaluation.metrics.segmentation_tracking_quality import SegmentationTrackingQuality
from streamseg.evaluation.metrics.track_losses import CAUSES, TrackLoss, TrackLosses

from .random_videos import CAR, CATEGORIES, PERSON, SKY, Frame, random_video

A, B = 1, 2  # true ids


def losses_of(frames: Iterable[Frame]) -> list[TrackLoss]:
    losses = TrackLosses(CATEGORIES)
    for frame in frames:
        losses.add(ComparedFrame.of(*frame))
    losses.end_video("v")
    return losses.last_video


def frame(truth: Sequence[int], predicted: Sequence[int], kinds: dict[int, int] | None = None) -> Frame:
    """One row of pixels; ids are persons unless `kinds` says otherwise of the predicted ones."""
    sides = [np.array([ids], np.int32) for ids in (truth, predicted)]
    listed = [
        [SegmentInfo(id_, (kinds or {}).get(id_, PERSON) if side else PERSON) for id_ in sorted(set(ids) - {0})]
        for side, ids in enumerate((truth, predicted))
    ]
    return sides[0], listed[0], sides[1], listed[1]


@pytest.mark.parametrize(
    ("frames", "causes"),
    [
        ([frame([A] * 4, [7] * 4)], {}),
        ([frame([A] * 4, [0] * 4)], {"missed": 1}),
        ([frame([A] * 4, [5] * 4, {5: SKY})], {"missed": 1}),
        # Half of its pixels, and the IoU of the other half is 1/2.
        ([frame([A] * 4, [7, 7, 0, 0])], {"missed": 1 / 2 + 1 / 2 * 1 / 2}),
        ([frame([A] * 4, [7] * 4), frame([A] * 4, [8] * 4)], {"split": 1 / 2}),
        ([frame([A] * 4, [7] * 4, {7: CAR})], {"mislabelled": 1}),
        # One id whose label changes: the half under the wrong one, and half of the other.
        ([frame([A] * 4, [7] * 4), frame([A] * 4, [7] * 4, {7: CAR})], {"mislabelled": 3 / 4}),
        ([frame([A, A, B, B], [7] * 4)], {"merged": 1 / 2}),
        ([frame([A, A, 0, 0], [7] * 4)], {"spilled": 1 / 2}),
        # Another time counts as another place does.
        ([frame([A, A, 0, 0], [7, 7, 0, 0]), frame([0, 0, B, B], [0, 0, 7, 7])], {"merged": 1 / 2}),
    ],
)
def test_each_cause(frames: list[Frame], causes: dict[str, float]) -> None:
    loss = losses_of(frames)[0]
    assert loss.id == A
    assert {cause: value for cause, value in loss.causes.items() if value} == pytest.approx(causes)
    assert loss.lost == pytest.approx(sum(causes.values()))


def test_what_was_seen_in_its_place() -> None:
    loss = losses_of([frame([A] * 8 + [B] * 2, [7, 7, 7, 7, 8, 8, 5, 0, 7, 8], {5: SKY, 8: CAR})])[0]
    assert [(seen.id, seen.category_id, seen.isthing, seen.share) for seen in loss.seen_as] == [
        (7, PERSON, True, 0.5),
        (8, CAR, True, 0.25),
        (0, None, False, 0.125),
        (5, SKY, False, 0.125),
    ]
    assert loss.merged_with == (B,)


@pytest.mark.parametrize("seed", range(40))
def test_with_right_labels_it_is_what_stq_takes_off(seed: int) -> None:
    """One category of things on both sides leaves nothing that STQ does not see; crowds and void are among the rest."""
    frames = [
        (truth, _persons(listed), predicted, _persons(guessed))
        for truth, listed, predicted, guessed in random_video(seed)
    ]
    quality = SegmentationTrackingQuality(CATEGORIES)
    for each in frames:
        quality.add(ComparedFrame.of(*each))
    quality.end_video("v")
    losses = losses_of(frames)
    mean = sum(1 - loss.lost for loss in losses) / len(losses) if losses else 0.0
    assert mean == pytest.approx(quality.result().aq, abs=1e-12)
    assert all(loss.causes[cause] >= -1e-12 for loss in losses for cause in CAUSES)
    assert all(abs(loss.causes["mislabelled"]) < 1e-12 for loss in losses)


@pytest.mark.parametrize("seed", range(20))
def test_a_tube_of_another_category_counts_nothing(seed: int) -> None:
    frames = random_video(seed)
    losses = losses_of(frames)
    assert [loss.lost for loss in losses] == pytest.approx([1 - _plain_quality(frames, loss) for loss in losses])


def _persons(segments: Sequence[SegmentInfo]) -> list[SegmentInfo]:
    return [
        SegmentInfo(each.id, PERSON if CATEGORIES[each.category_id] else each.category_id, each.iscrowd)
        for each in segments
    ]


def _plain_quality(frames: Sequence[Frame], loss: TrackLoss) -> float:
    """Sum over predicted tubes of the category, by masks of the whole video."""
    crowd, tube, guesses = [], [], []
    for truth, listed, predicted, guessed in frames:
        crowds = [each.id for each in listed if each.iscrowd and CATEGORIES[each.category_id]]
        here = SegmentInfo(loss.id, loss.category_id) in [SegmentInfo(s.id, s.category_id, s.iscrowd) for s in listed]
        crowd.append(np.isin(truth, crowds))
        tube.append((truth == loss.id) & here)
        known = [each.id for each in guessed if each.category_id == loss.category_id]
        guesses.append(np.where(np.isin(predicted, known), predicted, 0))
    kept, mask, ids = ~np.array(crowd), np.array(tube), np.array(guesses)
    total = 0.0
    for id_ in set(np.unique(ids).tolist()) - {0}:
        both, either = (mask & kept & (ids == id_)).sum(), (kept & (mask | (ids == id_))).sum()
        total += float(both / mask.sum() * both / either) if both else 0.0
    return total

"""Every score against its plain twin, on random video with everything that the rules treat specially."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from streamseg.errors import ConfigError, EvaluationError
from streamseg.evaluation.metrics.panoptic_quality import SegmentInfo
from streamseg.evaluation.metrics.video_scores import METRICS, VideoScores

from .plain_scores import plain_consistency, plain_iou, plain_stq, plain_tracking, plain_windows
from .random_videos import CATEGORIES, PERSON, SKY, Frame, random_video

Videos = Sequence[Sequence[Frame]]
TOLERANCE = 1e-9


def scored(videos: Videos, **options: Any) -> VideoScores:
    scores = VideoScores(CATEGORIES, **options)
    for number, video in enumerate(videos):
        for frame in video:
            scores.add_frame(*frame)
        scores.end_video(f"video {number}")
    return scores


@pytest.fixture(scope="module")
def videos() -> Videos:
    return [random_video(seed) for seed in range(24)]


@pytest.fixture(scope="module")
def scores(videos: Videos) -> VideoScores:
    return scored(videos, keep_videos=True)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 6, 8])
def test_video_panoptic_quality_equals_the_plain_one(videos: Videos, length: int) -> None:
    found = scored(videos, metrics=["vpq"], windows=[length]).vpq().per_window[length].per_class
    expected = plain_windows(videos, CATEGORIES, length)
    for category, (iou, *counts) in expected.items():
        assert [found[category].tp, found[category].fp, found[category].fn] == counts
        assert found[category].iou == pytest.approx(iou, abs=TOLERANCE)
    assert sum(counts[1] for counts in expected.values()) > 5  # there was something to match


def test_windows_of_several_lengths_are_those_of_each(videos: Videos, scores: VideoScores) -> None:
    for length, found in scores.vpq().per_window.items():
        alone = scored(videos, metrics=["vpq"], windows=[length]).vpq().per_window[length]
        assert found.to_dict() == pytest.approx(alone.to_dict()) if found.all is None else found == alone
    assert scores.vpq().per_window[1] == scores.pq()


@pytest.mark.parametrize("script", [False, True])
def test_segmentation_and_tracking_quality_equals_the_plain_one(
    videos: Videos, scores: VideoScores, script: bool
) -> None:
    aq, sq = plain_stq(videos, CATEGORIES, script=script)
    found = scores.stq(script=script)
    assert (found.aq, found.sq, found.stq) == pytest.approx((aq, sq, math.sqrt(aq * sq)), abs=TOLERANCE)
    for video, alone in zip(videos, found.per_sequence.values(), strict=True):
        expected = plain_stq([video], CATEGORIES, script=script)
        assert (alone.aq, alone.sq) == pytest.approx(expected, abs=TOLERANCE, nan_ok=True)
        assert alone.length == len(video)


@pytest.mark.parametrize("ignore", [False, True])
def test_tracking_metrics_equal_the_plain_ones(videos: Videos, scores: VideoScores, ignore: bool) -> None:
    setting = "ignore" if ignore else "plain"
    found = scores.tracking()
    expected = plain_tracking(videos, CATEGORIES, None, ignore=ignore)
    counts = found.agnostic[setting].to_dict()
    assert {name: counts[name] for name in expected} == pytest.approx(expected, abs=TOLERANCE)
    assert min(expected["IDSW"], expected["Frag"], expected["PT"], expected["IDFN"]) > 0
    for category, classes in found.per_class[setting].items():
        alone = plain_tracking(videos, CATEGORIES, category, ignore=ignore)
        document = classes.to_dict()
        assert {name: document[name] for name in alone} == pytest.approx(alone, abs=TOLERANCE)


def test_mean_iou_equals_the_plain_one(videos: Videos, scores: VideoScores) -> None:
    found, expected = scores.miou(), plain_iou(videos, CATEGORIES)
    assert {category: found.iou(category) for category in CATEGORIES} == pytest.approx(expected, abs=TOLERANCE)
    known = [iou for iou in expected.values() if iou is not None]
    assert found.mean_iou_union == pytest.approx(sum(known) / len(known))


def test_consistency_equals_the_plain_one() -> None:
    videos = [random_video(seed, length=length) for seed, length in ((1, 8), (2, 9), (3, 13), (4, 18), (5, 1))]
    found = scored(videos, metrics=["vc"]).vc()
    for length in (8, 16):
        expected = plain_consistency(videos, length)
        assert found.windows[length] == len(expected) > 0
        assert found.mean(length) == pytest.approx(sum(expected) / len(expected), abs=TOLERANCE)
    assert found.windows[8] == (9 - 8) + (13 - 8) + (18 - 8)  # the last window of each is left out


def test_scores_of_a_video_are_those_of_it_alone(videos: Videos, scores: VideoScores) -> None:
    details = scores.to_dict()["details"]
    for number in (0, 7, 11):
        alone = scored([videos[number]]).to_dict()
        name = f"video {number}"
        assert details["pq"][name] == alone["pq"]["per_class"]
        ours = details["tracking"]["agnostic_ignore"][name]["thing"]
        assert ours["HOTA_alpha"] == alone["tracking"]["agnostic_ignore"]["combined"]["thing"]["HOTA_alpha"]


def test_only_what_was_asked_for_is_measured(videos: Videos) -> None:
    some = scored(videos[:2], metrics=["stq", "pq"])
    assert list(some.to_dict()) == ["pq", "stq", "stq_vipseg_script"]
    with pytest.raises(KeyError, match="'vpq' is not measured"):
        some.vpq()
    with pytest.raises(ConfigError, match="unknown metric 'PQ', expected some of pq, vpq"):
        VideoScores(CATEGORIES, metrics=["PQ"])
    with pytest.raises(ConfigError, match="there are no categories"):
        VideoScores({})


def test_order_of_videos_does_not_matter(videos: Videos, scores: VideoScores) -> None:
    turned = scored(videos[::-1])
    assert turned.stq().stq == pytest.approx(scores.stq().stq)
    assert turned.vpq().mean("all") == pytest.approx(scores.vpq().mean("all"))
    plain = turned.tracking().agnostic["plain"].to_dict(), scores.tracking().agnostic["plain"].to_dict()
    for name, value in plain[0].items():
        assert value == pytest.approx(plain[1][name]), name


def test_a_prediction_that_a_window_would_hide_is_refused() -> None:
    """An id that is listed without pixels in one frame has some in the next: still a mistake."""
    ids, empty = np.full((2, 3), 5, np.int32), np.zeros((2, 3), np.int32)
    segment = [SegmentInfo(5, PERSON)]
    scores = VideoScores(CATEGORIES, metrics=["vpq"], windows=[2])
    scores.add_frame(ids, segment, ids, segment)
    with pytest.raises(EvaluationError, match="lists 5 without pixels"):
        scores.add_frame(ids, segment, empty, segment)


def test_several_entries_with_one_id() -> None:
    """PQ takes the last, VPQ the first with the areas of all."""
    ids = np.full((2, 3), 5, np.int32)
    truth = [SegmentInfo(5, SKY, area=6), SegmentInfo(5, PERSON, area=6)]
    scores = VideoScores(CATEGORIES, metrics=["pq", "vpq"], windows=[1])
    scores.add_frame(ids, truth, ids, [SegmentInfo(5, SKY)])
    scores.end_video("only")
    assert scores.pq().per_class[PERSON].fn == 1
    found = scores.vpq().per_window[1].per_class[SKY]
    assert (found.tp, found.fp, found.fn) == (0, 1, 1)  # 6 / 12 is no match


def test_nothing_at_all() -> None:
    scores = VideoScores(CATEGORIES)
    document = scores.to_dict()
    assert document["stq"] == {"STQ": None, "AQ": 0.0, "SQ": None, "per_sequence": {}}
    assert document["vpq"]["vpq_all"] == {"error": "ZeroDivisionError"}
    assert document["video_ap"] == {"error": "IndexError (empty result list)"}
    assert document["tracking"]["agnostic_plain"]["combined"]["thing"]["LocA"] == 1.0
    assert set(METRICS) <= {*document, "ap"}

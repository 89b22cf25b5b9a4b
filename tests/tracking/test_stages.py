"""The four rounds and births, on numbers written down."""

from dataclasses import replace
from typing import Any

import numpy as np

from streamseg.config.tracking import TrackingSettings
from streamseg.tracking.stages import Candidates, Cues, births, match

SETTINGS = TrackingSettings()


def cues(tracks: int, objectness: list[float], **changed: Any) -> Cues:
    """Queries far apart that resemble no track."""
    queries = len(objectness)
    none = np.zeros((tracks, queries))
    plain = Cues(
        objectness=np.array(objectness),
        area=np.full(queries, 16.0),
        centre=np.stack((np.zeros(queries), 100.0 * np.arange(queries)), axis=1),
        isthing=np.ones(queries, bool),
        similarity=none,
        iou=none,
        last_iou=none,
        class_overlap=none,
        recognition=none - 1,
        common=np.eye(queries) * 16,
        clip_cosine=1.0,
    )
    return replace(
        plain, **{name: np.array(value) if name != "clip_cosine" else value for name, value in changed.items()}
    )


def tracks(count: int, active: bool = True, placed: bool = True, isthing: bool = True) -> Candidates:
    return Candidates(
        active=np.full(count, active),
        isthing=np.full(count, isthing),
        placed=np.full(count, placed),
        centre=np.full((count, 2), -1e3),
        area=np.full(count, 16.0),
    )


def pairs(found: Cues, candidates: Candidates, **settings: Any) -> list[list[int]]:
    return match(found, candidates, None, replace(SETTINGS, **settings)).pairs.tolist()


def test_first_round_takes_the_best_of_all_cues_within_the_gates() -> None:
    found = cues(2, [0.9, 0.9], similarity=[[0.9, 0.8], [0.8, 0.3]], iou=[[0.5, 0.5], [0.5, 0.5]])
    assert pairs(found, tracks(2)) == [[0, 1], [1, 0]]  # in sum the best
    assert pairs(replace(found, iou=np.array([[0.5, 0.0], [0.0, 0.5]])), tracks(2)) == [[0, 0]]
    assert pairs(replace(found, similarity=np.full((2, 2), 0.39)), tracks(2)) == []


def test_low_queries_continue_what_they_overlap_well() -> None:
    found = cues(1, [0.3], similarity=[[0.9]], iou=[[0.5]])
    result = match(found, tracks(1), None, SETTINGS)
    assert result.pairs.tolist() == [[0, 0]]
    assert result.sure.tolist() == [False]  # and teach nothing about looks
    assert result.moved.tolist() == [True]
    assert pairs(replace(found, iou=np.array([[0.49]])), tracks(1)) == []
    assert pairs(replace(found, objectness=np.array([0.14])), tracks(1)) == []


def test_a_lost_track_is_found_at_its_last_place() -> None:
    least = SETTINGS.last_mask_iou, SETTINGS.recognition_class_overlap
    found = cues(1, [0.9], last_iou=[[least[0]]], class_overlap=[[least[1]]])
    lost = tracks(1, active=False)
    result = match(found, lost, None, SETTINGS)
    assert result.pairs.tolist() == [[0, 0]]
    assert result.sure.tolist() == [True]
    assert result.moved.tolist() == [False]
    assert pairs(found, tracks(1, active=False, placed=False)) == []  # too long ago
    assert pairs(replace(found, last_iou=np.array([[least[0] - 0.01]])), lost) == []
    assert pairs(replace(found, class_overlap=np.array([[least[1] - 0.01]])), lost) == []


def test_a_lost_track_is_recognised_anywhere() -> None:
    found = cues(1, [0.9], recognition=[[0.85]], class_overlap=[[0.9]])
    far = tracks(1, active=False, placed=False)
    assert pairs(found, far) == [[0, 0]]
    assert pairs(found, far, gallery=False) == []
    assert pairs(replace(found, objectness=np.array([0.45])), far) == []


def test_a_second_view_of_a_followed_thing_is_no_lost_one() -> None:
    common = np.array([[16.0, 12.0], [12.0, 16.0]])
    found = cues(
        2,
        [0.9, 0.8],
        similarity=[[0.9, 0.0], [0.0, 0.0]],
        iou=[[0.8, 0.0], [0.0, 0.0]],
        last_iou=[[0.0, 0.0], [0.0, 0.9]],
        recognition=[[0.0, 0.0], [0.0, 0.99]],
        class_overlap=np.ones((2, 2)),
        common=common,
    )
    both = tracks(2)
    candidates = replace(both, active=np.array([True, False]))
    assert pairs(found, candidates) == [[0, 0]]
    assert births(found, np.array([0]), SETTINGS) == []
    assert pairs(replace(found, common=common * np.eye(2)), candidates) == [[0, 0], [1, 1]]


def test_a_cut_comes_before_any_match() -> None:
    similarity = np.zeros((6, 2))
    similarity[0, 0] = 0.9
    found = cues(6, [0.9, 0.9], similarity=similarity, iou=similarity, clip_cosine=0.1)
    result = match(found, tracks(6), 0.9, SETTINGS)
    assert result.cut
    assert result.pairs.tolist() == []
    assert not match(found, tracks(6), 0.1, SETTINGS).cut
    recognised = replace(found, recognition=similarity, class_overlap=np.ones((6, 2)), last_iou=np.ones((6, 2)))
    assert match(recognised, tracks(6), 0.9, SETTINGS).pairs.tolist() == [[0, 0]]  # by looks, not by place


def test_look_alikes_in_other_places_do_not_hide_a_cut() -> None:
    similarity = np.full((2, 2), 0.9)
    near = replace(tracks(2), centre=np.array([[0.0, 0.0], [0.0, 100.0]]))
    found = cues(2, [0.9, 0.9], similarity=similarity, iou=0.49 * np.eye(2), clip_cosine=0.1)
    assert match(found, near, 0.9, SETTINGS).cut
    assert not match(replace(found, iou=0.5 * np.eye(2)), near, 0.9, SETTINGS).cut


def test_of_look_alikes_that_were_lost_the_nearest_is_found_also_after_a_cut() -> None:
    found = cues(2, [0.9], recognition=np.full((2, 1), 0.9), class_overlap=np.ones((2, 1)), clip_cosine=0.1)
    lost = replace(tracks(2, active=False, placed=False), centre=np.array([[0.0, 40.0], [0.0, 3.0]]))  # of size 4
    assert pairs(found, lost) == [[1, 0]]
    assert pairs(found, lost, recognition_distance=0.5) == []
    cut = match(found, replace(lost, active=np.ones(2, bool)), 0.9, SETTINGS)
    assert (cut.cut, cut.pairs.tolist()) == (True, [[1, 0]])


def test_stuff_that_goes_on_does_not_hide_a_cut() -> None:
    similarity = np.zeros((6, 2))
    similarity[4, 0] = similarity[5, 1] = 0.9
    found = cues(6, [0.9, 0.9], similarity=similarity, iou=similarity, clip_cosine=0.1)
    few = replace(SETTINGS, cut_matched=0.3)  # two of six are matched
    mixed = replace(tracks(6), isthing=np.array([True] * 4 + [False] * 2))
    assert match(found, mixed, 0.9, few).cut
    assert not match(found, tracks(6), 0.9, few).cut


def test_the_likeliest_is_born_and_what_it_covers_is_not() -> None:
    common = np.eye(3) * 16
    common[0, 1] = common[1, 0] = 12
    found = cues(0, [0.7, 0.9, 0.59], common=common)
    assert births(found, np.array([], int), SETTINGS) == [1]
    assert births(replace(found, isthing=np.array([True, False, True])), np.array([], int), SETTINGS) == [0, 1]


def test_nobody_at_all() -> None:
    empty = match(cues(0, []), tracks(0), 0.9, SETTINGS)
    assert empty.pairs.shape == (0, 2)
    assert not empty.cut
    assert births(cues(3, []), np.array([], int), SETTINGS) == []
    assert pairs(cues(3, []), tracks(3)) == []
    assert pairs(cues(0, [0.9]), tracks(0)) == []

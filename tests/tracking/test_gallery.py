"""Recognition."""

import numpy as np
import pytest
import torch

from streamseg.config.tracking import TrackingSettings
from streamseg.tracking.gallery import forgotten, gallery_cosine, recognise, remember

SETTINGS = TrackingSettings(recognition_cosine=0.8, recognition_margin=0.05, recognition_class_overlap=0.5)


def basis(*numbers: int) -> torch.Tensor:
    return torch.eye(8)[list(numbers)]


def test_only_what_is_new_is_kept_and_the_oldest_makes_room() -> None:
    gallery, stored = torch.zeros(1, 2, 8), torch.zeros(1, dtype=torch.int64)
    for number, kept in ((0, 1), (0, 1), (1, 2), (2, 3)):
        gallery, stored = remember(gallery, stored, basis(number), novelty=0.9)
        assert int(stored) == kept
    assert gallery_cosine(gallery, stored, basis(0, 1, 2)).tolist() == [[0.0, 1.0, 1.0]]


def test_an_empty_place_is_no_embedding() -> None:
    gallery, stored = torch.zeros(2, 3, 8), torch.tensor([0, 1])
    gallery[1, 0] = -basis(0)[0]
    assert gallery_cosine(gallery, stored, basis(0)).tolist() == [[-1.0], [-1.0]]


def found(cosine: list[list[float]], overlap: float = 1.0, remoteness: float = 2.0) -> list[list[int]]:
    shape = np.shape(cosine)
    return recognise(np.array(cosine), np.full(shape, overlap), np.full(shape, remoteness), SETTINGS).tolist()


@pytest.mark.parametrize(
    ("cosine", "pairs"),
    [
        ([[0.9]], [[0, 0]]),
        ([[0.79]], []),  # not alike enough
        ([[0.9, 0.86]], []),  # two queries, no clear lead
        ([[0.9, 0.84]], [[0, 0]]),
        ([[0.9], [0.86]], []),  # two tracks, no clear lead
        ([[0.95, 0.85], [0.3, 0.9]], [[0, 0], [1, 1]]),
        ([[0.9, 0.2], [0.96, 0.1]], [[1, 0]]),  # each other's best
    ],
)
def test_a_match_has_to_be_clear_from_both_sides(cosine: list[list[float]], pairs: list[list[int]]) -> None:
    assert found(cosine) == pairs


def test_another_class_is_another_thing() -> None:
    assert found([[0.99]], overlap=0.49) == []
    assert found([[0.99]], overlap=0.49, remoteness=0.0) == []
    nobody = np.zeros((0, 3))
    assert recognise(nobody, nobody, nobody, SETTINGS).shape == (0, 2)


def test_of_look_alikes_the_nearest_is_taken() -> None:
    cosine = np.array([[0.9, 0.91], [0.9, 0.9]])
    remoteness = np.array([[0.2, 0.9], [0.7, 0.1]])
    overlap = np.ones((2, 2))
    assert recognise(cosine, overlap, remoteness, SETTINGS).tolist() == [[0, 0], [1, 1]]
    assert recognise(cosine, overlap, remoteness.T[::-1], SETTINGS).tolist() == [[0, 1], [1, 0]]
    assert recognise(cosine - 0.2, overlap, remoteness, SETTINGS).tolist() == []  # near, but nobody alike
    assert recognise(cosine, overlap, remoteness + 1, SETTINGS).tolist() == []  # alike, but nobody near


def test_who_is_near_comes_before_who_is_alike() -> None:
    cosine, overlap = np.array([[0.95, 0.85]]), np.ones((1, 2))
    assert recognise(cosine, overlap, np.array([[5.0, 0.5]]), SETTINGS).tolist() == [[0, 1]]
    assert recognise(cosine, overlap, np.array([[5.0, 5.0]]), SETTINGS).tolist() == [[0, 0]]


def test_lost_tracks_end_by_time_and_then_by_number() -> None:
    last_seen = np.array([1.0, 5.0, 3.0, 9.0])
    assert forgotten(last_seen, 12.0, seconds=10, capacity=9).tolist() == [True, False, False, False]
    assert forgotten(last_seen, 12.0, seconds=10, capacity=2).tolist() == [True, False, True, False]
    assert forgotten(last_seen[:0], 12.0, seconds=10, capacity=2).tolist() == []

"""Class fusion and labels."""

import math

import pytest
import torch

from streamseg.tracking.labels import bhattacharyya, decay, hysteresis, log_posterior

ISTHING = torch.tensor([True, True, False])


def test_half_is_left_after_a_half_life_whatever_the_frame_rate() -> None:
    assert decay(1.0, 1.0) == 0.5
    for fps in (5, 25, 100):
        assert math.prod([decay(1 / fps, 0.7)] * fps) == pytest.approx(decay(1.0, 0.7))
    assert decay(0.0, 0.0) == 0.0  # nothing of the past counts


def test_a_posterior_is_a_mean_and_not_a_sum() -> None:
    scores = torch.tensor([[0.7, 0.2, 0.1]]).log()
    for frames in (1, 10, 1000):
        found = log_posterior(frames * scores, torch.tensor([float(frames)])).exp()
        torch.testing.assert_close(found, scores.exp())


def test_overlap_of_distributions() -> None:
    p = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]).log()
    found = bhattacharyya(p, p)
    torch.testing.assert_close(found, torch.eye(2))


def follow(posteriors: list[list[float]], ratio: float = 1.2, frames: int = 3, kind_frames: int = 5) -> list[int]:
    """The label after each frame, of a track that is first called 0."""
    label, challenger, challenged = (torch.zeros(1, dtype=torch.int64) for _ in range(3))
    labels = []
    for posterior in posteriors:
        label, challenger, challenged = hysteresis(
            torch.tensor([posterior]).log(),
            label,
            challenger,
            challenged,
            ISTHING,
            ratio=ratio,
            frames=frames,
            kind_frames=kind_frames,
        )
        labels.append(int(label))
    return labels


CLEAR, CLOSE, STUFF = [0.3, 0.6, 0.1], [0.46, 0.5, 0.04], [0.2, 0.1, 0.7]


def test_a_label_changes_after_three_frames_of_a_clear_lead() -> None:
    assert follow([CLEAR] * 4) == [0, 0, 1, 1]
    assert follow([CLOSE] * 10) == [0] * 10


def test_a_frame_in_between_starts_the_count_again() -> None:
    assert follow([CLEAR, CLEAR, CLOSE, CLEAR, CLEAR, CLEAR]) == [0, 0, 0, 0, 0, 1]
    assert follow([CLEAR, CLEAR, STUFF, CLEAR, CLEAR, CLEAR]) == [0, 0, 0, 0, 0, 1]


def test_turning_into_stuff_takes_five() -> None:
    assert follow([STUFF] * 6) == [0, 0, 0, 0, 2, 2]


def test_without_hysteresis_the_likeliest_wins_at_once() -> None:
    assert follow([CLOSE, STUFF, CLEAR], ratio=1.0, frames=1, kind_frames=1) == [1, 2, 1]


def test_tracks_do_not_touch_one_another() -> None:
    posterior = torch.tensor([CLEAR, CLOSE]).log()
    zeros, two = torch.zeros(2, dtype=torch.int64), torch.tensor([2, 2])
    label, _, challenged = hysteresis(posterior, zeros, zeros + 1, two, ISTHING, ratio=1.2, frames=3, kind_frames=5)
    assert label.tolist() == [1, 0]
    assert challenged.tolist() == [0, 0]

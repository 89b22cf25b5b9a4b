"""What a track is called: class scores fused over time, and labels that do not flicker.

Frames are correlated, so a mean of log scores and not their sum: ten frames of one view are hardly more evidence than
one. Older frames fade by time and not by frame, so that a stream at 5 and one at 50 frames a second agree.
"""

import math

import torch
from torch import Tensor

__all__ = ["LOWEST_LOG_SCORE", "bhattacharyya", "decay", "hysteresis", "log_posterior"]

LOWEST_LOG_SCORE = -30.0
"""Log scores are cut off here: a single frame's -inf would rule a label out for ever."""


def decay(seconds: float, half_life: float) -> float:
    """What is left after `seconds`; a half-life of 0 leaves nothing."""
    return 0.0 if half_life <= 0 else 2.0 ** (-seconds / half_life)


def log_posterior(log_sum: Tensor, weight: Tensor) -> Tensor:
    """(T, K) weighted sums of log scores and (T,) weights -> (T, K) log softmax of their mean."""
    return (log_sum / weight.clamp(min=1e-12)[:, None]).log_softmax(-1)


def bhattacharyya(log_p: Tensor, log_q: Tensor) -> Tensor:
    """(T, K) and (N, K) log probabilities -> (T, N) overlap of distributions, from 0 to 1 for equal ones."""
    return (log_p / 2).exp() @ (log_q / 2).exp().T


def hysteresis(
    log_posteriors: Tensor,
    label: Tensor,
    challenger: Tensor,
    challenged: Tensor,
    isthing: Tensor,
    *,
    ratio: float,
    frames: int,
    kind_frames: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """A label changes after another one has led for some frames in a row.

    Args:
        log_posteriors: (T, K).
        label, challenger, challenged: (T,) int64, the label, who led it last, and for how many frames.
        isthing: (K,) bool, of every category.
        ratio: how many times as probable the challenger has to be.
        frames: for so many frames in a row.
        kind_frames: the same where it would turn a thing into stuff, or back.

    Returns:
        The new label, challenger and count, each (T,) int64.
    """
    best = log_posteriors.argmax(-1)
    lead = log_posteriors.gather(1, best[:, None]) - log_posteriors.gather(1, label[:, None])
    leads = (best != label) & (lead[:, 0] >= math.log(ratio))
    count = torch.where(leads, torch.where(best == challenger, challenged + 1, 1), 0)
    needed = torch.where(isthing[best] == isthing[label], frames, kind_frames)
    wins = leads & (count >= needed)
    return torch.where(wins, best, label), best, torch.where(wins, 0, count)

"""Which query answers for which target: bipartite matching by the cost of each pair.

Mask2Former (arXiv 2112.01527, section 3.3), after DETR (arXiv 2005.12872, section 3.1). The cost of a pair is the
weighted sum of three parts: minus the probability of the target's category, binary cross-entropy, and 1 - dice. Masks
are compared at points that all queries and targets of an image share.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .point_sampling import sample_maps, sample_masks
from .targets import Targets

__all__ = ["CostWeights", "Matching", "assign", "matching_costs"]


@dataclass(frozen=True, slots=True)
class CostWeights:
    """How much each part of a pair's cost weighs."""

    category: float = 2.0
    mask: float = 5.0
    dice: float = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """Matched pairs of every stage, image after image, in the order of the targets.

    An image has min(Q, N) pairs at every stage, so the stages' pairs stack.

    Attributes:
        counts: how many pairs each image has; their sum is M.
        images: (M,) int64, the image of each pair.
        queries: (S, M) int64, by stage.
        targets: (S, M) int64; all targets in turn, unless there are more of them than queries.
    """

    counts: tuple[int, ...]
    images: Tensor
    queries: Tensor
    targets: Tensor

    def select(self, targets: Sequence[Targets], stage: int) -> list[Targets]:
        """The matched ones of each image's targets, in the order of the pairs."""
        chosen = self.targets[stage].split(list(self.counts))
        return [
            target if len(target) == len(index) else Targets(target.labels[index], target.masks[index])
            for target, index in zip(targets, chosen, strict=True)
        ]


@torch.no_grad()
def matching_costs(
    class_logits: Tensor, mask_logits: Tensor, targets: Sequence[Targets], points: Tensor, weights: CostWeights
) -> Tensor:
    """Cost of every pair of query and target in each image, without a synchronisation.

    Args:
        class_logits: (B, Q, K+1) float32, no-object last.
        mask_logits: (B, Q, h, w) float32.
        targets: one for each image; masks of one size.
        points: (B, P, 2) in [0, 1], where masks are compared.
        weights: of the three parts.

    Returns:
        (B, Q, N), N the largest number of targets in an image; columns past an image's own targets mean nothing.
    """
    labels = pad_sequence([target.labels for target in targets], batch_first=True)
    sampled = sample_masks([target.masks for target in targets], points, [1] * len(targets))
    inside = pad_sequence(sampled, batch_first=True)
    logits = sample_maps(mask_logits, points)
    index = labels.unsqueeze(1).expand(-1, class_logits.shape[1], -1)
    return (
        weights.mask * _pairwise_cross_entropy(logits, inside)
        + weights.dice * _pairwise_dice(logits, inside)
        - weights.category * class_logits.softmax(-1).gather(2, index)
    )


def _pairwise_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """(B, Q, P) logits and (B, N, P) targets -> (B, Q, N), the mean over the points."""
    # -t log p - (1 - t) log(1 - p) = softplus(x) - x t, for p = sigmoid(x)
    return (F.softplus(logits).sum(-1).unsqueeze(2) - logits @ targets.transpose(1, 2)) / logits.shape[-1]


def _pairwise_dice(logits: Tensor, targets: Tensor) -> Tensor:
    """(B, Q, P) logits and (B, N, P) targets -> (B, Q, N), 1 - dice, with 1 added above and below."""
    probabilities = logits.sigmoid()
    overlap = probabilities @ targets.transpose(1, 2)
    total = probabilities.sum(-1).unsqueeze(2) + targets.sum(-1).unsqueeze(1)
    return 1 - (2 * overlap + 1) / (total + 1)


def assign(costs: Tensor, num_targets: Sequence[int]) -> Matching:
    """The cheapest one-to-one matching of every stage and image; waits for the device once.

    Args:
        costs: (S, B, Q, N), columns past an image's targets ignored.
        num_targets: of each image.

    Returns:
        The pairs, on the costs' device.

    Raises:
        FloatingPointError: a cost is not finite: the predictions are not.
    """
    num_queries = costs.shape[2]
    counts = tuple(min(num_queries, number) for number in num_targets)
    host = costs.cpu().numpy()
    pairs = np.empty((2, len(host), sum(counts)), dtype=np.int64)
    for stage, per_image in enumerate(host):
        found = [_assign_one(cost[:, :number], stage) for cost, number in zip(per_image, num_targets, strict=True)]
        pairs[:, stage] = np.concatenate(found, axis=1)
    queries, targets = torch.from_numpy(pairs).to(costs.device)
    images = torch.from_numpy(np.repeat(np.arange(len(counts)), counts)).to(costs.device)
    return Matching(counts, images, queries, targets)


def _assign_one(cost: npt.NDArray[np.float32], stage: int) -> npt.NDArray[np.int64]:
    """(Q, N) -> (2, min(Q, N)): queries and targets, in the order of the targets."""
    if not np.isfinite(cost).all():
        raise FloatingPointError(
            f"the matching costs of stage {stage} hold {(~np.isfinite(cost)).sum()} values that are not finite, "
            "expected none: the predictions have diverged; lower the learning rate or clip gradients"
        )
    queries, targets = linear_sum_assignment(cost)
    order = targets.argsort()
    return np.stack([queries[order], targets[order]])

"""What training minimises: each target's query should say its category and draw its mask, every other query nothing.

FC-CLIP (arXiv 2308.02487, section 3.3) trains with Mask2Former's criterion (arXiv 2112.01527, section 3.3): at every
stage of the mask decoder, queries are matched with targets (`matcher.py`), then

    loss_ce    cross-entropy of the category; queries without a target should say no-object, at a tenth of the weight
    loss_mask  binary cross-entropy of matched masks, at points
    loss_dice  1 - dice of matched masks, at the same points

The points of the mask losses are drawn where the prediction is uncertain (PointRend, arXiv 1912.08193, section 3.1):
of `oversample_ratio` times as many candidates, the share `importance_ratio` of all points with the smallest |logit|,
and the rest uniformly. Everything is computed in float32, also under autocast.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ConfigError
from .matcher import CostWeights, Matching, assign, matching_costs
from .point_sampling import sample_maps, sample_masks, uncertain_points, uniform_points
from .targets import Targets

__all__ = ["Criterion", "CriterionSettings", "StageLogits"]

# Matching and losses draw from separate streams, so that either can be computed alone.
MATCHING_STREAM, LOSS_STREAM = 0, 1


@dataclass(frozen=True, slots=True)
class CriterionSettings:
    """The published values are the defaults.

    Attributes:
        num_points: points per mask, for matching and for the losses.
        oversample_ratio: candidates per point of the mask losses.
        importance_ratio: share of those points that the uncertainty of the prediction chooses.
        class_weight, mask_weight, dice_weight: of the three losses, and of the three parts of the matching cost.
        no_object_weight: of queries without a target in `loss_ce`.
    """

    num_points: int = 12544
    oversample_ratio: float = 3.0
    importance_ratio: float = 0.75
    class_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0
    no_object_weight: float = 0.1

    def __post_init__(self) -> None:
        for name, low, high in (
            ("num_points", 1, math.inf),
            ("oversample_ratio", 1, math.inf),
            ("importance_ratio", 0, 1),
            ("class_weight", 0, math.inf),
            ("mask_weight", 0, math.inf),
            ("dice_weight", 0, math.inf),
            ("no_object_weight", 0, math.inf),
        ):
            value = getattr(self, name)
            if not (low <= value <= high and math.isfinite(value)):
                allowed = f"between {low} and {high}" if math.isfinite(high) else f"at least {low}, and finite"
                raise ConfigError(f"{name} is {value}, expected a number {allowed}")


@dataclass(frozen=True, slots=True, eq=False)
class StageLogits:
    """What one stage of the mask decoder predicts.

    Attributes:
        class_logits: (B, Q, K+1), no-object last.
        mask_logits: (B, Q, h, w), before sigmoid.
    """

    class_logits: Tensor
    mask_logits: Tensor

    def float(self) -> "StageLogits":
        return StageLogits(self.class_logits.float(), self.mask_logits.float())


class Criterion:
    """Losses of a batch; holds settings and no state."""

    def __init__(self, settings: CriterionSettings | None = None) -> None:
        self.settings = settings or CriterionSettings()

    def __call__(
        self,
        stages: Sequence[StageLogits],
        targets: Sequence[Targets],
        seeds: Sequence[int],
        *,
        reduce: Callable[[Tensor], Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Losses of every stage, not yet weighted.

        Args:
            stages: in the decoder's order, the final prediction last; any float dtype.
            targets: one for each image, on the logits' device; an image may have none.
            seeds: one for each image. Its points are a function of seed and stage alone.
            reduce: maps local normalisers to their mean over all workers (identity if None); called once. Averaging the
                workers' gradients then gives the gradient of the joint batch.

        Returns:
            Scalars `loss_ce`, `loss_mask`, `loss_dice` of the last stage, and `..._i` of each stage i before it.
            Without targets the mask losses are 0 and still part of the graph.

        Raises:
            FloatingPointError: predictions are not finite, so that nothing can be matched.
        """
        return self.losses(stages, targets, seeds, self.match(stages, targets, seeds), reduce=reduce)

    def match(self, stages: Sequence[StageLogits], targets: Sequence[Targets], seeds: Sequence[int]) -> Matching:
        """The first half of a call: which query answers for which target, at every stage."""
        settings = self.settings
        weights = CostWeights(settings.class_weight, settings.mask_weight, settings.dice_weight)
        device = stages[0].mask_logits.device
        costs = []
        with torch.autocast(device.type, enabled=False):
            for number, stage in enumerate(map(StageLogits.float, stages)):
                points = uniform_points([1] * len(seeds), settings.num_points, seeds, (number, MATCHING_STREAM), device)
                costs.append(matching_costs(stage.class_logits, stage.mask_logits, targets, points, weights))
        return assign(torch.stack(costs), [len(target) for target in targets])

    def losses(
        self,
        stages: Sequence[StageLogits],
        targets: Sequence[Targets],
        seeds: Sequence[int],
        matching: Matching,
        *,
        reduce: Callable[[Tensor], Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """The second half of a call: the losses, given the matching."""
        losses = {}
        with torch.autocast(stages[0].mask_logits.device.type, enabled=False):
            num_masks, class_weights = self._normalisers(stages[0], targets, matching, reduce)
            for number, stage in enumerate(map(StageLogits.float, stages)):
                suffix = "" if number == len(stages) - 1 else f"_{number}"
                cross_entropy, dice = self._mask_losses(number, stage, targets, seeds, matching)
                losses[f"loss_ce{suffix}"] = self._class_loss(number, stage, targets, matching) / class_weights
                losses[f"loss_mask{suffix}"] = cross_entropy / num_masks
                losses[f"loss_dice{suffix}"] = dice / num_masks
        return losses

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of all losses, a scalar."""
        weights = {
            "ce": self.settings.class_weight,
            "mask": self.settings.mask_weight,
            "dice": self.settings.dice_weight,
        }
        return torch.stack([weights[name.split("_")[1]] * loss for name, loss in losses.items()]).sum()

    def _normalisers(
        self,
        stage: StageLogits,
        targets: Sequence[Targets],
        matching: Matching,
        reduce: Callable[[Tensor], Tensor] | None,
    ) -> tuple[Tensor, Tensor]:
        """Number of target masks, at least 1, and sum of class weights; means over the workers.

        Every stage matches equally many queries, so one sum of class weights is good for all.
        """
        matched, queries = sum(matching.counts), stage.class_logits.shape[:2].numel()
        weights = matched + self.settings.no_object_weight * (queries - matched)
        local = torch.tensor([float(sum(map(len, targets))), weights], device=stage.class_logits.device)
        num_masks, class_weights = reduce(local) if reduce else local
        return num_masks.clamp(min=1), class_weights

    def _class_loss(self, number: int, stage: StageLogits, targets: Sequence[Targets], matching: Matching) -> Tensor:
        """Weighted cross-entropy, summed over all queries."""
        logits = stage.class_logits
        no_object = logits.shape[-1] - 1
        expected = torch.full(logits.shape[:2], no_object, device=logits.device)
        labels = [target.labels for target in matching.select(targets, number)]
        expected[matching.images, matching.queries[number]] = torch.cat(labels)
        weights = torch.ones(no_object + 1, device=logits.device)
        weights[no_object] = self.settings.no_object_weight
        return F.cross_entropy(logits.flatten(0, 1), expected.flatten(), weights, reduction="sum")

    def _mask_losses(
        self, number: int, stage: StageLogits, targets: Sequence[Targets], seeds: Sequence[int], matching: Matching
    ) -> tuple[Tensor, Tensor]:
        """Binary cross-entropy and dice of the matched masks, summed over them."""
        masks = stage.mask_logits[matching.images, matching.queries[number]]
        points = self._loss_points(number, masks, seeds, matching.counts)
        chosen = [target.masks for target in matching.select(targets, number)]
        sampled = torch.cat(sample_masks(chosen, points, matching.counts))
        logits = sample_maps(masks.unsqueeze(1), points).squeeze(1)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, sampled, reduction="none").mean(1).sum()
        probabilities = logits.sigmoid()
        overlap = (probabilities * sampled).sum(1)
        dice = 1 - (2 * overlap + 1) / (probabilities.sum(1) + sampled.sum(1) + 1)
        return cross_entropy, dice.sum()

    def _loss_points(self, number: int, masks: Tensor, seeds: Sequence[int], counts: Sequence[int]) -> Tensor:
        """(M, h, w) matched mask logits -> (M, P, 2): where each is compared with its target."""
        settings = self.settings
        candidates = int(settings.num_points * settings.oversample_ratio)
        important = int(settings.num_points * settings.importance_ratio)
        anywhere = settings.num_points - important
        points = uniform_points(counts, candidates + anywhere, seeds, (number, LOSS_STREAM), masks.device)
        chosen = uncertain_points(masks, points[:, :candidates], important)
        return torch.cat([chosen, points[:, candidates:]], dim=1)

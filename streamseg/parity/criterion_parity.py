"""Hold the training criterion against stored numbers of the original FC-CLIP.

The original's numbers are over many draws of the sampled points: each loss's mean and deviation, the matchings seen in
20 draws, and the mean gradient of the last stage's weighted losses. Our draws differ from theirs, so that means are
compared, within four standard errors.

Where two matchings cost nearly the same, the points of a draw decide between them, and a mean gradient mixes both. The
class gradient under one matching is always the same, so the original's mean says how often it chose each; ours are
mixed in the same proportion before they are compared.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError
from ..fcclip.criterion import Criterion, StageLogits
from ..fcclip.matcher import Matching
from .checks import Array, Check, Tolerance, judge
from .criterion_cases import CriterionCase, Pairs

__all__ = ["run_criterion_parity"]

LEAST_DRAWS = 50
# A matching that the original chooses in a quarter of all draws is missing from 20 of them three times in a thousand.
UNLISTED = Tolerance(maximum=0.25)
CLASS_GRADIENT = Tolerance(maximum=1e-6)
# A rare matching that only the original saw moves two queries, and not the median.
MIXED_CLASS_GRADIENT = Tolerance(median=1e-6)
CORRELATION = Tolerance(maximum=1e-3)
NORM = Tolerance(maximum=0.01)
# Under one matching loss_ce repeats to the last bit; where the original's varies by more, it has seen several.
REPEATS = 1e-6
# When the original has seen several matchings, and we one: how many times as many draws we look for another.
PATIENCE = 5
# The class gradient is exact, the mask gradient a mean of draws: the one counts this much more in finding proportions.
EXACTNESS = 1e4


def run_criterion_parity(case: CriterionCase, *, device: str = "cpu", draws: int = 200) -> list[Check]:
    """Draw, match, and compare losses and gradients.

    Args:
        case: what to compare with.
        device: where to run.
        draws: of random points, at least 50; the error of our means falls with their root.

    Raises:
        ConfigError: device or draws cannot be.
    """
    if draws < LEAST_DRAWS:
        raise ConfigError(f"{draws} draws are too few, expected {LEAST_DRAWS} or more for means worth comparing")
    ours = _Draws(case, _device(device))
    while ours.count < draws or (ours.count < PATIENCE * draws and _ambiguity_unexplained(case, ours)):
        ours.draw()
    return [*_check_matchings(case, ours), *_check_losses(case, ours), *_check_gradients(case, ours)]


def _device(name: str) -> torch.device:
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError):
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ConfigError(f"unknown device {name!r} on this machine, expected cpu, cuda or cuda:N")
    return device


@dataclass(slots=True, eq=False)
class _Gradients:
    """Sums over the draws in which one image had one matching."""

    count: int
    logits: Array
    masks: Array


class _Draws:
    """What our criterion says of a case, draw after draw."""

    def __init__(self, case: CriterionCase, device: torch.device) -> None:
        self.criterion = Criterion()
        self.stages = [StageLogits(s.class_logits.to(device), s.mask_logits.to(device)) for s in case.stages]
        last = self.stages[-1]
        self.leaves = (last.class_logits.clone().requires_grad_(), last.mask_logits.clone().requires_grad_())
        self.stages[-1] = StageLogits(*self.leaves)
        self.targets = [target.to(device) for target in case.targets]
        self.count = 0
        self.losses: dict[str, list[float]] = defaultdict(list)
        self.chosen = [[Counter[Pairs]() for _ in self.targets] for _ in self.stages]
        self.gradients: list[dict[Pairs, _Gradients]] = [{} for _ in self.targets]

    def draw(self) -> None:
        images = len(self.targets)
        seeds = range(self.count * images, (self.count + 1) * images)
        matching = self.criterion.match(self.stages, self.targets, seeds)
        losses = self.criterion.losses(self.stages, self.targets, seeds, matching)
        pairs = [_pairs(matching, stage, images) for stage in range(len(self.stages))]
        for counters, found in zip(self.chosen, pairs, strict=True):
            for counter, own in zip(counters, found, strict=True):
                counter[own] += 1
        for name, loss in losses.items():
            self.losses[name].append(loss.item())
        last = {name: losses[name] for name in ("loss_ce", "loss_mask", "loss_dice")}
        self._add(pairs[-1], *torch.autograd.grad(self.criterion.total(last), self.leaves))
        self.count += 1

    def _add(self, pairs: list[Pairs], logits: Tensor, masks: Tensor) -> None:
        """An image's gradient depends on its own matching alone: the denominators are the same in every draw."""
        arrays = (tensor.double().cpu().numpy() for tensor in (logits, masks))
        for gradients, own, *added in zip(self.gradients, pairs, *arrays, strict=True):
            if own not in gradients:
                gradients[own] = _Gradients(0, np.zeros_like(added[0]), np.zeros_like(added[1]))
            gradients[own].count += 1
            gradients[own].logits += added[0]
            gradients[own].masks += added[1]


def _pairs(matching: Matching, stage: int, images: int) -> list[Pairs]:
    found: list[list[tuple[int, int]]] = [[] for _ in range(images)]
    columns = (matching.images, matching.queries[stage], matching.targets[stage])
    for image, query, target in zip(*(column.tolist() for column in columns), strict=True):
        found[image].append((query, target))
    return [frozenset(own) for own in found]


def _varies(case: CriterionCase) -> bool:
    """Whether the original saw several matchings of the last stage, of any image."""
    return case.losses.get("loss_ce", (0.0, 0.0))[1] > REPEATS


def _ambiguous(case: CriterionCase, ours: _Draws, image: int) -> bool:
    return len(ours.gradients[image]) > 1 or len(case.matchings[-1][image]) > 1


def _ambiguity_unexplained(case: CriterionCase, ours: _Draws) -> bool:
    return _varies(case) and not any(_ambiguous(case, ours, image) for image in range(len(case.targets)))


def _check_matchings(case: CriterionCase, ours: _Draws) -> Iterator[Check]:
    for stage, (listed, counters) in enumerate(zip(case.matchings, ours.chosen, strict=True)):
        shares = [
            sum(count for pairs, count in counter.items() if pairs not in known) / ours.count
            for known, counter in zip(listed, counters, strict=True)
        ]
        ambiguous = [image for image, counter in enumerate(counters) if len(counter) > 1]
        note = f"share of draws not listed, by image{f'; ambiguous images {ambiguous}' if ambiguous else ''}"
        yield judge(f"matching[{stage}]", np.array(shares), UNLISTED, note)


def _check_losses(case: CriterionCase, ours: _Draws) -> Iterator[Check]:
    for name, (mean, std) in case.losses.items():
        values = np.array(ours.losses.get(name, [np.nan, np.nan]))
        error = sqrt(values.var(ddof=1) / len(values) + std**2 / case.draws) if name in ours.losses else 0.0
        note = f"ours {values.mean():.6f}, theirs {mean:.6f}, standard error {error:.1e}"
        yield judge(name, values.mean(keepdims=True) - mean, Tolerance(maximum=4 * error + 1e-6), note)


def _check_gradients(case: CriterionCase, ours: _Draws) -> Iterator[Check]:
    mixed = [_mixed(case, ours, image) for image in range(len(case.targets))]
    logits, masks = (np.stack(parts) for parts in zip(*mixed, strict=True))
    ambiguous = np.array([_ambiguous(case, ours, image) for image in range(len(case.targets))])
    difference = logits - case.grad_logits
    if _ambiguity_unexplained(case, ours):
        yield judge("grad_logits", difference, MIXED_CLASS_GRADIENT, "the original saw several matchings, and we one")
    else:
        yield judge("grad_logits", difference[~ambiguous], CLASS_GRADIENT)
    if ambiguous.any():
        note = f"ambiguous images {np.flatnonzero(ambiguous).tolist()}, matchings in the original's proportion"
        yield judge("grad_logits, mixed", difference[ambiguous], MIXED_CLASS_GRADIENT, note)
    yield from _check_mask_gradient(case.grad_masks.ravel(), masks.ravel())


def _mixed(case: CriterionCase, ours: _Draws, image: int) -> tuple[Array, Array]:
    """Mean gradients of one image, its matchings in the proportion that explains the original's best."""
    found = list(ours.gradients[image].values())
    logits = np.stack([gradients.logits / gradients.count for gradients in found])
    masks = np.stack([gradients.masks / gradients.count for gradients in found])
    shares = np.array([gradients.count / ours.count for gradients in found])
    rows = np.concatenate([EXACTNESS * logits.reshape(len(found), -1), masks.reshape(len(found), -1)], axis=1)
    theirs = np.concatenate([EXACTNESS * case.grad_logits[image].ravel(), case.grad_masks[image].ravel()])
    # Least squares for the change of all shares but the first, which makes up for the others.
    change = np.linalg.lstsq((rows[1:] - rows[0]).T, theirs - shares @ rows, rcond=None)[0]
    shares = np.clip(shares + np.concatenate([[-change.sum()], change]), 0, 1)
    shares /= shares.sum()
    return np.tensordot(shares, logits, 1), np.tensordot(shares, masks, 1)


def _check_mask_gradient(theirs: Array, ours: Array) -> Iterator[Check]:
    if not theirs.any():
        yield judge("grad_masks", ours - theirs, CLASS_GRADIENT, "no mask has a gradient")
        return
    norms = np.linalg.norm(theirs), np.linalg.norm(ours)
    if np.ptp(theirs) > 0:
        correlation = np.corrcoef(theirs, ours)[0, 1] if np.ptp(ours) > 0 else 0.0
    else:  # one value over and over, as with a single pixel
        correlation = theirs @ ours / (norms[0] * norms[1])
    yield judge("grad_masks correlation", np.array([1 - correlation]), CORRELATION, f"1 - {correlation:.6f}")
    yield judge("grad_masks norm", np.array([norms[1] / norms[0] - 1]), NORM, "relative")

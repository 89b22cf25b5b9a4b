"""The losses against plain loops, their gradients, and what must not change them: batches, workers, precision."""

from collections.abc import Sequence
from math import exp, log

import pytest
import torch
from torch import Tensor

from streamseg.errors import ConfigError
from streamseg.fcclip.criterion import LOSS_STREAM, Criterion, CriterionSettings, StageLogits
from streamseg.fcclip.point_sampling import uniform_points
from streamseg.fcclip.targets import Targets
from tests.fcclip.loops import cross_entropy, dice_loss, random_targets, value_at

CLASSES = 4
SETTINGS = CriterionSettings(num_points=16)


def random_stages(
    images: int, stages: int = 2, queries: int = 6, size: tuple[int, int] = (6, 8), seed: int = 0
) -> list[StageLogits]:
    generator = torch.Generator().manual_seed(seed)
    return [
        StageLogits(
            torch.randn(images, queries, CLASSES + 1, generator=generator, requires_grad=True),
            (3 * torch.randn(images, queries, *size, generator=generator)).requires_grad_(),
        )
        for _ in range(stages)
    ]


def images_of(stages: Sequence[StageLogits], chosen: slice) -> list[StageLogits]:
    """Some of the images, as leaves of their own."""
    return [
        StageLogits(
            stage.class_logits[chosen].detach().clone().requires_grad_(),
            stage.mask_logits[chosen].detach().clone().requires_grad_(),
        )
        for stage in stages
    ]


def gradients(stages: Sequence[StageLogits]) -> list[Tensor]:
    found = [tensor.grad for stage in stages for tensor in (stage.class_logits, stage.mask_logits)]
    assert all(gradient is not None for gradient in found)
    return [gradient for gradient in found if gradient is not None]


def matched_pairs(
    criterion: Criterion, stages: Sequence[StageLogits], targets: Sequence[Targets], seeds: Sequence[int], stage: int
) -> list[tuple[int, int, int]]:
    """(image, query, target) of every pair."""
    matching = criterion.match(stages, targets, seeds)
    columns = (matching.images, matching.queries[stage], matching.targets[stage])
    return list(zip(*(column.tolist() for column in columns), strict=True))


def class_loss(stage: StageLogits, targets: Sequence[Targets], pairs: Sequence[tuple[int, int, int]]) -> float:
    labels = {(image, query): int(targets[image].labels[target]) for image, query, target in pairs}
    loss = total = 0.0
    for image, rows in enumerate(stage.class_logits.tolist()):
        for query, row in enumerate(rows):
            label = labels.get((image, query), CLASSES)
            weight = 0.1 if label == CLASSES else 1.0
            loss += weight * (log(sum(map(exp, row))) - row[label])
            total += weight
    return loss / total


def chosen_points(mask: Tensor, drawn: Sequence[tuple[float, float]], settings: CriterionSettings) -> list[list[float]]:
    """Importance sampling of one mask, from its row of uniform points."""
    candidates = int(settings.num_points * settings.oversample_ratio)
    important = int(settings.num_points * settings.importance_ratio)
    by_distance = sorted(drawn[:candidates], key=lambda point: abs(value_at(mask, *point)))
    return [list(point) for point in [*by_distance[:important], *drawn[candidates:]]]


def mask_losses(
    stage: StageLogits,
    targets: Sequence[Targets],
    pairs: Sequence[tuple[int, int, int]],
    drawn: Tensor,
    settings: CriterionSettings,
) -> tuple[float, float]:
    entropy = dice = 0.0
    for (image, query, target), row in zip(pairs, drawn.tolist(), strict=True):
        mask = stage.mask_logits[image, query].detach().double()
        points = chosen_points(mask, row, settings)
        assert len(points) == settings.num_points
        logits = [value_at(mask, x, y) for x, y in points]
        inside = [value_at(targets[image].masks[target].double(), x, y) for x, y in points]
        entropy += sum(map(cross_entropy, logits, inside)) / len(points)
        dice += dice_loss(logits, inside)
    count = max(1, sum(map(len, targets)))
    return entropy / count, dice / count


@pytest.mark.parametrize("importance", [0.0, 0.75, 1.0])
@pytest.mark.parametrize("counts", [[3, 1], [2, 0], [0, 0], [8, 2]], ids=str)
def test_losses_equal_loops(counts: list[int], importance: float) -> None:
    settings = CriterionSettings(num_points=16, importance_ratio=importance)
    criterion, seeds = Criterion(settings), [11, 12]
    stages, targets = random_stages(2), random_targets(counts, CLASSES, 9, 13)
    losses = criterion(stages, targets, seeds)
    rows = 48 + 16 - int(16 * importance)
    for number, suffix in enumerate(("_0", "")):
        pairs = matched_pairs(criterion, stages, targets, seeds, number)
        drawn = uniform_points([min(6, n) for n in counts], rows, seeds, (number, LOSS_STREAM), torch.device("cpu"))
        entropy, dice = mask_losses(stages[number], targets, pairs, drawn, settings)
        assert losses[f"loss_ce{suffix}"].item() == pytest.approx(class_loss(stages[number], targets, pairs), abs=2e-6)
        assert losses[f"loss_mask{suffix}"].item() == pytest.approx(entropy, abs=5e-6)
        assert losses[f"loss_dice{suffix}"].item() == pytest.approx(dice, abs=5e-6)


def test_names_and_total() -> None:
    criterion = Criterion(CriterionSettings(num_points=16, class_weight=3, mask_weight=7, dice_weight=11))
    losses = criterion(random_stages(1, stages=3), random_targets([2], CLASSES, 8, 8), [0])
    parts = ("ce", "mask", "dice")
    assert set(losses) == {f"loss_{part}{suffix}" for part in parts for suffix in ("", "_0", "_1")}
    assert all(loss.shape == () and loss.dtype == torch.float32 for loss in losses.values())
    by_hand = sum(
        weight * losses[f"loss_{part}{suffix}"].item()
        for part, weight in zip(parts, (3, 7, 11), strict=True)
        for suffix in ("", "_0", "_1")
    )
    assert criterion.total(losses).item() == pytest.approx(by_hand, rel=1e-6)


def test_the_published_settings_are_the_defaults() -> None:
    settings = Criterion().settings
    assert (settings.num_points, settings.oversample_ratio, settings.importance_ratio) == (12544, 3.0, 0.75)
    assert (settings.class_weight, settings.mask_weight, settings.dice_weight) == (2.0, 5.0, 5.0)
    assert settings.no_object_weight == 0.1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_points", 0),
        ("oversample_ratio", 0.5),
        ("importance_ratio", 1.5),
        ("importance_ratio", -0.1),
        ("mask_weight", -1.0),
        ("dice_weight", float("nan")),
        ("no_object_weight", float("inf")),
    ],
)
def test_settings_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"{name} is {value}, expected a number"):
        CriterionSettings(**{name: value})


# --- gradients


def test_mask_gradients_equal_finite_differences() -> None:
    """Importance sampling picks points without a gradient; the losses at the points it picked have theirs."""
    criterion = Criterion(CriterionSettings(num_points=64))
    [stage], targets = random_stages(1, stages=1, queries=3), random_targets([2], CLASSES, 12, 16)
    criterion.total(criterion([stage], targets, [3])).backward()
    (_, gradient) = gradients([stage])
    [image, query, _], *_ = matched_pairs(criterion, [stage], targets, [3], 0)
    direction = torch.zeros_like(stage.mask_logits)
    direction[image, query] = gradient[image, query] / gradient[image, query].norm()

    def loss_at(step: float) -> float:
        moved = StageLogits(stage.class_logits, stage.mask_logits.detach() + step * direction)
        return criterion.total(criterion([moved], targets, [3])).item()

    slope = (loss_at(2e-3) - loss_at(-2e-3)) / 4e-3
    assert slope == pytest.approx(gradient[image, query].norm().item(), rel=0.02)


def test_only_matched_masks_move() -> None:
    criterion = Criterion(SETTINGS)
    stages, targets = random_stages(2), random_targets([2, 1], CLASSES, 9, 9)
    criterion.total(criterion(stages, targets, [1, 2])).backward()
    for number, stage in enumerate(stages):
        moved = {tuple(place) for place in stage.mask_logits.grad.flatten(2).any(-1).nonzero().tolist()}  # type: ignore[union-attr]
        assert moved == {pair[:2] for pair in matched_pairs(criterion, stages, targets, [1, 2], number)}
        assert stage.class_logits.grad is not None
        assert stage.class_logits.grad.any(-1).all()


def test_following_the_gradient_finds_the_targets() -> None:
    criterion = Criterion(CriterionSettings(num_points=128))
    [stage] = random_stages(2, stages=1)
    blocks = torch.arange(6 * 8).reshape(6, 8)
    masks = torch.stack([blocks < 16, (blocks >= 16) & (blocks < 32), blocks >= 32])
    targets = [Targets(torch.tensor([0, 1, 2]), masks), Targets(torch.tensor([3, 0]), masks[:2])]
    optimizer = torch.optim.Adam([stage.class_logits, stage.mask_logits], lr=0.2)
    for step in range(120):
        optimizer.zero_grad()
        criterion.total(criterion([stage], targets, [2 * step, 2 * step + 1])).backward()
        optimizer.step()
    for image, query, target in matched_pairs(criterion, [stage], targets, [0, 1], 0):
        assert torch.equal(stage.mask_logits[image, query] > 0, targets[image].masks[target])
    for image, labels in enumerate(([0, 1, 2, 4, 4, 4], [0, 3, 4, 4, 4, 4])):
        assert sorted(stage.class_logits[image].argmax(-1).tolist()) == labels


@pytest.mark.parametrize("counts", [[0, 0], [0]])
def test_without_targets_the_mask_losses_are_zero_and_still_in_the_graph(counts: list[int]) -> None:
    criterion = Criterion(SETTINGS)
    stages, targets = random_stages(len(counts)), random_targets(counts, CLASSES, 9, 9)
    losses = criterion(stages, targets, range(len(counts)))
    assert losses["loss_ce"] > 0
    assert losses["loss_mask"] == losses["loss_dice_0"] == 0
    (losses["loss_mask"] + losses["loss_dice"]).backward(retain_graph=True)
    last = stages[-1].mask_logits.grad
    assert last is not None
    assert not last.any()
    criterion.total(losses).backward()
    assert all(gradient.isfinite().all() for gradient in gradients(stages))


# --- batches and workers


def test_an_images_losses_do_not_depend_on_the_batch_it_is_in() -> None:
    """Its mask gradients in any batch are the ones it has alone, but for the common denominator."""
    criterion = Criterion(CriterionSettings(num_points=64))
    stages, targets, seeds = random_stages(4), random_targets([2, 0, 3, 1], CLASSES, 9, 13), [5, 6, 7, 8]
    criterion.total(criterion(stages, targets, seeds)).backward()
    together = gradients(stages)
    for image in range(4):
        alone = images_of(stages, slice(image, image + 1))
        criterion.total(criterion(alone, targets[image : image + 1], seeds[image : image + 1])).backward()
        share = max(1, len(targets[image])) / 6
        for number in (1, 3):
            torch.testing.assert_close(together[number][image], gradients(alone)[number][0] * share)


def test_the_order_of_the_images_is_nothing() -> None:
    criterion = Criterion(SETTINGS)
    stages, targets, seeds = random_stages(3), random_targets([2, 1, 3], CLASSES, 9, 13), [5, 6, 7]
    turned = [StageLogits(stage.class_logits.flip(0), stage.mask_logits.flip(0)) for stage in stages]
    forward, backward = criterion(stages, targets, seeds), criterion(turned, targets[::-1], seeds[::-1])
    for name, loss in forward.items():
        torch.testing.assert_close(loss, backward[name])


def test_other_seeds_are_other_points() -> None:
    criterion = Criterion(SETTINGS)
    stages, targets = random_stages(1), random_targets([2], CLASSES, 9, 13)
    first, again, other = (criterion(stages, targets, [seed]) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["loss_mask"], other["loss_mask"])


@pytest.mark.parametrize("counts", [[2, 0, 3, 1], [0, 0, 4, 0], [7, 9, 1, 0]], ids=str)
def test_workers_gradients_average_to_that_of_the_joint_batch(counts: list[int]) -> None:
    criterion, seeds = Criterion(SETTINGS), [5, 6, 7, 8]
    stages, targets = random_stages(4), random_targets(counts, CLASSES, 9, 13)
    criterion.total(criterion(stages, targets, seeds)).backward()
    halves = [slice(0, 2), slice(2, 4)]
    normalisers: list[Tensor] = []

    def record(local: Tensor) -> Tensor:
        normalisers.append(local)
        return local

    for half in halves:
        criterion(images_of(stages, half), targets[half], seeds[half], reduce=record)
    assert len(normalisers) == 2  # one reduction a call, also for a worker without targets
    mean = torch.stack(normalisers).mean(0)
    for half in halves:
        own = images_of(stages, half)
        criterion.total(criterion(own, targets[half], seeds[half], reduce=lambda _: mean)).backward()
        for joint, local in zip(gradients(stages), gradients(own), strict=True):
            torch.testing.assert_close(joint[half], local / 2)


# --- precision


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    criterion = Criterion(SETTINGS)
    stages, targets = random_stages(2), random_targets([2, 3], CLASSES, 9, 13)
    half = [StageLogits(stage.class_logits.to(dtype), stage.mask_logits.to(dtype)) for stage in stages]
    rounded = [stage.float() for stage in half]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = criterion(half, targets, [1, 2])
    expected = criterion(rounded, targets, [1, 2])
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        assert torch.equal(loss, expected[name])
    criterion.total(losses).backward()
    assert all(gradient.isfinite().all() for gradient in gradients(stages))


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_extreme_logits_stay_finite(scale: float) -> None:
    criterion = Criterion(SETTINGS)
    stages, targets = random_stages(2), random_targets([2, 3], CLASSES, 9, 13)
    extreme = [StageLogits(scale * stage.class_logits, scale * stage.mask_logits) for stage in stages]
    losses = criterion(extreme, targets, [1, 2])
    assert all(loss.isfinite() for loss in losses.values())
    criterion.total(losses).backward()
    assert all(gradient.isfinite().all() for gradient in gradients(stages))


@pytest.mark.parametrize("where", ["class_logits", "mask_logits"])
def test_predictions_that_are_not_finite_are_named(where: str) -> None:
    stages, targets = random_stages(2), random_targets([2, 3], CLASSES, 9, 13)
    with torch.no_grad():
        getattr(stages[1], where)[1, 2] = float("nan")
    with pytest.raises(FloatingPointError, match=r"stage 1 hold .* not finite"):
        Criterion(SETTINGS)(stages, targets, [1, 2])


@pytest.mark.cuda
def test_cuda_equals_the_cpu() -> None:
    """Generators differ between devices, so the means of many draws are compared."""
    criterion = Criterion(CriterionSettings(num_points=4096))
    stages, targets = random_stages(2), random_targets([2, 3], CLASSES, 24, 32)
    draws: dict[str, Tensor] = {}
    for device in ("cpu", "cuda"):
        moved = [StageLogits(stage.class_logits.to(device), stage.mask_logits.to(device)) for stage in stages]
        own = [target.to(device) for target in targets]
        losses = [criterion(moved, own, [2 * draw, 2 * draw + 1]) for draw in range(20)]
        draws[device] = torch.stack([torch.stack([loss.cpu() for loss in each.values()]) for each in losses])
    difference = (draws["cpu"].mean(0) - draws["cuda"].mean(0)).abs()
    error = (draws["cpu"].var(0) / 20 + draws["cuda"].var(0) / 20).sqrt()
    assert (difference <= 4 * error + 1e-5).all()

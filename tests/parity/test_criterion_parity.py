"""The criterion against stored numbers of the original: that it passes on them, and that it would notice."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streamseg.fcclip.criterion import Criterion, CriterionSettings, StageLogits
from streamseg.fcclip.targets import Targets
from streamseg.parity import criterion_parity
from streamseg.parity.checks import Check
from streamseg.parity.criterion_cases import CriterionCase
from streamseg.parity.criterion_parity import run_criterion_parity
from streamseg.parity.model_parity import find_cases, main
from tests.fcclip.loops import random_targets

Facts = dict[str, Any]
DRAWS = 60


@pytest.fixture(scope="session")
def originals(shared_dir: Path) -> Path:
    folder = shared_dir / "reference" / "criterion"
    if not folder.is_dir():
        pytest.skip("needs the stored numbers in ../shared/reference/criterion")
    return folder


# --- against the original


@pytest.mark.parametrize("name", ["criterion_A.json", "criterion_B.npz", "criterion_C"])
def test_the_criterion_equals_the_original(originals: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(originals / name)]) == 0
    out = capsys.readouterr().out
    assert out.endswith("1 of 1 cases passed\n")
    for row in ("matching[0]", "loss_ce", "loss_mask", "loss_dice", "grad_logits", "grad_masks correlation"):
        assert f"  {row} " in out
    assert ("ambiguous" in out) == ("_B" in name)


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["criterion_A", "criterion_B", "criterion_C"])
def test_the_criterion_on_cuda_equals_the_original(originals: Path, name: str) -> None:
    assert main([str(originals / name), "--device", "cuda"]) == 0


@pytest.mark.parametrize(
    ("settings", "noticed_by"),
    [
        (CriterionSettings(importance_ratio=0.0), {"loss_mask", "loss_dice", "grad_masks correlation"}),
        (CriterionSettings(oversample_ratio=2.0), {"loss_mask", "loss_dice"}),
        (CriterionSettings(no_object_weight=0.2), {"loss_ce", "grad_logits"}),
        (CriterionSettings(mask_weight=2.0), {"grad_masks correlation"}),
    ],
    ids=["importance", "oversampling", "no-object", "mask weight"],
)
def test_another_criterion_is_noticed(
    originals: Path, settings: CriterionSettings, noticed_by: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(criterion_parity, "Criterion", lambda: Criterion(settings))
    assert noticed_by <= failed(checks_of(originals / "criterion_A"))


# --- cases of our own: other shapes, stages, counts, and what could be wrong in them


def checks_of(path: Path) -> list[Check]:
    [case] = find_cases([path])
    assert isinstance(case, CriterionCase)
    return run_criterion_parity(case, draws=DRAWS)


def failed(checks: Sequence[Check]) -> set[str]:
    return {check.name for check in checks if not check.passed}


def predictions(
    stages: int, images: int, queries: int, classes: int, size: tuple[int, int], seed: int
) -> list[StageLogits]:
    generator = torch.Generator().manual_seed(seed)
    return [
        StageLogits(
            torch.randn(images, queries, classes + 1, generator=generator),
            torch.randn(images, queries, *size, generator=generator),
        )
        for _ in range(stages)
    ]


def make_twins(last: StageLogits, targets: Targets) -> None:
    """Queries 0 and 1 err to the left and to the right of target 0, by as much: points decide which one is matched."""
    targets.masks[:] = False
    targets.masks[0, 5:14, 6:15] = True
    last.class_logits[0, :2] = 4.0 * torch.eye(last.class_logits.shape[2])[targets.labels[0]]
    last.class_logits[0, 1, -1] += 0.05
    last.mask_logits[0, :2] = -3.0
    last.mask_logits[0, 0, 2:6, 2:7] = 3.0
    last.mask_logits[0, 1, 2:6, 5:10] = 3.0


def store_case(
    path: Path,
    counts: Sequence[int],
    *,
    stages: int = 2,
    queries: int = 6,
    classes: int = 3,
    size: tuple[int, int] = (8, 12),
    target_size: tuple[int, int] = (19, 21),
    twins: bool = False,
) -> Path:
    """Write what the original would store, from draws with other seeds.

    twins: see `make_twins`.
    """
    criterion, images = Criterion(), len(counts)
    outputs = predictions(stages, images, queries, classes, size, seed=sum(counts))
    targets = random_targets(counts, classes, *target_size)
    if twins:
        make_twins(outputs[-1], targets[0])
    leaves = (outputs[-1].class_logits.requires_grad_(), outputs[-1].mask_logits.requires_grad_())
    losses: dict[str, list[float]] = defaultdict(list)
    matchings: dict[str, list[Any]] = {str(stage): [] for stage in range(stages)}
    for draw in range(DRAWS):
        seeds = [10**6 + draw * images + image for image in range(images)]
        found = criterion(outputs, targets, seeds)
        for name, loss in found.items():
            losses[name].append(loss.item())
        criterion.total({name: loss for name, loss in found.items() if name.count("_") == 1}).backward()
        matching = criterion.match(outputs, targets, seeds)
        for stage in range(stages if draw < 20 else 0):
            columns = (matching.queries[stage], matching.targets[stage])
            per_image = [[column[matching.images == image].tolist() for column in columns] for image in range(images)]
            if per_image not in matchings[str(stage)]:
                matchings[str(stage)].append(per_image)
    facts = {
        "num_classes": classes,
        "layers": stages,
        "target_size": list(target_size),
        "target_counts": list(counts),
        "draws": DRAWS,
        "losses": {name: {"mean": np.mean(values), "std": np.std(values)} for name, values in losses.items()},
        "matching": matchings,
    }
    tensors = {"grad_logits": leaves[0].grad / DRAWS, "grad_masks": leaves[1].grad / DRAWS}
    for stage, output in enumerate(outputs):
        tensors[f"pred_logits_{stage}"] = output.class_logits.detach()
        tensors[f"pred_masks_{stage}"] = output.mask_logits.detach()
    for image, target in enumerate(targets):
        tensors[f"labels_{image}"] = target.labels
        tensors[f"masks_{image}"] = np.packbits(target.masks.numpy().ravel())
    np.savez(path.with_suffix(".npz"), **tensors)
    path.with_suffix(".json").write_text(json.dumps(facts))
    return path


@pytest.mark.parametrize(
    ("counts", "shape"),
    [
        ([2, 0, 1], {"stages": 3}),
        ([1], {"stages": 1, "queries": 1, "classes": 1, "size": (1, 1), "target_size": (1, 1)}),
        ([0, 0], {}),
        ([5, 1], {"queries": 3, "classes": 9, "size": (5, 3), "target_size": (40, 24)}),
        ([2, 2], {"twins": True}),
        ([2], {"twins": True, "stages": 1}),
    ],
    ids=["an image without targets", "one of everything", "no targets", "few queries", "ambiguous", "only ambiguous"],
)
def test_any_shape(tmp_path: Path, counts: list[int], shape: Facts) -> None:
    checks = checks_of(store_case(tmp_path / "case", counts, **shape))
    assert failed(checks) == set()
    stages = shape.get("stages", 2)
    assert len(checks) >= 4 * stages + 2
    if shape.get("twins"):
        assert any("mixed" in check.name for check in checks)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read-only."""
    return store_case(tmp_path_factory.mktemp("cases") / "case", [2, 0, 1])


@pytest.fixture
def case(stored: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    for suffix in (".npz", ".json"):
        (tmp_path / f"case{suffix}").write_bytes(stored.with_suffix(suffix).read_bytes())
    return tmp_path / "case"


Change = Callable[[dict[str, Any], Facts], Any]


def rewrite(case: Path, change: Change) -> None:
    with np.load(case.with_suffix(".npz")) as archive:
        tensors = dict(archive)
    facts = json.loads(case.with_suffix(".json").read_text())
    change(tensors, facts)
    np.savez(case.with_suffix(".npz"), **tensors)
    case.with_suffix(".json").write_text(json.dumps(facts))


def scale(name: str, by: float) -> Change:
    return lambda tensors, _: tensors.update({name: tensors[name] * by})


def shift_loss(name: str, errors: float) -> Change:
    """By so many standard errors of both sides."""

    def change(_: dict[str, Any], facts: Facts) -> None:
        loss = facts["losses"][name]
        loss["mean"] += errors * loss["std"] * (2 / DRAWS) ** 0.5

    return change


def exchange(_: dict[str, Any], facts: Facts) -> None:
    for matching in facts["matching"]["1"]:
        matching[0][0].reverse()


def blur(tensors: dict[str, Any], _: Facts) -> None:
    tensors["grad_masks"] = tensors["grad_masks"] + np.roll(tensors["grad_masks"], 1, axis=-1) / 10


SPOILED: dict[str, tuple[Change, set[str]]] = {
    "matching": (exchange, {"matching[1]"}),
    "class loss": (lambda _, facts: facts["losses"]["loss_ce_0"].update(mean=1.0), {"loss_ce_0"}),
    "mask loss": (shift_loss("loss_mask", 8), {"loss_mask"}),
    "dice loss": (shift_loss("loss_dice_0", -8), {"loss_dice_0"}),
    "class gradient": (scale("grad_logits", 1.001), {"grad_logits"}),
    "mask gradient, longer": (scale("grad_masks", 1.05), {"grad_masks norm"}),
    "mask gradient, turned": (scale("grad_masks", -1), {"grad_masks correlation"}),
    "mask gradient, blurred": (blur, {"grad_masks correlation"}),
    "an unknown loss": (lambda _, facts: facts["losses"].update(loss_ce_7={"mean": 1, "std": 1}), {"loss_ce_7"}),
}


@pytest.mark.parametrize("name", SPOILED)
def test_every_kind_of_number_can_fail(case: Path, name: str) -> None:
    change, noticed_by = SPOILED[name]
    rewrite(case, change)
    assert noticed_by <= failed(checks_of(case)) <= noticed_by | {"grad_masks norm"}


def test_a_failed_comparison_exits_with_one(case: Path, stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(case, scale("grad_logits", 2))
    spoiled = [case.with_suffix(suffix).rename(case.with_name(f"spoiled{suffix}")) for suffix in (".npz", ".json")]
    assert main([str(spoiled[0]), str(stored), "--draws", str(DRAWS)]) == 1
    out = capsys.readouterr().out
    assert out.count("FAIL") == 1
    assert "; failed: grad_logits\n" in out
    assert out.endswith("1 of 2 cases passed; failed: spoiled\n")


def without(key: str) -> Change:
    return lambda tensors, facts: (tensors.pop(key, None), facts.pop(key, None))


def tensor(name: str, change: Callable[[Any], Any]) -> Change:
    return lambda tensors, _: tensors.update({name: change(tensors[name])})


def fact(**values: Any) -> Change:
    return lambda _, facts: facts.update(values)


MISTAKES: dict[str, tuple[Change, str]] = {
    "no matching": (without("matching"), "is no criterion case: matching missing"),
    "no stage 1": (without("pred_masks_1"), "is no criterion case: pred_masks_1 missing"),
    "no gradient": (without("grad_logits"), "is no criterion case: grad_logits missing"),
    "no labels": (without("labels_2"), "is no criterion case: labels_2 missing"),
    "more layers": (fact(layers=3), "pred_logits_2, pred_masks_2 missing"),
    "no layers": (fact(layers=0), "layers is 0, expected a whole number from 1 on"),
    "layers in words": (fact(layers="two"), "layers is 'two'"),
    "half a draw": (fact(draws=0.5), "draws is 0.5"),
    "an empty size": (fact(target_size=[0, 5]), "target_size is 0"),
    "size of three": (fact(target_size=[4, 5, 6]), "too many values"),
    "a negative count": (fact(target_counts=[2, -1, 1]), "target_counts is -1"),
    "fewer images": (fact(target_counts=[2, 0]), "pred_logits_0 has shape (3, 6, 4), expected (2, 6, 4)"),
    "other classes": (fact(num_classes=8), "pred_logits_0 has shape (3, 6, 4), expected (3, 6, 9)"),
    "other target size": (fact(target_size=[30, 30]), "masks_0 is uint8"),
    "losses of numbers": (fact(losses={"loss_ce": 3}), "is no criterion case"),
    "a loss that is not finite": (fact(losses={"loss_ce": {"mean": float("nan"), "std": 0}}), "loss_ce has mean nan"),
    "a matching less": (fact(matching={"0": [[[[0], [0]], [[], []], [[0], [0]]]]}), "matching of layer 1"),
    "a matching of fewer images": (fact(matching={"0": [[[[0], [0]]]]}), "matching of layer 0"),
    "an odd matching": (fact(matching={"0": [[[[0], []], [[], []], [[], []]]]}), "is no criterion case"),
    "labels too high": (tensor("labels_0", lambda labels: labels + 3), "labels_0 is [5, 3], expected 2 from 0 to 2"),
    "fewer labels": (tensor("labels_0", lambda labels: labels[1:]), "labels_0 is"),
    "float masks": (tensor("masks_2", lambda masks: masks.astype(float)), "masks_2 is float64"),
    "integer logits": (tensor("pred_logits_1", lambda logits: logits.astype(int)), "pred_logits_1 is int64"),
    "logits that are not finite": (tensor("pred_masks_0", lambda masks: masks * np.inf), "pred_masks_0 holds values"),
    "a flat gradient": (tensor("grad_masks", lambda masks: masks[0]), "grad_masks is float32 (6, 8, 12)"),
    "a short gradient": (tensor("grad_masks", lambda masks: masks[:2]), "grad_masks has shape (2, 6, 8, 12)"),
    "fewer queries": (tensor("pred_masks_0", lambda masks: masks[:, 1:]), "pred_masks_0 has shape (3, 5, 8, 12)"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_end_in_one_line_and_exit_two(case: Path, mistake: str, capsys: pytest.CaptureFixture[str]) -> None:
    change, message = MISTAKES[mistake]
    rewrite(case, change)
    assert main([str(case)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--draws", "20"], "20 draws are too few, expected 50 or more"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--device", "meta"], "unknown device 'meta'"),
    ],
)
def test_mistaken_options(stored: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(stored), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1

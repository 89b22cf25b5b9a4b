"""The recipe learns: four pictures, and half a minute later the panoptic result is the truth."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamseg.fcclip import spec as specs
from streamseg.fcclip.criterion import CriterionSettings
from streamseg.fcclip.targets import Targets
from streamseg.panoptic import PanopticMap, panoptic_from_queries
from streamseg.segmenter import Segmenter
from streamseg.training.loop import train
from streamseg.training.settings import OptimizerSettings
from tests.training.small_runs import SHAPES, SMALL, PaintedSource, small_settings

Mask = npt.NDArray[np.bool_]


def true_segments(targets: Targets) -> list[tuple[int, Mask]]:
    return list(zip(targets.labels.tolist(), targets.masks.numpy(), strict=True))


def found_segments(panoptic: PanopticMap) -> list[tuple[int, Mask]]:
    return [(segment.category_id, panoptic.ids == segment.id) for segment in panoptic.segments]


def matches(truth: list[tuple[int, Mask]], found: list[tuple[int, Mask]]) -> Iterator[float]:
    """IoU of every pair of one category above a half."""
    for label, mask in truth:
        for other_label, other in found:
            iou = (mask & other).sum() / (mask | other).sum()
            if label == other_label and iou > 0.5:
                yield iou


def panoptic_quality(pairs: list[tuple[list[tuple[int, Mask]], list[tuple[int, Mask]]]]) -> float:
    """All categories in one: sum of IoU over TP + FP / 2 + FN / 2, which is half of all segments."""
    segments = sum(len(truth) + len(found) for truth, found in pairs)
    return float(sum(iou for truth, found in pairs for iou in matches(truth, found)) / (segments / 2))


def test_four_pictures_are_learned_by_heart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A random CLIP has no opinion of its own that should count.
    spec = replace(SMALL, alpha=0.0, beta=0.0)
    monkeypatch.setattr(specs, "MODEL_SPECS", {**specs.MODEL_SPECS, spec.name: spec})
    source = PaintedSource(pictures=4, turns=False)
    scores: list[float] = []

    def score(segmenter: Segmenter, step: int) -> dict[str, float]:
        del step
        batch = source.batch(0, range(4))
        pictures = [image.permute(1, 2, 0).contiguous().numpy() for image in batch.images]
        maps = [panoptic_from_queries(queries) for queries in segmenter.segment(pictures, SHAPES)]
        truth = [true_segments(targets) for targets in batch.targets]
        found = [found_segments(panoptic) for panoptic in maps]
        scores.append(panoptic_quality(list(zip(truth, found, strict=True))))
        return {}

    optimizer = OptimizerSettings(lr=2e-3, clip_norm=1.0, schedule="cosine", warmup_steps=10, warmup_factor=0.1)
    settings = small_settings(
        tmp_path,
        steps=60,
        batch_size=4,
        optimizer=optimizer,
        criterion=CriterionSettings(num_points=512),
        validate_every=60,
    )
    train(settings, source=source, on_validate=score)
    assert scores[-1] > 0.9

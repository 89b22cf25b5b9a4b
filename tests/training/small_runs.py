"""Training runs of a few steps: painted pictures, the demo's architecture in small, everything on the CPU."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from streamseg.fcclip import spec as specs
from streamseg.fcclip.criterion import CriterionSettings
from streamseg.fcclip.targets import Targets
from streamseg.training.data.batches import Batch, Example, collate
from streamseg.training.settings import OptimizerSettings, TrainSettings, WorldData
from streamseg.vocabulary import Vocabulary
from tests.small_models import SMALL_CONVNEXT
from tests.training.annotated_folders import CAR, PERSON, SKY, Scene, write_coco

SMALL = replace(SMALL_CONVNEXT, name="small")
SHAPES = Vocabulary.parse("box:thing; bar:thing; sky:stuff", name="painted")
COLORS = Vocabulary.parse("red box; blue box; red bar; blue bar; sky:stuff", name="painted-colors")
SKY_COLOR = (120, 180, 235)
PAINTS = ((220, 40, 30), (40, 50, 215))


class PaintedSource:
    """Boxes and bars before a sky; two vocabularies take turns. A picture is a function of seed, step and position.

    Args:
        size: side of the pictures.
        pictures: how many there are; None for endless.
        turns: change the vocabulary from batch to batch.
    """

    def __init__(self, size: int = 64, *, pictures: int | None = None, turns: bool = True) -> None:
        self.size = size
        self.pictures = pictures
        self.turns = turns

    @property
    def vocabularies(self) -> Sequence[Vocabulary]:
        return (SHAPES, COLORS) if self.turns else (SHAPES,)

    def batch(self, step: int, positions: Sequence[int]) -> Batch:
        vocabulary = self.vocabularies[step % len(self.vocabularies)]
        return collate([self.example(step, position) for position in positions], vocabulary)

    def example(self, step: int, position: int) -> Example:
        by_color = self.turns and step % 2 == 1
        number = (step, position) if self.pictures is None else (0, position % self.pictures)
        rng = np.random.default_rng((*number, 7))
        image = np.empty((self.size, self.size, 3), np.uint8)
        image[:] = SKY_COLOR
        ids = np.zeros((self.size, self.size), np.int32)
        labels = [4 if by_color else 2]
        half = self.size // 2
        for corner in range(int(rng.integers(1, 4))):
            shape, color = rng.integers(2, size=2)
            height, width = ((half // 2, half // 2), (half // 4, half - 4))[shape]
            top = corner // 2 * half + int(rng.integers(0, half - height))
            left = corner % 2 * half + int(rng.integers(0, half - width))
            image[top : top + height, left : left + width] = PAINTS[color]
            ids[top : top + height, left : left + width] = len(labels)
            labels.append(int(shape * 2 + color if by_color else shape))
        masks = torch.from_numpy(ids == np.arange(len(labels))[:, None, None])
        targets = Targets(torch.tensor(labels), masks)
        return Example(torch.from_numpy(image).permute(2, 0, 1).contiguous(), targets, f"painted {step}-{position}")


def use_small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """`model="small"` names the demo's architecture with a tiny mask generator."""
    monkeypatch.setattr(specs, "MODEL_SPECS", {**specs.MODEL_SPECS, SMALL.name: SMALL})


def small_settings(output: Path, **changes: Any) -> TrainSettings:
    """Six steps of two pictures; needs `use_small_model`."""
    settings = TrainSettings(
        data=WorldData(),
        model=SMALL.name,
        clip="random",
        output=str(output),
        steps=6,
        batch_size=2,
        optimizer=OptimizerSettings(lr=1e-3, clip_norm=1.0, milestones=(4,)),
        criterion=CriterionSettings(num_points=128),
        device="cpu",
        prefetch=0,
        log_every=1,
        save_every=100,
        validate_every=0,
        pictures=0,
        tensorboard=False,
    )
    return replace(settings, **changes)


def metrics(output: Path | str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (Path(output) / "metrics.jsonl").read_text().splitlines()]


def losses(output: Path | str) -> dict[int, dict[str, float]]:
    """By step: what must not depend on how a run was cut into pieces."""
    timing = ("images_per_second", "step")
    return {
        int(line["step"]): {name: value for name, value in line.items() if name not in timing}
        for line in metrics(output)
    }


def write_config(folder: Path, **changes: Any) -> Path:
    """A YAML file for the real command: the demo on two annotated pictures, which are written beside it."""
    data = write_coco(folder / "data", [Scene(seed=0), Scene((60, 50), seed=1)])
    vocabulary = folder / "words.yaml"
    words = [{"names": ["person"], "isthing": True, "id": PERSON}, {"names": ["car"], "isthing": True, "id": CAR}]
    words.append({"names": ["sky"], "isthing": False, "id": SKY})
    vocabulary.write_text(yaml.safe_dump({"categories": words}))
    values: dict[str, Any] = {
        "model": "demo",
        "clip": "random",
        "data": {
            "kind": "coco",
            **{name: str(path) for name, path in data.items()},
            "vocabulary": str(vocabulary),
            "jitter": {"size": 64, "scale": [0.5, 1.5]},
        },
        "output": str(folder / "run"),
        "steps": 4,
        "batch_size": 2,
        "criterion": {"num_points": 128},
        "optimizer": {"milestones": [3]},
        "device": "cpu",
        "threads": 1,
        "log_every": 1,
        "save_every": 100,
        "validate_every": 0,
        "tensorboard": False,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**values, **changes}))
    return path

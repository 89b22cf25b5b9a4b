"""Everything that decides a contrastive run; `configs/train_demo_clip.yaml` is the one behind the shipped model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...errors import ConfigError
from ...fcclip.spec import get_spec
from ...parsing import apply_overrides, from_mapping, read_yaml

__all__ = ["ClipSettings", "Phase", "read_clip_settings"]


@dataclass(frozen=True, slots=True)
class Phase:
    """Part of a run: small crops first are most of the learning for little of the time.

    Attributes:
        size: of the crops in pixels, a multiple of 32.
        steps: optimizer steps.
        in_turn_with: further sizes; batches go round all of them, so that things are known at more than one size.
    """

    size: int
    steps: int
    in_turn_with: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for size in self.sizes:
            if size < 32 or size % 32:
                raise ConfigError(f"setting phases.size is {size}, expected a multiple of 32, the CLIP's last stride")
        if self.steps < 1:
            raise ConfigError(f"setting phases.steps is {self.steps}, expected at least 1")

    @property
    def sizes(self) -> tuple[int, ...]:
        """All of them, in the order of their turns."""
        return (self.size, *self.in_turn_with)


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """A contrastive run.

    Attributes:
        phases: sizes of crops, one after the other, under one learning rate schedule.
        model: whose CLIP; its architecture is in the model's spec.
        seed: of weights, crops and augmentation. Validation uses another one, derived from it.
        batch_size: crops per step.
        learning_rate: at the top, after a linear warm-up; a cosine takes it to `final_learning_rate`.
        warmup_steps: steps of the warm-up.
        weight_decay: of matrices and convolutions; not of norms, biases, embeddings and the temperature.
        gradient_clip: largest norm of the gradient.
        mosaic: crops are shown to the trunk in squares of this many by this many (`mosaic.py`); 1 for each alone.
        layer_scale: ConvNeXt's LayerScale at the start. Published 1e-6 is for very deep trunks and long runs.
        word_weight: of the loss that tells a caption's words from the picture, beside the contrastive one.
        precision: of the forward pass; weights stay float32.
        render_processes: processes that render crops ahead of the steps; 0 renders between them.
        log_every, validate_every, checkpoint_every: in steps.
        validation_crops: crops that validation looks at.
    """

    phases: tuple[Phase, ...]
    model: str = "demo"
    seed: int = 1
    batch_size: int = 224
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    warmup_steps: int = 200
    weight_decay: float = 0.05
    gradient_clip: float = 1.0
    mosaic: int = 4
    layer_scale: float = 0.3
    word_weight: float = 1.0
    precision: Literal["fp32", "bf16"] = "bf16"
    render_processes: int = 1
    log_every: int = 20
    validate_every: int = 500
    checkpoint_every: int = 250
    validation_crops: int = 2000

    def __post_init__(self) -> None:
        get_spec(self.model)
        for name in ("batch_size", "mosaic", "log_every", "validate_every", "checkpoint_every", "validation_crops"):
            self._require(name, 1)
        for name in ("seed", "warmup_steps", "weight_decay", "final_learning_rate", "word_weight", "render_processes"):
            self._require(name, 0)
        if self.batch_size % self.mosaic**2:
            raise ConfigError(
                f"setting batch_size is {self.batch_size}, expected a multiple of {self.mosaic**2}, "
                f"for mosaics of {self.mosaic} by {self.mosaic}"
            )
        if not self.phases:
            raise ConfigError("setting phases is empty, expected at least one such as {size: 64, steps: 1000}")

    @property
    def total_steps(self) -> int:
        """Steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> Phase:
        """The phase of a step, counted from 0; the last one from its end on."""
        for phase in self.phases:
            if step < phase.steps:
                return phase
            step -= phase.steps
        return self.phases[-1]

    def size_at(self, step: int) -> int:
        """Side of the crops of a step."""
        sizes = self.phase_at(step).sizes
        return sizes[step % len(sizes)]

    def _require(self, name: str, minimum: int) -> None:
        value = getattr(self, name)
        if value < minimum:
            raise ConfigError(f"setting {name} is {value}, expected at least {minimum}")


def read_clip_settings(path: Path | str, overrides: tuple[str, ...] = ()) -> ClipSettings:
    """From a YAML file, with `key=value` texts applied; ConfigError for whatever does not belong there."""
    return from_mapping(ClipSettings, apply_overrides(read_yaml(path), overrides))

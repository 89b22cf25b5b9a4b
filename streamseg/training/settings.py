"""What a training run can be told. The defaults are the published recipe (arXiv 2308.02487, section 4.1).

A config file is YAML with these names; sections are nested. Every field has its one home here, with its default and its
meaning, and unknown names are refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..fcclip.criterion import CriterionSettings
from ..fcclip.spec import DEFAULT_MODEL, get_spec
from ..parsing import apply_overrides, flatten, from_mapping, read_yaml, require, to_plain
from .data.folder_source import BadData
from .data.jitter import LargeScaleJitter

__all__ = [
    "CocoData",
    "DataSettings",
    "OptimizerSettings",
    "Precision",
    "TrainSettings",
    "VipsegData",
    "WorldData",
    "differences",
    "load_settings",
]

RANDOM_CLIP = "random"

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoData:
    """COCO panoptic as it is downloaded, or anything in its form.

    Attributes:
        images: folder with the pictures (train2017).
        annotations: the panoptic JSON (panoptic_train2017.json).
        masks: folder with the panoptic PNGs (panoptic_train2017).
        vocabulary: what the category ids mean, by name or file; null for COCO's own with the published synonyms.
        jitter: large-scale jitter: side of the crop, range of scales, how often flipped.
        bad_data: "refuse" ends the run with the first bad entry, "skip" takes another one in its place.
    """

    kind: Literal["coco"] = "coco"
    images: str
    annotations: str
    masks: str
    vocabulary: str | None = None
    jitter: LargeScaleJitter = field(default_factory=LargeScaleJitter)
    bad_data: BadData = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class VipsegData:
    """VIPSeg, frame by frame.

    Attributes:
        images, masks: folders with one folder for each video.
        annotations: the panoptic JSON of the split.
        vocabulary: what the category ids mean, by name or file; null for the categories that the JSON lists.
        frame_suffix: what the frames' file names end in.
        jitter, bad_data: as of `CocoData`.
    """

    kind: Literal["vipseg"] = "vipseg"
    images: str
    annotations: str
    masks: str
    vocabulary: str | None = None
    frame_suffix: str = ".jpg"
    jitter: LargeScaleJitter = field(default_factory=LargeScaleJitter)
    bad_data: BadData = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldData:
    """Procedurally rendered scenes: endless, and nothing to download.

    Attributes:
        sizes_hw: heights and widths in pixels, multiples of 32, one of which each batch has.
        height_pixels: pixels in which a scene of height 1 is seen at scale 1; what inference will use.
        scale: smallest and largest of the scale jitter.
        difficulty: smallest and largest, one for each picture.
        render_on: "cpu", or "device": where the model is, which pays on a GPU.
        color_share: share of the batches that are labelled with colour and shape, not with the shape alone.
    """

    kind: Literal["world"] = "world"
    sizes_hw: tuple[tuple[int, int], ...] = ((256, 448),)
    height_pixels: int = 256
    scale: tuple[float, float] = (0.7, 1.4)
    difficulty: tuple[float, float] = (0.0, 0.8)
    color_share: float = 0.5
    render_on: Literal["cpu", "device"] = "cpu"


DataSettings = CocoData | VipsegData | WorldData


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSettings:
    """AdamW, clipping and the learning rate over time.

    Attributes:
        lr: of the mask generator; CLIP is frozen.
        weight_decay: of weights and biases.
        weight_decay_norm, weight_decay_embed: of norms, and of embedding tables (queries, levels, void).
        clip_norm: the L2 norm of all gradients together is scaled down to this.
        schedule: "step" multiplies by `gamma` at each milestone, "cosine" falls to `final_factor` at the last step.
        milestones: steps, for "step".
        gamma: for "step".
        final_factor: of `lr`, for "cosine".
        warmup_steps: the rate rises linearly from `warmup_factor` times its value.
        warmup_factor: 1 means no warm-up, as published.
    """

    lr: float = 1e-4
    weight_decay: float = 0.05
    weight_decay_norm: float = 0.0
    weight_decay_embed: float = 0.0
    clip_norm: float = 0.01
    schedule: Literal["step", "cosine"] = "step"
    milestones: tuple[int, ...] = (327_778, 355_092)
    gamma: float = 0.1
    final_factor: float = 0.0
    warmup_steps: int = 10
    warmup_factor: float = 1.0

    def __post_init__(self) -> None:
        for name in ("lr", "clip_norm", "gamma"):
            require(getattr(self, name) > 0, f"optimizer.{name}", getattr(self, name), "a positive number")
        for name in ("weight_decay", "weight_decay_norm", "weight_decay_embed", "warmup_steps"):
            require(getattr(self, name) >= 0, f"optimizer.{name}", getattr(self, name), "0 or more")
        for name in ("final_factor", "warmup_factor"):
            require(0 <= getattr(self, name) <= 1, f"optimizer.{name}", getattr(self, name), "a number from 0 to 1")
        ascending = list(self.milestones) == sorted(set(self.milestones)) and all(step > 0 for step in self.milestones)
        require(ascending, "optimizer.milestones", list(self.milestones), "steps in ascending order")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """A whole run.

    Attributes:
        data: what it learns from.
        model: one of `streamseg models`.
        clip: file with CLIP's weights; null fetches open_clip's published ones; "random" is for trying the machinery.
        init: file with a mask generator to start from; null draws it at random, as published.
        temperature: of the trained classifier at the start, which learns its own; less where runs are short and texts
            alike. Published 0.07.
        output: folder for checkpoints, weights, metrics and pictures.
        seed: every random choice follows from it.
        steps: optimizer steps in all.
        batch_size: pictures per step, over all workers.
        optimizer, criterion: see there.
        precision: "auto" (bf16 on GPUs that have it, else fp16; fp32 on CPUs), "fp32", "bf16", "fp16" (published).
        pixel_decoder_fp32: keep the pixel decoder out of the reduced precision, as published.
        channels_last: convolutions in the layout that GPUs and oneDNN prefer.
        ema_decay: of a running mean of the weights, which is then what is validated and handed out; 0 for none.
        device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1", ...
        threads: CPU threads of each worker; null leaves that to torch.
        prefetch: batches made ahead by a background thread; 0 makes them when they are needed.
        log_every: steps per line of metrics.
        save_every: steps between checkpoints; one more comes at the end, and on Ctrl-C.
        keep: checkpoints that stay; older ones are removed.
        validate_every: steps between validations; 0 for none.
        pictures: examples rendered at each validation.
        tensorboard: write TensorBoard's files too.
        max_overflows: fp16 steps in a row that may be skipped because their gradients overflow.
    """

    data: DataSettings
    model: str = DEFAULT_MODEL
    clip: str | None = None
    init: str | None = None
    temperature: float = 0.07
    output: str = "runs/train"
    seed: int = 0
    steps: int = 368_750
    batch_size: int = 16
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    criterion: CriterionSettings = field(default_factory=CriterionSettings)
    precision: Precision = "auto"
    pixel_decoder_fp32: bool = True
    channels_last: bool = False
    ema_decay: float = 0.0
    device: str = "auto"
    threads: int | None = None
    prefetch: int = 2
    log_every: int = 20
    save_every: int = 5000
    keep: int = 3
    validate_every: int = 5000
    pictures: int = 4
    tensorboard: bool = True
    max_overflows: int = 20

    def __post_init__(self) -> None:
        get_spec(self.model)
        for name in ("steps", "batch_size", "log_every", "save_every", "keep"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "a whole number of at least 1")
        for name in ("seed", "prefetch", "validate_every", "pictures", "max_overflows"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(self.threads is None or self.threads >= 1, "threads", self.threads, "at least 1, or null")
        require(0.01 <= self.temperature <= 1, "temperature", self.temperature, "a number from 0.01 to 1")
        require(0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "a number from 0 to below 1")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a config file holds them."""
        return to_plain(self)


# What a resumed run may do otherwise than the run it continues: none of it changes a number that is learned, within the
# last bits that another device rounds differently.
CHANGEABLE = frozenset(
    {
        *("clip", "init", "output", "device", "threads", "prefetch", "log_every", "save_every", "keep"),
        *("validate_every", "pictures", "tensorboard", "max_overflows"),
        *("data.images", "data.annotations", "data.masks"),
    }
)


def load_settings(path: Path | str, overrides: Sequence[str] = ()) -> TrainSettings:
    """The settings of a YAML file, with `key=value` texts applied over it.

    Raises:
        ConfigError: the file cannot be read; a key is unknown; a value has the wrong type or is out of range.
    """
    values = apply_overrides(read_yaml(path), overrides)
    return from_mapping(TrainSettings, values)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Settings that forbid to go on with a run: dotted key -> (value then, value now).

    Args:
        before, after: of `TrainSettings.to_dict`. With the "step" schedule a run may get longer or shorter, too: no
            earlier step depends on the number of steps.
    """
    old, new = flatten(before), flatten(after)
    free = CHANGEABLE | ({"steps"} if old.get("optimizer.schedule") == "step" else frozenset())
    return {key: (old.get(key), new.get(key)) for key in sorted({*old, *new} - free) if old.get(key) != new.get(key)}

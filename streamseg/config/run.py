"""A whole run: what goes in, what is asked for, and where it goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..parsing import apply_overrides, from_mapping, read_yaml, require
from .cluster import RaySettings
from .sinks import JsonlSettings, RotationSettings, SinkSettings
from .sources import DecodeSettings, LiveSettings, SelectionSettings, SourceSettings
from .tracking import TrackingSettings

__all__ = ["BatchSettings", "ModelSettings", "PanopticSettings", "RunSettings", "VocabularySettings", "read_settings"]


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The segmenter.

    Attributes:
        name: one of `streamseg models`; null for the default.
        weights: file; null takes what is shipped, cached or published.
        clip: file with CLIP's weights, for weights without them.
        device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1", ...
        precision: "auto" (bf16 on GPUs that have it, else fp32), "fp32", "bf16" or "fp16".
        short_side, max_long_side: size in pixels at which the model sees a frame; null for the model's own.
        compile: one graph per input size; the first frame then takes a minute or two.
        channels_last: convolutions in the layout that GPUs and oneDNN prefer.
    """

    name: str | None = None
    weights: str | None = None
    clip: str | None = None
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    short_side: int | None = None
    max_long_side: int | None = None
    compile: bool = False
    channels_last: bool = False

    def __post_init__(self) -> None:
        for name in ("short_side", "max_long_side"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"model.{name}", value, "pixels, or null")


@dataclass(frozen=True, slots=True)
class VocabularySettings:
    """What to look for; streams may have words of their own (`sources`).

    Attributes:
        classes: words in the short form, "car, automobile; person; sky:stuff".
        vocabulary: a built-in one, a union such as coco+lvis, or a file. Without both: the model's own.
        background: "auto" adds the words that the model was trained on as background to a few words of one's own,
            "none" adds nothing.
    """

    classes: str | None = None
    vocabulary: str | None = None
    background: Literal["auto", "none"] = "auto"

    def __post_init__(self) -> None:
        both = self.classes is not None and self.vocabulary is not None
        require(not both, "vocabulary.classes", self.classes, "either classes or a vocabulary: leave one out")


@dataclass(frozen=True, slots=True)
class PanopticSettings:
    """From tracked queries to one map.

    Attributes:
        score_threshold: queries that score less stay out (published: 0).
        overlap_threshold: a query stays out if others take more than the rest of its mask (published: 0.8).
        output_size: height and width of maps and masks; null for the frame's own.
    """

    score_threshold: float = 0.0
    overlap_threshold: float = 0.8
    output_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name in ("score_threshold", "overlap_threshold"):
            require(0 <= getattr(self, name) <= 1, f"panoptic.{name}", getattr(self, name), "a number from 0 to 1")
        size = self.output_size
        require(size is None or min(size) >= 1, "panoptic.output_size", size, "[height, width] in pixels, or null")


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How frames share a forward pass.

    Attributes:
        max_batch: most frames at once; null for 1 on a CPU, where records are then equal byte for byte, and 8 on a GPU.
        max_wait_seconds: how long a live frame waits for others to join it.
        queue: frames that wait in front of, and results behind, the model, for each stream.
    """

    max_batch: int | None = None
    max_wait_seconds: float = 0.01
    queue: int = 4

    def __post_init__(self) -> None:
        require(self.max_batch is None or self.max_batch >= 1, "batch.max_batch", self.max_batch, "at least 1, or null")
        require(0 <= self.max_wait_seconds <= 10, "batch.max_wait_seconds", self.max_wait_seconds, "0 to 10 seconds")
        require(self.queue >= 1, "batch.queue", self.queue, "at least 1")


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything about a run.

    Attributes:
        sources: streams; a text alone stands for its url.
        model, vocabulary, selection, decode, live, tracking, panoptic, batch: see there.
        sinks: where results go, any number; a text alone stands for its kind.
        rotation: of what sinks write, for runs without end.
        output: the run's folder; null writes no files.
        runtime: "local" is this process; "ray" spreads streams over processes, machines and GPUs.
        ray: see there.
        torch_threads: CPU threads of the model, under Ray of each worker's; null for one for each core.
        commit_seconds: how often a recording's place is noted; what a killed run has to compute again.
        max_failures: frames in a row that may fail before their stream is given up.
    """

    sources: tuple[SourceSettings, ...] = ()
    model: ModelSettings = field(default_factory=ModelSettings)
    vocabulary: VocabularySettings = field(default_factory=VocabularySettings)
    selection: SelectionSettings = field(default_factory=SelectionSettings)
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    live: LiveSettings = field(default_factory=LiveSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    panoptic: PanopticSettings = field(default_factory=PanopticSettings)
    batch: BatchSettings = field(default_factory=BatchSettings)
    sinks: tuple[SinkSettings, ...] = (JsonlSettings(),)
    rotation: RotationSettings = field(default_factory=RotationSettings)
    output: str | None = None
    runtime: Literal["local", "ray"] = "local"
    ray: RaySettings = field(default_factory=RaySettings)
    torch_threads: int | None = None
    commit_seconds: float = 2.0
    max_failures: int = 10

    def __post_init__(self) -> None:
        require(
            self.torch_threads is None or self.torch_threads >= 1, "torch_threads", self.torch_threads, "at least 1"
        )
        require(self.commit_seconds >= 0, "commit_seconds", self.commit_seconds, "0 or more")
        require(self.max_failures >= 1, "max_failures", self.max_failures, "at least 1")
        require(self.output is None or self.output.strip() != "", "output", self.output, "a folder, or null")
        kinds = [sink.kind for sink in self.sinks]
        twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
        require(twice is None, "sinks", twice, "each kind at most once")
        self._require_records(kinds)

    @property
    def file_sinks(self) -> list[str]:
        """Kinds of sinks that need the run's folder."""
        return [sink.kind for sink in self.sinks if sink.kind != "stdout"]

    def _require_records(self, kinds: Sequence[str]) -> None:
        """Documents are compiled from the records, at the very end: better to know now that there will be none."""
        document = next((kind for kind in kinds if kind in ("vps", "mots", "ytvis")), None)
        records = next((sink for sink in self.sinks if isinstance(sink, JsonlSettings)), None)
        enough = records is not None and (records.masks or "png" in kinds)
        expected = f"the jsonl sink with masks, or jsonl and png, beside it: --save jsonl,{document}"
        require(document is None or enough, "sinks", document, expected)


def read_settings(
    path: Path | str | None = None, overrides: Sequence[str] = (), given: Mapping[str, Any] | None = None
) -> RunSettings:
    """Settings from a YAML file, `given` values over it, and `key=value` texts over both.

    Raises:
        ConfigError: the file cannot be read; a key is unknown; a value has the wrong type or is out of range.
    """
    values = merged(read_yaml(path) if path is not None else {}, given or {})
    return from_mapping(RunSettings, apply_overrides(values, overrides))


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings, those of `over` counting where both have a value."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        result[key] = merged(below, value) if both and isinstance(below, Mapping) else value
    return result

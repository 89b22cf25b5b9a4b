"""What things cost, each number with its unit, its basis and its source.

`streamseg/data/stage_costs.json` is their one home. `python -m pipelines.benchmark pipeline|throughput --output NAME`
measures some of them on a machine; its NAME.json over the packaged ones gives a plan for that machine.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..errors import ConfigError

__all__ = ["BASES", "Cost", "Costs", "Gpu", "PassTime", "load_costs"]

BASES = ("measured", "counted", "published", "assumed")


@dataclass(frozen=True, slots=True)
class Cost:
    """One number.

    Attributes:
        value: in `unit`.
        basis: "measured" by a script of this project, "counted" (arithmetic of a model), "published" by others, or
            "assumed" where nobody has measured it yet.
        source: which script, which publication, or why this is a fair guess.
    """

    value: float
    unit: str
    basis: str
    source: str


@dataclass(frozen=True, slots=True)
class Gpu:
    """A kind of GPU, from its maker's data sheet.

    Attributes:
        peak_flops: dense, of its fastest type that the segmenter uses, in FLOP/s.
        memory_gb: on the device.
        decoders: NVDEC engines.
    """

    peak_flops: float
    memory_gb: float
    decoders: int


@dataclass(frozen=True, slots=True)
class PassTime:
    """Seconds that the device takes for one batch of b frames: fixed + b * frame."""

    fixed_seconds: float
    frame_seconds: float
    basis: str = "assumed"

    def of(self, batch: float) -> float:
        return self.fixed_seconds + batch * self.frame_seconds


@dataclass(frozen=True, slots=True)
class Costs:
    """All of them.

    Attributes:
        stages: by name.
        gpus: by kind.
        flops: FLOP of one megapixel of padded network input, by model.
        cpu_seconds: seconds of one megapixel on the CPU that was measured, by model.
        passes: measured on a device, by (model, device); they count instead of what is computed from `flops`.
    """

    stages: Mapping[str, Cost]
    gpus: Mapping[str, Gpu]
    flops: Mapping[str, Cost]
    cpu_seconds: Mapping[str, Cost]
    passes: Mapping[tuple[str, str], PassTime]

    def __getitem__(self, name: str) -> float:
        return self.stages[name].value

    def gpu(self, kind: str) -> Gpu:
        if kind not in self.gpus:
            raise ConfigError(f"unknown GPU {kind!r}, expected cpu or one of {', '.join(self.gpus)}")
        return self.gpus[kind]


def load_costs(path: Path | str | None = None) -> Costs:
    """The packaged costs, with those of a file over them.

    Args:
        path: JSON, of the packaged file's form (any part of it), or a report of `pipelines.benchmark`.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    costs = _from_document(json.loads((files("streamseg") / "data" / "stage_costs.json").read_text(encoding="utf-8")))
    if path is None:
        return costs
    document = _read(Path(path))
    if "pipeline" in document or "throughput" in document:
        return _with_benchmark(costs, document, str(path))
    if not document.keys() <= {"stages", "gpus", "flops", "cpu_seconds"} or not document:
        raise ConfigError(
            f"{path} holds {', '.join(document) or 'nothing'}, expected a report of `python -m pipelines.benchmark "
            "pipeline` or `throughput`, or stages, gpus, flops, cpu_seconds as in streamseg/data/stage_costs.json"
        )
    try:
        given = _from_document(document)
    except (TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: {error}; expected the form of streamseg/data/stage_costs.json") from None
    return Costs(
        {**costs.stages, **given.stages},
        {**costs.gpus, **given.gpus},
        {**costs.flops, **given.flops},
        {**costs.cpu_seconds, **given.cpu_seconds},
        costs.passes,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read costs {path}: {error.strerror}; check the path") from None
    except ValueError:
        raise ConfigError(f"{path} is no JSON, expected a report of `python -m pipelines.benchmark`") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path} holds a {type(document).__name__}, expected a report of pipelines.benchmark")
    return document


def _from_document(document: Mapping[str, Any]) -> Costs:
    def costs(name: str) -> dict[str, Cost]:
        return {key: Cost(**value) for key, value in document.get(name, {}).items()}

    gpus = {kind: Gpu(**facts) for kind, facts in document.get("gpus", {}).items()}
    return Costs(costs("stages"), gpus, costs("flops"), costs("cpu_seconds"), {})


def _with_benchmark(costs: Costs, document: Mapping[str, Any], name: str) -> Costs:
    try:
        stages = dict(costs.stages)
        for row in document.get("pipeline", []):
            megapixels = row["size_hw"][0] * row["size_hw"][1] / 1e6
            for stage, milliseconds in row["stages"].items():
                key = MEASURED_STAGES.get(stage)
                if key is not None:
                    stages[key] = replace(stages[key], value=milliseconds / megapixels, basis="measured", source=name)
        passes = _passes(document.get("throughput", []))
    except (KeyError, TypeError, IndexError) as error:
        raise ConfigError(f"{name} lacks {error}, expected a report of this version's pipelines.benchmark") from None
    return replace(costs, stages=stages, passes={**costs.passes, **passes})


MEASURED_STAGES = {
    "decode": "decode_h264_ms_per_megapixel",
    "associate": "associate_ms_per_megapixel",
    "fuse": "fuse_ms_per_megapixel",
    "record": "record_ms_per_megapixel",
    "sink jsonl": "jsonl_ms_per_megapixel",
}


def _passes(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], PassTime]:
    """A line through the times of all batches of the fastest variant, by model and device."""
    groups: dict[tuple[str, str], dict[tuple[Any, ...], list[Mapping[str, Any]]]] = {}
    for row in rows:
        variant = (row["precision"], row["compiled"], tuple(row["size_hw"]))
        groups.setdefault((row["model"], row["device"]), {}).setdefault(variant, []).append(row)
    found = {}
    for key, variants in groups.items():
        best = max(variants.values(), key=lambda rows: max(row["frame_fps"] * _megapixels(row) for row in rows))
        found[key] = _line(best)
    return found


def _line(rows: Sequence[Mapping[str, Any]]) -> PassTime:
    """Least squares of seconds over megapixels; seconds of a megapixel are what `frame_seconds` then means."""
    sizes = [row["batch"] * _megapixels(row) for row in rows]
    seconds = [row["batch"] / row["frame_fps"] for row in rows]
    mean_size, mean_seconds = sum(sizes) / len(sizes), sum(seconds) / len(seconds)
    spread = sum((size - mean_size) ** 2 for size in sizes)
    if not spread:
        return PassTime(0.0, mean_seconds / mean_size, "measured")
    slope = sum((size - mean_size) * (second - mean_seconds) for size, second in zip(sizes, seconds, strict=True))
    slope = slope / spread
    if slope <= 0 or mean_seconds < slope * mean_size:  # noise: then everything belongs to the frames
        return PassTime(0.0, mean_seconds / mean_size, "measured")
    return PassTime(mean_seconds - slope * mean_size, slope, "measured")


def _megapixels(row: Mapping[str, Any]) -> float:
    return float(row["size_hw"][0] * row["size_hw"][1] / 1e6)

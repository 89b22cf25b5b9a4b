"""A demand in the costs' terms: what each of its frames takes in each stage, in seconds and bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import ConfigError
from ..fcclip.spec import get_spec
from ..preprocess import padded_size, resized_size
from .costs import Cost, Costs, PassTime
from .demand import Demand

__all__ = ["StageTimes", "stage_times"]


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Of one frame.

    Attributes:
        decode: seconds of a core for a frame that the camera sends; 0 where NVDEC does it.
        decode_engine: seconds of an NVDEC engine; 0 where the CPU does it.
        transport: seconds of a core, both ends together, from decoder to worker.
        resize, follow, emit: seconds of a core: the network's input; association, fusion and record; sinks.
        device: of a batch.
        record_bytes: of a line of JSON.
        input_megapixels: of the network, padding included.
    """

    decode: float
    decode_engine: float
    transport: float
    resize: float
    follow: float
    emit: float
    device: PassTime
    record_bytes: float
    input_megapixels: float


def stage_times(demand: Demand, costs: Costs) -> StageTimes:
    """Raises ConfigError for an unknown model or device, or a model of which nothing is known on that device."""
    spec = get_spec(demand.model)
    resized = resized_size(demand.size_hw, spec.short_side, spec.max_long_side)
    padded = padded_size(resized, spec.size_divisibility)
    input_megapixels = padded[0] * padded[1] / 1e6
    picture = demand.megapixels

    def seconds(name: str, megapixels: float = picture) -> float:
        return costs[f"{name}_ms_per_megapixel"] * megapixels / 1000

    on_cpu = demand.decoder == "cpu"
    return StageTimes(
        decode=seconds(f"decode_{demand.codec}") if on_cpu else 0.0,
        decode_engine=0.0 if on_cpu else picture / costs["nvdec_megapixels_per_second"],
        transport=seconds("transport"),
        resize=seconds("resize", picture + resized[0] * resized[1] / 1e6),
        follow=seconds("associate") + seconds("fuse") + seconds("record"),
        emit=seconds("jsonl"),
        device=_device_time(demand, costs, input_megapixels),
        record_bytes=costs["record_bytes"] + demand.segments * costs["segment_bytes"],
        input_megapixels=input_megapixels,
    )


def _device_time(demand: Demand, costs: Costs, megapixels: float) -> PassTime:
    """Measured on such a device, or computed from the model's arithmetic and the device's."""
    for (model, device), measured in costs.passes.items():
        if model == demand.model and demand.device.lower() in device.lower():
            return PassTime(measured.fixed_seconds, measured.frame_seconds * megapixels, measured.basis)
    if demand.device == "cpu":
        cost = _known(costs.cpu_seconds, demand.model, "seconds on a CPU")
        return PassTime(0.0, cost.value * megapixels, cost.basis)
    flop = _known(costs.flops, demand.model, "arithmetic").value * megapixels
    gpu = costs.gpu(demand.device)
    return PassTime(costs["pass_fixed_ms"] / 1000, flop / (gpu.peak_flops * costs["share_of_peak"]), "assumed")


def _known(table: Mapping[str, Cost], model: str, what: str) -> Cost:
    if model not in table:
        raise ConfigError(
            f"the {what} of {model!r} is not known, expected one of {', '.join(table)}; measure it with `python -m "
            "pipelines.benchmark throughput`, and pass the report with --costs"
        )
    return table[model]

"""From a demand to machines: every quantity is one line of arithmetic over the costs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .batching import LatencyRange, capacity, drop_share, latency_range
from .costs import Costs
from .demand import Demand
from .stages import StageTimes, stage_times

__all__ = ["DAY_SECONDS", "Plan", "plan_cluster"]

CPU_THREADS = 2  # of a worker without a GPU: with so many its costs were measured
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Plan:
    """What a demand takes.

    Attributes:
        demand, times: what it follows from.
        worker_capacity: frames a second that one worker can do, by what holds it back first.
        held_back_by: "device" or "interpreter".
        streams_per_worker, workers, workers_per_gpu, gpus: how many.
        worker_load: share of a worker's capacity that its streams use.
        cores: busy on average, by what they do.
        engines: of NVDEC, busy on average.
        memory_gb: RAM, by what holds it.
        object_store_gb: part of it: frames between processes.
        device_memory_gb: of one worker.
        camera_gbit, frame_gbit: a second, from the cameras, and of decoded frames from decoder to worker.
        disk_gb_per_day: records as JSON lines.
        actors: processes that Ray knows.
        needs: machines by each resource alone.
        nodes: machines of the demand's kind, without the head.
        drop_share: of the frames, where even one stream is too much for a worker.
        latency: of a worker that keeps up.
    """

    demand: Demand
    times: StageTimes
    worker_capacity: float
    held_back_by: str
    streams_per_worker: int
    workers: int
    workers_per_gpu: int
    gpus: int
    worker_load: float
    cores: Mapping[str, float]
    engines: float
    memory_gb: Mapping[str, float]
    object_store_gb: float
    device_memory_gb: float
    camera_gbit: float
    frame_gbit: float
    disk_gb_per_day: float
    actors: int
    needs: Mapping[str, int]
    nodes: int
    drop_share: float
    latency: LatencyRange

    @property
    def bound_by(self) -> str:
        """The resource that most machines are needed for."""
        return max(self.needs, key=lambda name: self.needs[name])


def plan_cluster(demand: Demand, costs: Costs) -> Plan:
    """Errors as of `stage_times`."""
    times = stage_times(demand, costs)
    by_device = capacity(times.device, demand.max_batch)
    by_interpreter = costs["interpreter_cores"] / times.follow
    worker_capacity = min(by_device, by_interpreter)
    streams_per_worker = max(1, math.floor(worker_capacity * demand.load / demand.fps + 1e-9))
    streams_per_worker = min(streams_per_worker, demand.streams)
    workers = math.ceil(demand.streams / streams_per_worker)
    on_gpu = demand.device != "cpu"
    workers_per_gpu = max(1, math.floor(by_device * demand.load / (streams_per_worker * demand.fps) + 1e-9))
    gpus = math.ceil(workers / workers_per_gpu) if on_gpu else 0
    emitters = math.ceil(demand.streams / costs["streams_per_emitter"])
    store = demand.streams * costs["frames_in_store"] * demand.frame_bytes / 1e9
    memory = _memory(demand, costs, workers, emitters, store)
    lost = drop_share(streams_per_worker * demand.fps, worker_capacity)
    segmented = demand.streams * demand.fps * (1 - lost)
    cores = _cores(demand, times, segmented)
    engines = demand.streams * demand.sent_fps * times.decode_engine
    camera_gbit = demand.streams * demand.sent_fps * demand.megapixels * costs[f"{demand.codec}_bits_per_pixel"] / 1e3
    frame_gbit = segmented * demand.frame_bytes * 8 / 1e9
    needs = _needs(demand, costs, cores, memory, gpus, engines, camera_gbit, frame_gbit)
    around = times.decode + times.transport + times.resize + times.follow + times.emit
    return Plan(
        demand=demand,
        times=times,
        worker_capacity=worker_capacity,
        held_back_by="device" if by_device <= by_interpreter else "interpreter",
        streams_per_worker=streams_per_worker,
        workers=workers,
        workers_per_gpu=workers_per_gpu,
        gpus=gpus,
        worker_load=streams_per_worker * demand.fps / worker_capacity,
        cores=cores,
        engines=engines,
        memory_gb=memory,
        object_store_gb=store,
        device_memory_gb=costs["device_model_gb"]
        + demand.max_batch * times.input_megapixels * costs["device_gb_per_megapixel"],
        camera_gbit=camera_gbit,
        frame_gbit=frame_gbit,
        disk_gb_per_day=segmented * DAY_SECONDS * times.record_bytes / 1e9,
        actors=demand.streams + workers + emitters + 1,
        needs=needs,
        nodes=max(needs.values()),
        drop_share=lost,
        latency=latency_range(
            times.device,
            demand.max_batch,
            max_wait_seconds=costs["max_wait_ms"] / 1000,
            around_seconds=around,
            behind_seconds=times.follow,
        ),
    )


def _cores(demand: Demand, times: StageTimes, segmented: float) -> dict[str, float]:
    """Cores that are busy on average."""
    cores = {
        "decode": demand.streams * demand.sent_fps * times.decode,
        "transport": segmented * times.transport,
        "resize": segmented * times.resize,
        "follow": segmented * times.follow,
        "emit": segmented * times.emit,
    }
    if demand.device == "cpu":
        cores["segment"] = segmented * times.device.of(demand.max_batch) / demand.max_batch * CPU_THREADS
    return cores


def _memory(demand: Demand, costs: Costs, workers: int, emitters: int, store: float) -> dict[str, float]:
    return {
        "decoders": demand.streams * costs["decoder_process_gb"],
        "workers": workers * costs["worker_process_gb"],
        "emitters": emitters * costs["emitter_process_gb"],
        "object store": store,
    }


def _needs(
    demand: Demand,
    costs: Costs,
    cores: Mapping[str, float],
    memory: Mapping[str, float],
    gpus: int,
    engines: float,
    camera_gbit: float,
    frame_gbit: float,
) -> dict[str, int]:
    """Machines by each resource alone, none used beyond the demand's load."""
    node, load = demand.node, demand.load
    needs = {
        "cores": math.ceil(sum(cores.values()) / (node.cores * load)),
        "memory": math.ceil(sum(memory.values()) / (node.memory_gb * load)),
    }
    if gpus:
        needs["GPUs"] = math.ceil(gpus / node.gpus)
    if engines:
        engines_per_node = node.gpus * costs.gpu(demand.device).decoders
        needs["NVDEC engines"] = math.ceil(engines / (engines_per_node * load))
    # Where there are several machines, decoders and workers find each other by chance: frames leave one, enter another.
    scattered = not demand.near and max(needs.values()) > 1
    needs["network"] = math.ceil((camera_gbit + frame_gbit * scattered) / (node.network_gbit * load))
    return {name: max(1, count) for name, count in needs.items()}

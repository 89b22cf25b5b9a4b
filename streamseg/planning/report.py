"""A plan for people, and for programs."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from .costs import Costs
from .limits import cells, limits
from .placement import Plan
from .simulation import SimulatedWorker, Simulation, simulate

__all__ = ["plan_document", "plan_rows", "simulated_worker"]

MOST_SIMULATED_SECONDS = 60.0
SIMULATED_FRAMES = 30_000.0  # enough for a 95th percentile, in about a second


def simulated_worker(plan: Plan, costs: Costs) -> SimulatedWorker:
    """The plan's worker with its streams, to be played frame by frame."""
    demand, times = plan.demand, plan.times
    return SimulatedWorker(
        streams=plan.streams_per_worker,
        fps=demand.fps,
        device=times.device,
        decode_seconds=times.decode + times.transport,
        cores=plan.streams_per_worker,  # a process each
        prepare_seconds=times.resize / min(8, demand.max_batch),  # side by side
        follow_seconds=times.follow,
        emit_seconds=times.emit,
        max_batch=demand.max_batch,
        max_wait_seconds=costs["max_wait_ms"] / 1000,
    )


def plan_document(plan: Plan, costs: Costs) -> dict[str, Any]:
    """Everything, as plain values: demand, quantities, limits, what was simulated, the costs with their sources."""
    played = _play(plan, costs)
    document = asdict(plan)
    document["bound_by"] = plan.bound_by
    document["limits"] = [asdict(limit) | {"share": limit.share} for limit in limits(plan, costs)]
    document["clusters"] = cells(plan, costs)
    document["simulated"] = asdict(played) | {"drop_share": played.drop_share}
    document["costs"] = {name: asdict(cost) for name, cost in costs.stages.items()}
    return document


def plan_rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and text of each line."""
    plan = document
    times, demand = plan["times"], plan["demand"]
    device = times["device"]
    cores = ", ".join(f"{name} {count:.1f}" for name, count in plan["cores"].items() if count >= 0.05)
    memory = ", ".join(f"{name} {gigabytes:.1f}" for name, gigabytes in plan["memory_gb"].items())
    played, latency = plan["simulated"], plan["latency"]
    batch_ms = 1000 * (device["fixed_seconds"] + demand["max_batch"] * device["frame_seconds"])
    rows = [
        ("a batch", f"{demand['max_batch']} frames in {batch_ms:.0f} ms ({device['basis']})"),
        ("a worker", f"{plan['worker_capacity']:.1f} frames/s, held back by its {plan['held_back_by']}"),
        ("workers", f"{plan['workers']:,}, {_streams(plan)}, {plan['worker_load']:.0%} loaded"),
        ("GPUs", f"{plan['gpus']:,} {demand['device']}, {_shared(plan)}" if plan["gpus"] else ""),
        ("cores", f"{sum(plan['cores'].values()):,.1f} busy: {cores}"),
        ("NVDEC", f"{plan['engines']:.1f} engines busy" if plan["engines"] else ""),
        ("memory", f"{sum(plan['memory_gb'].values()):,.1f} GB: {memory}"),
        ("network", f"{plan['camera_gbit']:.2f} Gbit/s of packets, {plan['frame_gbit']:.1f} of decoded frames"),
        ("disk", f"{plan['disk_gb_per_day']:,.0f} GB of records a day"),
        ("machines", f"{plan['nodes']:,}, for their {plan['bound_by']}" + _head(plan)),
        ("latency", f"{latency['lowest']:.2f} to {latency['highest']:.2f} s, computed; {_played(played)}"),
        ("lost", f"{plan['drop_share']:.0%} of the frames: more than a worker can do" if plan["drop_share"] else ""),
    ]
    rows += [(f"limit {place}", _limit(limit)) for place, limit in enumerate(plan["limits"][:3], start=1)]
    return [row for row in rows if row[1]]


def _streams(plan: Mapping[str, Any]) -> str:
    count = plan["streams_per_worker"]
    return "a stream each" if count == 1 else f"{count} streams each"


def _shared(plan: Mapping[str, Any]) -> str:
    count = plan["workers_per_gpu"]
    return "one for each worker" if count == 1 else f"each for {count} workers"


def _head(plan: Mapping[str, Any]) -> str:
    if plan["clusters"] > 1:
        return f", in {plan['clusters']} clusters, with a head each"
    return ", and a head" if plan["nodes"] > 1 else ""


def _played(played: Mapping[str, Any]) -> str:
    return (
        f"simulated p50 {played['p50_seconds']:.2f}, p95 {played['p95_seconds']:.2f} s, "
        f"{played['drop_share']:.1%} dropped, device {played['device_busy']:.0%} busy"
    )


def _limit(limit: Mapping[str, Any]) -> str:
    text = f"{limit['what']}: {limit['value']:,.4g} of {limit['limit']:,.4g} {limit['unit']}"
    return f"{text}: {limit['remedy']}" if limit["share"] > 1 else text


def _play(plan: Plan, costs: Costs) -> Simulation:
    rate = plan.streams_per_worker * plan.demand.fps
    return simulate(simulated_worker(plan, costs), seconds=min(MOST_SIMULATED_SECONDS, SIMULATED_FRAMES / rate))

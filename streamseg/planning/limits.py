"""What is too much, and what is done about it."""

import math
from dataclasses import dataclass

from .costs import Costs
from .placement import DAY_SECONDS, Plan

__all__ = ["Limit", "cells", "limits"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that may break.

    Attributes:
        what: its name.
        value, limit: how much of it there is in the plan, and how much there may be, in `unit`.
        remedy: what is done where it is too much.
        splits: whether several clusters, each with its share of the cameras, have less of it each.
    """

    what: str
    value: float
    limit: float
    unit: str
    remedy: str
    splits: bool = False

    @property
    def share(self) -> float:
        """Above 1, it breaks."""
        return self.value / self.limit


def limits(plan: Plan, costs: Costs) -> list[Limit]:
    """All of them, the tightest first: what breaks first when there are more cameras and everything else stays."""
    demand, node = plan.demand, plan.demand.node
    found = [
        Limit(
            "frames of one stream in one worker",
            demand.fps,
            plan.worker_capacity,
            "frames/s",
            "a stream is followed in one place: lower its rate (--fps), or take a faster GPU or a smaller model",
        ),
        Limit(
            "packets from cameras",
            plan.camera_gbit / plan.nodes,
            node.network_gbit * demand.load,
            "Gbit/s a machine",
            "more machines, or a second stream of the cameras at a lower rate",
        ),
        Limit(
            "writing on one machine",
            plan.cores["emit"],
            node.cores * demand.load,
            "cores",
            "several runs: the processes that write stand on the machine that started the run, beside its folder",
            splits=True,
        ),
        Limit(
            "records on one disk",
            plan.disk_gb_per_day / DAY_SECONDS,
            costs["disk_gb_per_second"],
            "GB/s",
            "several runs, a folder each; or leave masks out of records; with rotation.keep_megabytes, old parts go",
            splits=True,
        ),
        Limit(
            "actors of one cluster",
            plan.actors,
            costs["ray_actors"],
            "actors",
            "several clusters, each with its share of the cameras: streams know nothing of one another",
            splits=True,
        ),
        Limit(
            "machines of one cluster",
            plan.nodes + 1,
            costs["ray_nodes"],
            "machines",
            "several clusters, each with its share of the cameras: streams know nothing of one another",
            splits=True,
        ),
        Limit(
            "processes of one machine",
            plan.actors / plan.nodes,
            costs["processes_per_node"],
            "processes",
            "machines with fewer cameras each, or several cameras to a decoder process",
        ),
    ]
    if plan.nodes > 1 and not demand.near:
        found.append(
            Limit(
                "decoded frames between machines",
                plan.frame_gbit / plan.nodes,
                node.network_gbit * demand.load,
                "Gbit/s a machine",
                "keep each decoder on the machine of its worker, so that only packets and results travel",
            )
        )
    if plan.gpus:
        found.append(
            Limit(
                "memory of a GPU",
                plan.device_memory_gb * plan.workers_per_gpu,
                costs.gpu(demand.device).memory_gb,
                "GB",
                "a smaller batch (batch.max_batch), a smaller model, or one worker to a GPU",
            )
        )
    return sorted(found, key=lambda limit: -limit.share)


def cells(plan: Plan, costs: Costs) -> int:
    """Independent clusters that the plan has to be split into."""
    return max(1, *(math.ceil(limit.share) for limit in limits(plan, costs) if limit.splits))

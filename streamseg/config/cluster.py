"""How a run is spread over a Ray cluster."""

from dataclasses import dataclass

from ..parsing import require

__all__ = ["RaySettings"]


@dataclass(frozen=True, slots=True)
class RaySettings:
    """Processes of a run under `runtime: ray`.

    Attributes:
        address: of the cluster to join, such as "auto" or "10.0.0.1:6379"; null starts one for this run, on this
            machine.
        name: of the deployment: what `--detach` leaves running is found by it.
        detach: leave the streams running when the command ends; `streamseg streams` looks after them.
        num_workers: processes that segment, each with its own copy of the model; null for one for each GPU of the
            cluster, or a single one where there is none.
        gpus_per_worker: may be a fraction, where several share one GPU; 0 for workers on CPUs; null for 1 where the
            cluster has GPUs, else 0.
        streams_per_emitter: how many streams share a process that writes results.
        frames_per_object: frames of a recording that travel together at most.
        max_restarts: how often in a row a process may die without a result in between, before the run is given up.
    """

    address: str | None = None
    name: str = "streamseg"
    detach: bool = False
    num_workers: int | None = None
    gpus_per_worker: float | None = None
    streams_per_emitter: int = 16
    frames_per_object: int = 4
    max_restarts: int = 5

    def __post_init__(self) -> None:
        require(self.address is None or self.address.strip() != "", "ray.address", self.address, "HOST:PORT, or null")
        require(self.name.strip() != "", "ray.name", self.name, "a word")
        require(self.num_workers is None or self.num_workers >= 1, "ray.num_workers", self.num_workers, "at least 1")
        gpus = self.gpus_per_worker
        whole_or_part = gpus is None or 0 <= gpus <= 1 or gpus == int(gpus)
        require(whole_or_part, "ray.gpus_per_worker", gpus, "0 to 1, or a whole number")
        require(self.streams_per_emitter >= 1, "ray.streams_per_emitter", self.streams_per_emitter, "at least 1")
        require(1 <= self.frames_per_object <= 64, "ray.frames_per_object", self.frames_per_object, "1 to 64")
        require(self.max_restarts >= 0, "ray.max_restarts", self.max_restarts, "0 or more")
        require(not self.detach or self.address is not None, "ray.detach", True, "ray.address beside it: " + CLUSTER)


CLUSTER = "a cluster that outlives this command (`ray start --head`, then --ray-address auto)"

"""Joining a Ray cluster, or starting one for this run alone."""

import logging
import os
import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ...errors import ConfigError, StreamsegError

__all__ = ["Membership", "import_ray", "join"]

# Of the processes of a cluster of our own: nothing is sent anywhere, Ray keeps its advice to itself, and memory stays
# flat (each of Ray's many threads would get a heap of its own from glibc, and all of them grow for hours; Ray's head
# would keep a hundred thousand events of tasks for a dashboard that is not there).
ENVIRONMENT: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "MALLOC_ARENA_MAX": "1",
    "RAY_task_events_report_interval_ms": "0",
}


class Membership:
    """A connection to a cluster, which ends a cluster of our own with it.

    Args:
        ray: the library.
        is_ours: whether to leave the cluster at the end; else somebody in this process had joined it before.
    """

    def __init__(self, ray: ModuleType, *, is_ours: bool) -> None:
        self._ray = ray
        self._is_ours = is_ours

    @property
    def node(self) -> str:
        """Id of the node that this process is on."""
        node: str = self._ray.get_runtime_context().get_node_id()
        return node

    @property
    def gpus(self) -> float:
        """Of the whole cluster."""
        return float(self._ray.cluster_resources().get("GPU", 0))

    @property
    def stored_bytes(self) -> int:
        """What the object stores of the whole cluster hold now."""
        name = "object_store_memory"
        return int(self._ray.cluster_resources().get(name, 0) - self._ray.available_resources().get(name, 0))

    def close(self) -> None:
        """Leave the cluster. Actors that belong to this process end with it."""
        if self._is_ours:
            self._ray.shutdown()


def join(address: str | None) -> Membership:
    """Join the cluster at an address, or start one on this machine; a connection that is there already is used.

    Raises:
        ConfigError: ray is not installed.
        StreamsegError: nobody answers at the address, or Ray does not start.
    """
    ray = import_ray()
    if ray.is_initialized():
        return Membership(ray, is_ours=False)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    options: dict[str, Any] = {"address": address}
    if address is None:
        options = {"address": "local", "include_dashboard": False}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray's own, about Ray's own future
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR, configure_logging=True)
    except Exception as error:  # Ray raises anything
        reason = " ".join(str(error).split())[:200]
        what = "start" if address is None else f"connect to {address!r}"
        remedy = "look at its logs below /tmp/ray" if address is None else "check --ray-address (`ray status` there)"
        raise StreamsegError(f"Ray did not {what} ({reason}): {remedy}") from None
    _silence(ray)
    return Membership(ray, is_ours=True)


def _silence(ray: ModuleType) -> None:
    """Ray prints on standard output when a process dies. Records may go there; and the run says so itself."""
    worker = ray._private.worker
    if hasattr(worker, "_worker_logs_enabled"):
        worker._worker_logs_enabled = False


def import_ray() -> ModuleType:
    """The library; ConfigError where it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise ConfigError(f"runtime: ray needs Ray ({error}): pip install ray, or leave --runtime out") from None
    module: ModuleType = ray
    return module

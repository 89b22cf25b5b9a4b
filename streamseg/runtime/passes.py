"""How a model's work is cut: frames of a batch, forward passes side by side, torch's threads for each."""

from ..config.run import RunSettings
from ..pipeline.plan import RunPlan
from .torch_threads import share_threads

__all__ = ["batch_limit", "share_passes"]

MAX_GPU_BATCH = 8


def batch_limit(settings: RunSettings, *, on_cpu: bool) -> int:
    """Most frames of a batch."""
    return settings.batch.max_batch or (1 if on_cpu else MAX_GPU_BATCH)


def share_passes(plan: RunPlan, threads: int, *, on_cpu: bool) -> tuple[int, int]:
    """Forward passes side by side, and torch's threads for each."""
    spec, model = plan.spec, plan.settings.model
    if not on_cpu or model.compile:
        return 1, threads
    short, long = model.short_side or spec.short_side, model.max_long_side or spec.max_long_side
    return share_threads(threads, short * long)

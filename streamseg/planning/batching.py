"""What one worker can do, in closed form: capacity, load, drops, and how long a frame is under way.

The worker is the one of `runtime/device_pass.py`: whatever waits is taken as a batch, two batches are in flight, the
device computes one after the other. `simulation.py` plays the same frame by frame, and the tests hold both together.
"""

from dataclasses import dataclass

from .costs import PassTime

__all__ = ["LatencyRange", "capacity", "drop_share", "latency_range", "typical_batch"]


@dataclass(frozen=True, slots=True)
class LatencyRange:
    """Seconds from capture to record: nobody is faster than `lowest`, and 19 of 20 frames not slower than `highest`."""

    lowest: float
    highest: float


def capacity(time: PassTime, max_batch: int) -> float:
    """Frames a second of a device that is never without a full batch."""
    return max_batch / time.of(max_batch)


def drop_share(rate: float, capacity: float) -> float:
    """Share of the frames that cannot be taken, in the long run."""
    return max(0.0, 1 - capacity / rate)


def typical_batch(rate: float, time: PassTime, max_batch: int) -> float:
    """Frames that arrive while as many are computed: b = rate * (fixed + b * frame), held to [1, max_batch]."""
    left = 1 - rate * time.frame_seconds
    return float(max_batch) if left <= 0 else min(float(max_batch), max(1.0, rate * time.fixed_seconds / left))


def latency_range(
    time: PassTime, max_batch: int, *, max_wait_seconds: float, around_seconds: float, behind_seconds: float
) -> LatencyRange:
    """Bounds while the worker keeps up (rate below capacity).

    A frame alone goes straight through. In a burst it waits for the batch that is being taken to be joined, for one
    that is computed, for its own, which may be full in either case, and for the others of its own behind the device.

    Args:
        time: of a batch.
        max_batch: most frames of it.
        max_wait_seconds: for others to join.
        around_seconds: of one frame, before and behind the device: decode, resize, follow, emit.
        behind_seconds: what frames of a batch do one after another behind the device.
    """
    return LatencyRange(
        around_seconds + time.of(1),
        around_seconds + max_wait_seconds + 3 * time.of(max_batch) + (max_batch - 1) * behind_seconds,
    )

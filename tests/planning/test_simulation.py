"""Formulas and simulation say the same."""

import pytest

from streamseg.planning.batching import capacity, drop_share, latency_range, typical_batch
from streamseg.planning.costs import PassTime
from streamseg.planning.simulation import SimulatedWorker, simulate

DEVICE = PassTime(0.010, 0.010)  # 8 frames in 90 ms: 88.9 a second
MAX_BATCH = 8


def played(load: float, *, streams: int = 16, device: PassTime = DEVICE, **options: float) -> SimulatedWorker:
    fps = load * capacity(device, MAX_BATCH) / streams
    return SimulatedWorker(streams=streams, fps=fps, device=device, max_batch=MAX_BATCH, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("load", [0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("device", [DEVICE, PassTime(0.0, 0.02), PassTime(0.1, 0.001)])
def test_below_capacity_nothing_is_lost_and_latency_is_within_bounds(load: float, device: PassTime) -> None:
    worker = played(load, device=device, decode_seconds=0.002, prepare_seconds=0.001, follow_seconds=0.001)
    result = simulate(worker, seconds=40)
    bounds = latency_range(
        device, MAX_BATCH, max_wait_seconds=0.01, around_seconds=0.004 + 7 * 0.001, behind_seconds=0.001
    )
    assert result.dropped == 0
    assert bounds.lowest - 7 * 0.001 <= result.p50_seconds <= result.p95_seconds <= bounds.highest
    assert result.done == pytest.approx(result.arrived, rel=0.02)


@pytest.mark.parametrize("load", [1.25, 2.0, 4.0])
def test_above_capacity_drops_are_what_the_formula_says(load: float) -> None:
    result = simulate(played(load), seconds=60)
    assert result.drop_share == pytest.approx(drop_share(load, 1.0), abs=0.01)
    assert result.device_busy == pytest.approx(1.0, abs=0.01)
    assert result.mean_batch == pytest.approx(MAX_BATCH, abs=0.05)


@pytest.mark.parametrize("load", [1.25, 4.0])
def test_above_capacity_latency_stays_bounded(load: float) -> None:
    """Full queues in front, two batches in flight: nobody waits longer than for those."""
    worker = played(load)
    result = simulate(worker, seconds=60)
    waiting = worker.queue * worker.streams / capacity(DEVICE, MAX_BATCH)
    assert result.p95_seconds <= waiting + 3 * DEVICE.of(MAX_BATCH)
    longer = simulate(worker, seconds=120)
    assert longer.p95_seconds == pytest.approx(result.p95_seconds, rel=0.1)


def test_a_device_without_fixed_part_is_busy_for_what_it_is_given() -> None:
    result = simulate(played(0.6, device=PassTime(0.0, 0.02)), seconds=60)
    assert result.device_busy == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("load", [0.7, 0.9])
def test_batches_grow_with_what_arrives_meanwhile(load: float) -> None:
    """Where the fixed part rules, as many frames are taken at once as came while the last ones were computed."""
    device = PassTime(0.2, 0.001)
    worker = played(load, device=device, max_wait_seconds=0.0)
    expected = typical_batch(worker.fps * worker.streams, device, MAX_BATCH)
    assert simulate(worker, seconds=120).mean_batch == pytest.approx(expected, rel=0.1)


def test_typical_batches_are_held_to_what_is_possible() -> None:
    assert typical_batch(1.0, DEVICE, MAX_BATCH) == 1
    assert typical_batch(99.0, DEVICE, MAX_BATCH) == MAX_BATCH
    assert typical_batch(1000.0, DEVICE, MAX_BATCH) == MAX_BATCH


def test_decoders_that_share_too_few_cores_hold_frames_up() -> None:
    enough = simulate(played(0.5, decode_seconds=0.02, cores=8), seconds=20)
    few = simulate(played(0.5, decode_seconds=0.02, cores=1), seconds=20)
    assert enough.decoders_busy == pytest.approx(0.5 * capacity(DEVICE, MAX_BATCH) * 0.02 / 8, rel=0.05)
    assert few.decoders_busy == pytest.approx(0.5 * capacity(DEVICE, MAX_BATCH) * 0.02, rel=0.05)
    assert few.p95_seconds > enough.p95_seconds + 0.02


def test_equal_seeds_equal_results() -> None:
    worker = played(0.7)
    assert simulate(worker, seconds=5, seed=3) == simulate(worker, seconds=5, seed=3)
    assert simulate(worker, seconds=5, seed=3) != simulate(worker, seconds=5, seed=4)

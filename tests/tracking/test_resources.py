"""Constant memory, and a device that is asked twice a frame, however many queries there are."""

import gc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streamseg.config.tracking import TrackingSettings
from streamseg.tracking.association import Associator
from streamseg.tracking.build import build_associator
from tests.tracking.made_queries import CAR, DOG, GRASS, VOCABULARY, Box, made

METHODS = pytest.mark.parametrize("method", ["streamseg", "minvis"])


def traffic(frame: int) -> list[Box]:
    """Things that come and go for ever, each with looks of its own."""
    car = Box(16, 8 * frame % 200, 24, 32, CAR, looks=frame // 25)
    dog = Box(48, 160 - 8 * frame % 200, 24, 24, DOG, looks=1000 + frame // 20)
    return [car, dog, Box(80, 0, 48, 192, GRASS, looks=4)][: 1 + frame % 3]


def follow(associator: Associator, frames: range) -> int:
    """How many tracks ended."""
    return sum(len(associator.update(made(traffic(frame)), frame=frame, seconds=frame / 25).ended) for frame in frames)


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@METHODS
def test_the_state_does_not_grow_with_the_stream(method: Any) -> None:
    def size(state: Any) -> int:
        if isinstance(state, dict):
            return sum(map(size, state.values()))
        if isinstance(state, list):
            return sum(map(size, state))
        return state.nbytes if isinstance(state, np.ndarray) else 8

    settings = TrackingSettings(method=method, gallery_seconds=2.0)
    associator = build_associator(settings, VOCABULARY)
    follow(associator, range(200))
    sizes = []
    for start in (200, 800):
        follow(associator, range(start, start + 600))
        sizes.append(size(associator.state_dict()))
    assert sizes[1] <= 1.2 * sizes[0]


@pytest.mark.slow
@METHODS
def test_memory_is_constant_over_ten_thousand_frames(method: Any) -> None:
    associator = build_associator(TrackingSettings(method=method), VOCABULARY)
    ended = follow(associator, range(2000))
    before = resident_bytes()
    ended += follow(associator, range(2000, 10_000))
    assert resident_bytes() - before < 8 * 2**20
    assert ended > 100 or method == "minvis"


@pytest.mark.cuda
@METHODS
def test_a_gpu_gives_the_same_identities(method: Any) -> None:
    settings = TrackingSettings(method=method)
    host, device = build_associator(settings, VOCABULARY), build_associator(settings, VOCABULARY)
    for frame in range(60):
        queries = made(traffic(frame))
        first = host.update(queries, frame=frame, seconds=frame / 25)
        second = device.update(queries.to("cuda"), frame=frame, seconds=frame / 25)
        assert first.ids.tolist() == second.ids.tolist()
        assert first.states == second.states
        assert second.labels.is_cuda
        assert first.labels.tolist() == second.labels.tolist()
        torch.testing.assert_close(first.scores, second.scores.cpu(), atol=1e-4, rtol=0)
        if frame == 30:
            state = device.state_dict()
            device = build_associator(settings, VOCABULARY)
            device.load_state_dict(state)


@pytest.mark.cuda
@METHODS
def test_waits_for_the_gpu_do_not_grow_with_the_queries(method: Any) -> None:
    def waits(count: int) -> int:
        associator = build_associator(TrackingSettings(method=method), VOCABULARY)
        frames = [
            made([Box(8 * (i % 15), 8 * (i // 15), 8, 8 + frame, looks=i) for i in range(count)]).to("cuda")
            for frame in range(4)
        ]
        for frame, queries in enumerate(frames[:3]):
            associator.update(queries, frame=frame, seconds=frame / 25)
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                associator.update(frames[3], frame=3, seconds=3 / 25)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(warning.message) for warning in caught)

    assert waits(2) == waits(100) <= 12

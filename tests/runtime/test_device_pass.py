"""The pass of a worker: what `Segmenter.segment` gives, whatever goes on side by side, and on a GPU without waiting."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from streamseg.errors import ConfigError
from streamseg.frames import Frame
from streamseg.panoptic import panoptic_from_queries
from streamseg.preprocess import resize
from streamseg.queries import Queries
from streamseg.runtime.device_pass import DevicePass
from streamseg.runtime.device_streams import CudaStreams, NoStreams, streams_of
from streamseg.runtime.intake import Intake
from streamseg.runtime.staging import Staging
from streamseg.runtime.worker import Worker
from streamseg.segmenter import Segmenter
from streamseg.vocabulary import Vocabulary
from tests.small_models import picture, small_segmenter

STREET = Vocabulary.parse("car,automobile; person; road:stuff; sky:stuff; dog")
KITCHEN = Vocabulary.parse("cup,mug; oven; table:stuff")
CPU = torch.device("cpu")
SIZES = [(50, 90), (64, 64), (96, 160), (50, 90), (64, 70)]


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return small_segmenter(max_batch=4, min_objectness=1.0)


@pytest.fixture(scope="module")
def on_gpu() -> Segmenter:
    return small_segmenter(max_batch=4, min_objectness=1.0, device="cuda")


def assert_equal(ours: Sequence[Queries], theirs: Sequence[Queries]) -> None:
    """Bit for bit."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        for field in fields(Queries):
            mine, yours = getattr(one, field.name), getattr(other, field.name)
            assert torch.equal(mine, yours) if isinstance(mine, Tensor) else mine == yours, field.name


def pictures(count: int = len(SIZES)) -> list[Any]:
    return [picture(*SIZES[i % len(SIZES)], seed=i) for i in range(count)]


# --- equal to the segmenter


def test_sizes_and_words_may_differ_and_the_order_holds(segmenter: Segmenter) -> None:
    words = [STREET, KITCHEN, STREET, STREET, KITCHEN]
    expected = segmenter.segment(pictures(), words)
    assert len({len(queries) for queries in expected}) > 1  # some are left out, not as many of each
    assert_equal(DevicePass(segmenter).segment(pictures(), words), expected)


def test_one_vocabulary_for_all(segmenter: Segmenter) -> None:
    assert_equal(DevicePass(segmenter).segment(pictures(3), STREET), segmenter.segment(pictures(3), STREET))


def test_nothing_in_nothing_out(segmenter: Segmenter) -> None:
    assert DevicePass(segmenter).segment([], STREET) == []


def test_memory_is_used_again_by_smaller_and_larger_batches(segmenter: Segmenter) -> None:
    device_pass = DevicePass(segmenter, in_flight=1)
    for count in (1, 4, 2, 5):
        kept = device_pass.segment(pictures(count), STREET)
        device_pass.segment(pictures(5)[::-1], STREET)  # writes over what was staged
        assert_equal(kept, segmenter.segment(pictures(count), STREET))


@pytest.mark.parametrize("in_flight", [1, 2])
def test_threads_get_their_own_results(segmenter: Segmenter, in_flight: int) -> None:
    """More threads than there is room for."""
    jobs = [pictures(5)[start : start + 2] for start in range(4)] * 3
    expected = [segmenter.segment(job, KITCHEN) for job in jobs]
    device_pass = DevicePass(segmenter, in_flight=in_flight)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda job: device_pass.segment(job, KITCHEN), jobs))
    for ours, theirs in zip(results, expected, strict=True):
        assert_equal(ours, theirs)


def test_results_need_no_gradient(segmenter: Segmenter) -> None:
    [queries] = DevicePass(segmenter).segment(pictures(1), STREET)
    assert queries.mask_logits.is_inference()


# --- errors


def test_a_wrong_picture_is_named_as_by_the_segmenter(segmenter: Segmenter) -> None:
    bad = [*pictures(2), np.zeros((4, 4), np.uint8)]
    with pytest.raises(ConfigError) as expected:
        segmenter.segment(bad, STREET)
    with pytest.raises(ConfigError) as error:
        DevicePass(segmenter).segment(bad, STREET)
    assert str(error.value) == str(expected.value)


def test_a_failed_pass_leaves_room_for_the_next(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    device_pass = DevicePass(segmenter, in_flight=1)

    def fails(*_: Any) -> None:
        raise RuntimeError("out of order")

    for name in ("image_pass", "score", "select", "text_classifier"):
        with monkeypatch.context() as patch:
            patch.setattr(segmenter, name, fails)
            with pytest.raises(RuntimeError, match="out of order"):
                device_pass.segment(pictures(2), STREET)
    assert_equal(device_pass.segment(pictures(2), STREET), segmenter.segment(pictures(2), STREET))


class PoisonedError(Exception):
    """Of a frame that the network cannot take."""


def poisoned_at(segmenter: Segmenter, bad: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any pass with that picture in it fails, in the middle of the network."""
    mark = segmenter.network_input([resize(bad, segmenter.input_size(bad.shape))])[0][0]
    image_pass = segmenter.image_pass

    def poisonable(images: Tensor, valid_hw: Tensor) -> Any:
        if any(torch.equal(image, mark) for image in images):
            raise PoisonedError("a bad frame")
        return image_pass(images, valid_hw)

    monkeypatch.setattr(segmenter, "image_pass", poisonable)


def worker_for(segmenter: Segmenter) -> Worker:
    return Worker(
        segmenter,
        {},
        Intake({}, 1),
        passes=1,
        max_batch=4,
        max_wait_seconds=0,
        commit_seconds=1,
        max_failures=3,
        prepare=lambda: None,
        fail=lambda _: None,
        stream_failed=lambda *_: None,
    )


def test_a_worker_loses_the_poisoned_frame_of_a_batch_alone(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [Frame(picture(64, 64, seed), stream_id="cam", index=seed) for seed in range(4)]
    expected = segmenter.segment(frames[1:2], STREET)
    monkeypatch.setattr(segmenter, "segment", None)  # a worker takes the pass instead
    poisoned_at(segmenter, frames[2].rgb, monkeypatch)
    outcomes = worker_for(segmenter)._segment(frames, [STREET] * 4)
    assert [type(outcome) for outcome in outcomes] == [Queries, Queries, PoisonedError, Queries]
    assert isinstance(outcomes[1], Queries)
    assert_equal([outcomes[1]], expected)


# --- staging


def test_staged_pictures_lie_one_behind_the_other() -> None:
    staging, images = Staging(CPU), pictures(3)
    sizes = [(image.shape[0], image.shape[1]) for image in images]
    staging.stage(images.__getitem__, sizes)
    for ours, image in zip(staging.upload(sizes), images, strict=True):
        assert np.array_equal(ours.numpy(), image)


def test_helpers_stage_side_by_side() -> None:
    both = threading.Barrier(2, timeout=60)

    def made(position: int) -> Any:
        both.wait()
        return np.full((8, 8, 3), position, np.uint8)

    staging = Staging(CPU)
    with ThreadPoolExecutor(2) as helpers:
        staging.stage(made, [(8, 8)] * 2, helpers)
    assert [int(view[0, 0, 0]) for view in staging.upload([(8, 8)] * 2)] == [0, 1]


def test_where_one_helper_fails_the_others_are_waited_for() -> None:
    failed, finished = threading.Event(), threading.Event()

    def made(position: int) -> Any:
        if position == 0:
            failed.set()
            raise MemoryError
        assert failed.wait(60)
        finished.set()
        return np.zeros((8, 8, 3), np.uint8)

    with ThreadPoolExecutor(2) as helpers:
        with pytest.raises(MemoryError):
            Staging(CPU).stage(made, [(8, 8)] * 2, helpers)
        assert finished.is_set()


def test_a_cpu_has_no_streams() -> None:
    assert isinstance(streams_of(CPU), NoStreams)


# --- on a GPU


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """An operation that makes the host wait for the device raises; waiting for an event is allowed."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.cuda
def test_gpu_equals_its_segmenter(on_gpu: Segmenter) -> None:
    words = [STREET, KITCHEN, STREET, STREET, KITCHEN]
    assert_equal(DevicePass(on_gpu).segment(pictures(), words), on_gpu.segment(pictures(), words))


@pytest.mark.cuda
def test_gpu_memory_is_not_used_again_too_early(on_gpu: Segmenter) -> None:
    """Two threads in turns, over and over: each result must be of its own pictures, read on the default stream."""
    jobs = [[picture(96, 160, seed=10 * job + i) for i in range(4)] for job in range(8)] * 8
    expected = [[panoptic_from_queries(queries) for queries in on_gpu.segment(job, STREET)] for job in jobs[:8]] * 8
    device_pass = DevicePass(on_gpu)

    def maps(job: Any) -> list[Any]:
        return [panoptic_from_queries(queries) for queries in device_pass.segment(job, STREET)]

    with ThreadPoolExecutor(2) as pool:
        for ours, theirs in zip(pool.map(maps, jobs), expected, strict=True):
            for one, other in zip(ours, theirs, strict=True):
                assert np.array_equal(one.ids, other.ids)


@pytest.mark.cuda
def test_gpu_nobody_waits_but_for_events(on_gpu: Segmenter, request: pytest.FixtureRequest) -> None:
    device_pass = DevicePass(on_gpu)
    device_pass.segment(pictures(4), STREET)  # words, tables of sizes, memory
    expected = on_gpu.segment(pictures(4), STREET)
    request.getfixturevalue("no_waiting")
    ours = device_pass.segment(pictures(4), STREET)
    torch.cuda.set_sync_debug_mode("default")
    assert_equal(ours, expected)


@pytest.mark.cuda
@pytest.mark.usefixtures("no_waiting")
def test_gpu_the_segmenter_itself_waits_which_the_check_sees(on_gpu: Segmenter) -> None:
    with pytest.raises(RuntimeError, match="synchroniz"):
        on_gpu.segment(pictures(1), STREET)


@pytest.mark.cuda
def test_gpu_copies_start_while_the_device_computes() -> None:
    """What is copied in must not wait for what is being computed, nor a finished batch for the next."""
    streams = CudaStreams(torch.device("cuda"))
    source, target = torch.ones(1 << 20, pin_memory=True), torch.zeros(1 << 20, device="cuda")

    def beside_a_computation_of(cycles: int) -> tuple[bool, float]:
        """Whether it was still going on when a copy in and a sum on the way out were done, and the sum."""
        target.zero_()
        torch.cuda.synchronize()
        with streams.copy_in():
            ready = streams.mark()
        with streams.compute(after=ready):
            torch.cuda._sleep(cycles)
            computed: Any = streams.mark()
        with streams.copy_in():
            target.copy_(source, non_blocking=True)
            copied = streams.mark()
        copied.synchronize()
        with streams.copy_out():
            total = (target * 2).sum()
            taken = streams.mark()
        taken.synchronize()
        going_on = not computed.query()
        computed.synchronize()
        return going_on, total.item()

    beside_a_computation_of(1)  # the first use of a kernel loads it, and may wait for those that run
    assert beside_a_computation_of(10**10) == (True, 2 << 20)  # seconds


@pytest.mark.cuda
def test_gpu_computation_waits_for_its_pictures() -> None:
    streams = CudaStreams(torch.device("cuda"))
    data = torch.zeros(1 << 20, device="cuda")
    torch.cuda.synchronize()
    with streams.copy_in():
        torch.cuda._sleep(10**8)
        data.fill_(1)
        uploaded = streams.mark()
    with streams.compute(after=uploaded):
        total = data.sum()
        streams.mark().synchronize()
    assert total.item() == 1 << 20


@pytest.mark.cuda
def test_gpu_staging_is_pinned_and_kept() -> None:
    device = torch.device("cuda")
    staging, image = Staging(device), resize(picture(50, 90), (64, 115))
    for _ in range(2):
        staging.stage(lambda _: image, [(64, 115)])
        [there] = staging.upload([(64, 115)])
        torch.cuda.synchronize()
        assert there.is_cuda
        assert np.array_equal(there.cpu().numpy(), image)
    before = there.data_ptr()
    staging.stage(lambda _: image[:8, :8], [(8, 8)])
    assert staging.upload([(8, 8)])[0].data_ptr() == before
    assert staging._host_bytes.is_pinned()

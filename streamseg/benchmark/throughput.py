"""Frames a second of the image pass in batches, and what share of the chip's arithmetic that uses.

For a GPU, where absolute times mean something; it runs on a CPU too. Times are wall-clock around work that the device
has finished. The work is counted, not estimated: multiplications and additions of all matrix products and convolutions
of one batch, by torch's own counter. What it does not count (norms, sampling, interpolation) makes the true share
a little higher.
"""

import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..acceleration import optimize
from ..panoptic import panoptic_from_queries
from ..segmenter import Segmenter
from ..vocabulary import Vocabulary
from .model import CLASSES, load_for_benchmark, made_up_picture

__all__ = ["PEAK_FLOPS", "Throughput", "benchmark_throughput"]

# Dense peak of the matrix units, in FLOP/s, from the makers' data sheets: (part of the device's name, precision).
PEAK_FLOPS = {
    ("H200", "bf16"): 989e12,
    ("H200", "fp32"): 67e12,
    ("H100", "bf16"): 989e12,
    ("H100", "fp32"): 67e12,
    ("A100", "bf16"): 312e12,
    ("A100", "fp32"): 19.5e12,
    ("L4", "bf16"): 121e12,
    ("T4", "fp16"): 65e12,
}


@dataclass(frozen=True, slots=True)
class Throughput:
    """One precision, size and batch.

    Attributes:
        image_pass_fps: frames a second through the network alone.
        frame_fps: frames a second from normalised tensors to panoptic maps on the host.
        flop_per_frame: counted for the image pass.
        share_of_peak: image pass against the chip's dense peak; None where that is not known.
        peak_memory_bytes: on the device; None on a CPU.
    """

    model: str
    device: str
    precision: str
    compiled: bool
    size_hw: tuple[int, int]
    batch: int
    image_pass_fps: float
    frame_fps: float
    flop_per_frame: float
    share_of_peak: float | None
    peak_memory_bytes: int | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def benchmark_throughput(
    model: str,
    *,
    precision: str,
    compiled: bool,
    sizes_hw: list[tuple[int, int]],
    batches: list[int],
    device: str = "auto",
    runs: int = 10,
    weights: Path | str | None = None,
) -> list[Throughput]:
    """Measure every size with every batch.

    Args:
        model: a model's name.
        precision: "fp32" (without TF32) or "bf16".
        compiled: through inductor.
        sizes_hw: of the pictures, taken as the network's input; padded to multiples of 32.
        batches: frames per forward pass.
        device: as in `Segmenter.load`.
        runs: timed passes, after two that are not.
        weights: a checkpoint; None for deterministic weights.
    """
    torch.set_float32_matmul_precision("highest")
    segmenter = optimize(load_for_benchmark(model, weights, device), dtype=precision, compile=compiled)
    vocabulary = Vocabulary.parse(CLASSES, name="benchmark")
    return [
        _measure(segmenter, vocabulary, size_hw, batch, compiled=compiled, runs=runs)
        for size_hw in sizes_hw
        for batch in batches
    ]


@torch.inference_mode()
def _measure(
    segmenter: Segmenter, vocabulary: Vocabulary, size_hw: tuple[int, int], batch: int, *, compiled: bool, runs: int
) -> Throughput:
    device = segmenter.device
    images, valid_hw = segmenter.network_input([made_up_picture(size_hw)] * batch)

    def image_pass() -> None:
        segmenter.image_pass(images, valid_hw)

    def frames() -> None:
        for queries in segmenter.segment_tensors(images, valid_hw, [size_hw] * batch, [vocabulary] * batch):
            panoptic_from_queries(queries)

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    pass_seconds, frame_seconds = (_median_seconds(function, device, runs) for function in (image_pass, frames))
    flop = _count_flop(segmenter, images) / batch
    fps = batch / pass_seconds
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    peaks = [flops for (part, kind), flops in PEAK_FLOPS.items() if part in name and kind == segmenter.precision]
    return Throughput(
        model=segmenter.spec.name,
        device=name,
        precision=segmenter.precision,
        compiled=compiled,
        size_hw=size_hw,
        batch=batch,
        image_pass_fps=fps,
        frame_fps=batch / frame_seconds,
        flop_per_frame=flop,
        share_of_peak=fps * flop / peaks[0] if peaks else None,
        peak_memory_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
    )


def _median_seconds(function: Any, device: torch.device, runs: int) -> float:
    seconds = []
    for run in range(runs + 2):  # two to warm up, or to compile
        start = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if run >= 2:
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _count_flop(segmenter: Segmenter, images: torch.Tensor) -> float:
    """Of one uncompiled pass: the counter sees operations, and a compiled graph hides them."""
    network = segmenter.model
    compiled, network._compiled_call_impl = network._compiled_call_impl, None
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    try:
        # The counter follows modules with autograd's help, which stumbles over inference mode and over trainable
        # parameters that have no graph.
        for parameter in trainable:
            parameter.requires_grad_(False)
        with torch.inference_mode(mode=False), torch.no_grad(), FlopCounterMode(display=False) as counter:
            segmenter.image_pass(images.clone(), torch.tensor([images.shape[-2:]] * len(images)))
    finally:
        network._compiled_call_impl = compiled
        for parameter in trainable:
            parameter.requires_grad_(True)
    return float(counter.get_total_flops())

"""How many trunks a frame costs.

Machines differ, and a shared one differs from minute to minute. So every time is given as a multiple of the bare CLIP
trunk's float32 eager forward pass, which is measured in turns with it: trunk, frame, trunk, frame. The figure is the
median of the ratios, run by run.

A frame is what a user gets: resize, normalise, image pass, class scores against the user's vocabulary and the training
vocabulary, panoptic map. Text embeddings are cached, as they are from a stream's second frame on.
"""

import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..acceleration import optimize
from ..fcclip.backbone import ClipBackbone, build_backbone
from ..fcclip.model import build_fcclip
from ..fcclip.reference_weights import write_reference_checkpoint
from ..fcclip.spec import get_spec
from ..panoptic import panoptic_from_queries
from ..segmenter import Segmenter
from ..vocabulary import Vocabulary
from .machine import peak_memory_bytes, reset_peak_memory

__all__ = ["VARIANTS", "FrameTiming", "Variant", "benchmark_model", "load_for_benchmark", "made_up_picture"]

CLASSES = (
    "person,man,woman; car,cars; dog,puppy; zebra; armchair,lounge chair; robot; "
    "sky:stuff; grass:stuff; road,route:stuff; skyscraper:stuff; wall,brick wall:stuff; water:stuff"
)


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run the model."""

    name: str
    dtype: str = "fp32"
    compile: bool = False
    channels_last: bool = False


VARIANTS = (
    Variant("fp32"),
    Variant("fp32 compiled", compile=True),
    Variant("bf16", dtype="bf16"),
    Variant("bf16 compiled", dtype="bf16", compile=True),
)


@dataclass(frozen=True, slots=True)
class FrameTiming:
    """What one variant took.

    Attributes:
        trunks: median over the runs of frame time / trunk time.
        trunks_low, trunks_high: smallest and largest of these ratios.
        trunk_seconds, frame_seconds: medians.
        first_frame_seconds: with compilation where there is one, and the text of both vocabularies if it is not cached.
        stages: share of the frame by part, in trunks (uncompiled variants only).
        load_peak_bytes, run_peak_bytes: peak resident memory while loading, and while running (before the baseline
            trunk, which needs memory of its own, is built).
        queries: how many went into the panoptic merge.
    """

    model: str
    variant: str
    size_hw: tuple[int, int]
    runs: int
    trunks: float
    trunks_low: float
    trunks_high: float
    trunk_seconds: float
    frame_seconds: float
    first_frame_seconds: float
    load_peak_bytes: int
    run_peak_bytes: int
    queries: int
    stages: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def benchmark_model(
    model: str,
    variant: Variant,
    *,
    size_hw: tuple[int, int] = (480, 640),
    runs: int = 7,
    weights: Path | str | None = None,
) -> FrameTiming:
    """Time one variant of one model in this process, with the threads that torch has now.

    Args:
        model: a model's name.
        variant: how to run it.
        size_hw: of the picture and of the network's input.
        runs: counted turns, after one of each that is not.
        weights: a checkpoint; None for deterministic weights, whose masks are as many as a trained model's.
    """
    segmenter = load_for_benchmark(model, weights)
    gc.collect()
    load_peak = peak_memory_bytes()
    segmenter.short_side, segmenter.max_long_side = min(size_hw), max(size_hw)
    optimize(segmenter, dtype=variant.dtype, compile=variant.compile, channels_last=variant.channels_last)
    vocabulary = Vocabulary.parse(CLASSES, name="benchmark")
    picture = made_up_picture(size_hw)

    def frame() -> None:
        panoptic_from_queries(segmenter.segment([picture], vocabulary)[0])

    reset_peak_memory()
    first = _seconds(frame)
    frame()
    run_peak = peak_memory_bytes()
    baseline = _Trunk(model, segmenter, size_hw)
    baseline.run()
    turns = [(_seconds(baseline.run), _seconds(frame)) for _ in range(runs)]
    ratios = [whole / trunk for trunk, whole in turns]
    return FrameTiming(
        model=model,
        variant=variant.name,
        size_hw=size_hw,
        runs=runs,
        trunks=statistics.median(ratios),
        trunks_low=min(ratios),
        trunks_high=max(ratios),
        trunk_seconds=statistics.median(trunk for trunk, _ in turns),
        frame_seconds=statistics.median(whole for _, whole in turns),
        first_frame_seconds=first,
        load_peak_bytes=load_peak,
        run_peak_bytes=run_peak,
        queries=len(segmenter.segment([picture], vocabulary)[0]),
        stages={} if variant.compile else _stages(segmenter, picture, vocabulary, baseline),
    )


def made_up_picture(size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A made-up street: sky, ground, and a few bright shapes; the same on every machine."""
    height, width = size_hw
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y / height, x / width
    picture = np.where((y < 0.45)[..., None], [120, 170, 230], [90, 90, 80]) * (0.8 + 0.2 * x[..., None])
    for cy, cx, radius, color in ((0.6, 0.25, 0.12, (200, 40, 40)), (0.55, 0.7, 0.18, (40, 160, 70)),
                                  (0.25, 0.5, 0.07, (250, 240, 90)), (0.8, 0.55, 0.1, (60, 60, 200))):  # fmt: skip
        inside = (y - cy) ** 2 + ((x - cx) * width / height) ** 2 < radius**2
        picture = np.where(
            inside[..., None], np.array(color) * (0.7 + 0.3 * np.sin(40 * x + 25 * y))[..., None], picture
        )
    return np.ascontiguousarray(picture.clip(0, 255).astype(np.uint8))


class _Trunk:
    """The baseline: the bare CLIP trunk in float32, eager, default layout."""

    def __init__(self, model: str, segmenter: Segmenter, size_hw: tuple[int, int]) -> None:
        untouched = segmenter.precision == "fp32" and not segmenter.channels_last
        self.backbone: ClipBackbone = segmenter.model.backbone if untouched else build_backbone(get_spec(model))
        self.images = torch.randn(1, 3, *size_hw, generator=torch.Generator().manual_seed(0))

    @torch.inference_mode()
    def run(self) -> None:
        self.backbone.forward(self.images)


def _stages(
    segmenter: Segmenter, picture: npt.NDArray[np.uint8], vocabulary: Vocabulary, baseline: _Trunk
) -> dict[str, float]:
    """Where an uncompiled frame spends its time, in trunks; medians over a few frames."""
    spent: dict[str, list[float]] = {}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **kwargs)
            spent.setdefault(name, []).append(time.perf_counter() - start)
            return result

        return wrapper

    model = segmenter.model
    parts = {"backbone": model.backbone, "pixel decoder": model.pixel_decoder, "mask decoder": model.mask_decoder}
    for name, part in parts.items():
        part.forward = timed(name, part.forward)
    try:
        frame = timed("whole", lambda: merge(segmenter.segment([picture], vocabulary)[0]))
        merge = timed("panoptic merge", panoptic_from_queries)
        trunk = timed("trunk", baseline.run)
        for _ in range(3):
            trunk()
            frame()
    finally:
        for part in parts.values():
            del part.forward
    # The baseline may be the model's own backbone, whose calls are then counted for both: take every second one.
    if baseline.backbone is model.backbone:
        spent["backbone"] = spent["backbone"][1::2]
    median = {name: statistics.median(values) for name, values in spent.items()}
    trunk_seconds, whole = median.pop("trunk"), median.pop("whole")
    median["rest"] = whole - sum(median.values())
    return {name: seconds / trunk_seconds for name, seconds in median.items()}


def load_for_benchmark(model: str, weights: Path | str | None, device: str = "cpu") -> Segmenter:
    """The model in float32, by default on deterministic weights, loaded the way a user's weights are."""
    if weights is not None or get_spec(model).random_weights:
        return Segmenter.load(model, weights, device=device, precision="fp32")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reference.pth"
        # In another process: what writing leaves behind in this one would count as memory of loading.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as writer:
            writer.submit(_write_reference, model, path).result()
        return Segmenter.load(model, path, device=device, precision="fp32")


def _write_reference(model: str, path: Path) -> None:
    write_reference_checkpoint(build_fcclip(get_spec(model), initialize=False), path)


def _seconds(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start

"""`evaluate speed`: how long scoring takes on this machine, from folders on disk as a user has them."""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..sinks.files import encode_panoptic_png
from .arguments import Parser
from .inputs.opening import open_inputs
from .inputs.sides import feed
from .metrics.video_scores import METRICS, VideoScores
from .reports.tables import print_table, table

__all__ = ["main", "write_sequence"]

Ids = npt.NDArray[np.int32]

CATEGORIES = [{"id": id_, "name": f"category {id_}", "isthing": int(id_ >= 8)} for id_ in range(24)]
THINGS = 16
STUFF = 6
SETS = (("vpq", "stq"), ("pq",), ("vpq",), ("stq",), ("tracking",), ("ap",), ("miou",), ("vc",), METRICS)


def main(arguments: Sequence[str], program: str) -> int:
    """Make a sequence, score it by each metric, print how long it took."""
    options = _parser(program).parse_args(arguments)
    if options.frames < 1 or min(options.size) < 16:
        raise ConfigError(f"{options.frames} frames of {options.size}, expected at least 1 of at least 16 x 16")
    with TemporaryDirectory() as folder:
        write_sequence(Path(folder), options.frames, options.size)
        rows = []
        for metrics in SETS:
            taken = _seconds(lambda metrics=metrics: _score(Path(folder), metrics))  # type: ignore[misc]
            name = "all together" if metrics is METRICS else " + ".join(metrics)
            rows.append([name, f"{taken:.1f}", f"{options.frames / taken:.0f}"])
        reading = _seconds(lambda: _read(Path(folder)))  # last: what runs first finds a cold machine
        rows.append(["reading alone", f"{reading:.1f}", f"{options.frames / reading:.0f}"])
    height, width = options.size
    title = (
        f"{options.frames} frames of {height} x {width}, {STUFF} stuff and {THINGS} things each, reading included; "
        f"{platform.machine()}, {os.cpu_count()} cores, one used"
    )
    print_table(table(title, ("metrics", "seconds", "frames a second"), rows))
    return 0


def write_sequence(folder: Path, frames: int, size_hw: tuple[int, int]) -> None:
    """A video in VIPSeg's layout, `gt` and `pred`: bands of stuff with ragged borders, ellipses that move."""
    rng = np.random.default_rng(0)
    bodies = rng.uniform(0, 1, (THINGS, 6))
    for side, pictures, document in (("gt", "panomasksRGB", "panoptic_gt.json"), ("pred", "pan_pred", "pred.json")):
        (folder / side / pictures / "video").mkdir(parents=True)
        annotations = []
        for frame in range(frames):
            ids = _picture(bodies, frame / 25, size_hw, shifted=side == "pred")
            name = f"{frame:05d}"
            (folder / side / pictures / "video" / f"{name}.png").write_bytes(encode_panoptic_png(ids))
            annotations.append({"image_id": name, "file_name": f"{name}.png", "segments_info": _segments(ids)})
        content: dict[str, Any] = {"annotations": [{"video_id": "video", "annotations": annotations}]}
        images = [{"id": each["image_id"], "file_name": each["file_name"]} for each in annotations]
        content |= {"videos": [{"video_id": "video", "images": images}], "categories": CATEGORIES}
        (folder / side / document).write_text(json.dumps(content))


def _picture(bodies: npt.NDArray[np.float64], seconds: float, size_hw: tuple[int, int], *, shifted: bool) -> Ids:
    height, width = size_hw
    columns = np.arange(width)
    ragged = (np.sin(columns / 7) + np.sin(columns / 3.3 + seconds) + 2 * shifted) * height / 100
    rows = np.arange(height)[:, None] + ragged
    ids = (np.clip(rows * STUFF // height, 0, STUFF - 1) + 1).astype(np.int32)
    for number, (x, y, speed_x, speed_y, wide, high) in enumerate(bodies):
        center = (
            int((x + 0.2 * np.sin(seconds * speed_x)) * width) + 4 * shifted,
            int((y + 0.2 * np.cos(seconds * speed_y)) * height) + 3 * shifted,
        )
        axes = int((0.03 + 0.08 * wide) * width), int((0.03 + 0.12 * high) * height)
        switched = 100 if shifted and (seconds + number) % 8 < 4 else 0  # the prediction loses track now and then
        cv2.ellipse(ids, center, axes, 0, 0, 360, STUFF + 1 + number + switched, -1)
    ids[: height // 20] = 0
    return ids


def _segments(ids: Ids) -> list[dict[str, int]]:
    found, areas = np.unique(ids[ids > 0], return_counts=True)
    return [
        {"id": id_, "category_id": id_ % 100 if id_ % 100 <= STUFF else 8 + id_ % 100 % 16, "area": area, "iscrowd": 0}
        for id_, area in zip(found.tolist(), areas.tolist(), strict=True)
    ]


def _score(folder: Path, metrics: Sequence[str]) -> None:
    inputs = open_inputs(folder / "gt", folder / "pred")
    if inputs.truth is not None and inputs.predictions is not None:
        scores = VideoScores(inputs.truth.categories, metrics=metrics)
        feed(scores, inputs.truth, inputs.predictions)
        scores.to_dict()


def _read(folder: Path) -> None:
    inputs = open_inputs(folder / "gt", folder / "pred")
    if inputs.truth is not None and inputs.predictions is not None:
        for video in inputs.truth.videos():
            for true, predicted in zip(video.frames, inputs.predictions.follow(video), strict=True):
                true.read()
                predicted.read()


def _seconds(work: Callable[[], None]) -> float:
    started = time.process_time()  # of this process: what others do on the machine is left out
    work()
    return time.process_time() - started


def _parser(program: str) -> argparse.ArgumentParser:
    parser = Parser(prog=program, description="Measure how long scoring takes, on a sequence that is made for it.")
    parser.add_argument("--frames", type=int, default=1000, help="default: %(default)s")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(480, 854), metavar=("HEIGHT", "WIDTH"), help="default: 480 854"
    )
    return parser

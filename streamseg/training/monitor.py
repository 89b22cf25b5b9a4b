"""How a run is watched: a bar or log lines, `metrics.jsonl`, TensorBoard, and rendered examples.

OUT/metrics.jsonl                      one line for each logged step
OUT/tensorboard/                       the same as curves, with the pictures
OUT/pictures/step-00005000-0.jpg       truth and prediction of a fixed example
"""

import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import TrainingError
from ..sinks.files import atomic_write

__all__ = ["Monitor", "Progress"]

logger = logging.getLogger(__name__)

Picture = npt.NDArray[np.uint8]
JPEG_QUALITY = 92


class Monitor:
    """Everything that the first worker shows and writes while it trains.

    Args:
        output: folder of the run.
        steps: of the whole run.
        start: steps that are done already; what earlier lines say of later steps is dropped.
        tensorboard: write its files, where it is installed.
    """

    def __init__(self, output: Path, *, steps: int, start: int = 0, tensorboard: bool = True) -> None:
        self.output = output
        self.progress = Progress(steps, start)
        self._metrics = output / "metrics.jsonl"
        _drop_later_lines(self._metrics, start)
        self._board = _open_tensorboard(output / "tensorboard", start) if tensorboard else None

    def advance(self, step: int) -> None:
        """`step` steps are done."""
        self.progress.advance(step)

    def log(self, record: Mapping[str, Any]) -> None:
        """One line of metrics; `record["step"]` says which."""
        self._append(json.dumps(record) + "\n")
        if self._board is not None:
            for name, value in record.items():
                if name != "step":
                    self._board.add_scalar(_tag(name), value, record["step"])
        self.progress.show(record)

    def show(self, step: int, pictures: Sequence[Picture]) -> None:
        """Keep rendered examples, (H, W, 3) uint8 RGB each."""
        folder = self.output / "pictures"
        folder.mkdir(exist_ok=True)
        for number, picture in enumerate(pictures):
            atomic_write(folder / f"step-{step:08d}-{number}.jpg", _jpeg(picture))
            if self._board is not None:
                self._board.add_image(f"examples/{number}", picture, step, dataformats="HWC")

    def _append(self, line: str) -> None:
        try:
            with self._metrics.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise TrainingError(
                f"cannot write {self._metrics}: {error.strerror}; make room, then go on with --resume"
            ) from None

    def say(self, text: str) -> None:
        """One line for people."""
        self.progress.say(text)

    def close(self) -> None:
        """Give the terminal back; flush."""
        self.progress.close()
        if self._board is not None:
            self._board.close()


class Progress:
    """A bar on a terminal, plain lines otherwise; on stderr.

    Args:
        steps: of the whole run.
        start: steps that are done already.
    """

    def __init__(self, steps: int, start: int) -> None:
        self.steps = steps
        self.start = start
        self._begun = time.monotonic()
        self._bar: Any = None
        self._task: Any = None
        if sys.stderr.isatty():
            self._open_bar()

    def advance(self, step: int) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def show(self, record: Mapping[str, Any]) -> None:
        summary = _summary(record)
        if self._bar is not None:
            self._bar.update(self._task, summary=summary)
        else:
            self.say(f"step {record['step']}/{self.steps}  {summary}  {self._eta(int(record['step']))}")

    def say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        summary = TextColumn("{task.fields[summary]}")
        self._bar = Bar(*columns, summary, console=Console(stderr=True))
        self._task = self._bar.add_task("", total=self.steps, completed=self.start, summary="")
        self._bar.start()

    def _eta(self, step: int) -> str:
        done = step - self.start
        if done <= 0:
            return ""
        seconds = round((time.monotonic() - self._begun) / done * (self.steps - step))
        hours, rest = divmod(seconds, 3600)
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d} left"


def _summary(record: Mapping[str, Any]) -> str:
    parts = [f"{name} {record[name]:.3f}" for name in ("loss", "loss_ce", "loss_mask", "loss_dice") if name in record]
    if "images_per_second" in record:
        parts.append(f"{record['images_per_second']:.2f} images/s")
    return "  ".join(parts) or "  ".join(f"{name} {value:.4g}" for name, value in record.items() if name != "step")


def _tag(name: str) -> str:
    """TensorBoard groups by what stands before the slash."""
    if not name.startswith("loss"):
        return name if "/" in name else f"run/{name}"
    return f"stages/{name}" if name[-1].isdigit() else f"loss/{name}"


def _drop_later_lines(path: Path, start: int) -> None:
    """What a run wrote after its last checkpoint is computed again."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if _step_of(line) <= start]
    if len(kept) < len(lines):
        atomic_write(path, "".join(kept).encode())


def _step_of(line: str) -> float:
    try:
        step: int = json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):  # cut off when the run was killed
        return float("inf")
    return step


def _open_tensorboard(folder: Path, start: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.warning("tensorboard is not installed, so there are no curves: pip install tensorboard")
        return None
    return SummaryWriter(str(folder), purge_step=start + 1)


def _jpeg(picture: Picture) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()

"""The state of a run on disk: written in one step, opened without running code, and never continued as another run.

    OUT/checkpoints/step-00005000.pt     mask generator, optimizer, step, settings, fingerprint of CLIP
    OUT/head.safetensors                 the trained part alone, for use with CLIP's published weights
    OUT/model_official.pth               all of it, in the official layout

CLIP is frozen and large, so a checkpoint holds its fingerprint only.
"""

import logging
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ..errors import ConfigError, StreamsegError, TrainingError, WeightsError
from ..fcclip.model import FCCLIP
from ..fcclip.weights import save_official
from .settings import differences

__all__ = ["Checkpoints", "export_weights", "refuse_other_settings"]

logger = logging.getLogger(__name__)

VERSION = 1
PATTERN = re.compile(r"step-(\d{8,})\.pt")
KEYS = {"version", "step", "settings", "clip", "head", "average", "optimizer", "scaler", "window"}


class Checkpoints:
    """The checkpoints of one run.

    Args:
        output: folder of the run; checkpoints are in `checkpoints/` below it.
        keep: how many stay.
    """

    def __init__(self, output: Path, keep: int) -> None:
        self.folder = output / "checkpoints"
        self.keep = keep

    def paths(self) -> list[Path]:
        """Those that are here, oldest first."""
        if not self.folder.is_dir():
            return []
        found = ((PATTERN.fullmatch(path.name), path) for path in self.folder.iterdir())
        return [path for _, path in sorted((int(match[1]), path) for match, path in found if match)]

    def save(self, state: Mapping[str, Any]) -> Path:
        """Write the state after `state["step"]` steps; the file is there whole, or not at all.

        Older checkpoints go only when the new one is on the disk.

        Raises:
            TrainingError: it cannot be written; earlier checkpoints are as they were.
        """
        path = self.folder / f"step-{state['step']:08d}.pt"
        content = {"version": VERSION, **state}
        write_atomically(path, lambda temporary: torch.save(content, temporary))
        others = [other for other in self.paths() if other != path]
        for old in others[: max(0, len(others) - self.keep + 1)]:
            with suppress(OSError):
                old.unlink()
        return path

    def load_latest(self) -> dict[str, Any]:
        """The newest state that can be read, on the CPU; damaged ones are named in the log and passed over.

        Raises:
            TrainingError: there is none.
        """
        for path in reversed(self.paths()):
            try:
                return load_checkpoint(path)
            except TrainingError as error:
                logger.warning("%s; going on with the one before", error)
        raise TrainingError(f"no checkpoint to resume from in {self.folder}: start without --resume")


def load_checkpoint(path: Path) -> dict[str, Any]:
    """One state, on the CPU. Opened with `weights_only`, so the file can run no code.

    Raises:
        TrainingError: it is damaged, or no checkpoint of a run.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the unpickler raise anything
        reason = str(error).partition("\n")[0][:120] or type(error).__name__
        raise TrainingError(f"checkpoint {path} cannot be read ({reason}), expected one that training wrote") from None
    if not isinstance(state, dict) or not set(state) >= KEYS:
        raise TrainingError(f"{path} is no checkpoint of a training run, expected one that training wrote")
    if state["version"] != VERSION:
        raise TrainingError(f"{path} is a checkpoint of version {state['version']}, expected {VERSION}")
    return state


def refuse_other_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """ConfigError that names what differs, where going on would make a run that neither setting describes."""
    changed = differences(before, after)
    if changed:
        listed = "; ".join(f"{key} was {old!r}, now {new!r}" for key, (old, new) in changed.items())
        raise ConfigError(f"cannot resume with other settings: {listed}; set them back, or start in another --output")


def export_weights(output: Path, model: FCCLIP, head: Mapping[str, Tensor]) -> None:
    """Write what inference loads: the head alone, and everything in the official layout.

    Args:
        output: folder of the run.
        model: for the frozen part; its head is what `head` holds.
        head: by our names.

    Raises:
        TrainingError: no room, or no right to write.
    """
    tensors = {key: value.detach().cpu().contiguous() for key, value in head.items()}
    write_atomically(output / "head.safetensors", lambda temporary: save_file(tensors, temporary))
    try:
        save_official(model, output / "model_official.pth")
    except WeightsError as error:
        raise TrainingError(str(error)) from None


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file that appears under its name when it is complete and on the disk.

    Raises:
        TrainingError: that failed; what had the name before still has it.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        _to_disk(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
        _to_disk(path.parent)
    except StreamsegError:
        raise
    except Exception as error:  # torch and safetensors report a full disk by errors of their own
        if not isinstance(error, OSError | RuntimeError) and "Safetensor" not in type(error).__name__:
            raise
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise TrainingError(
            f"cannot write {path}: {reason}; make room or choose another output, then go on with --resume"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Past the caches, so that a power cut leaves the old file or the new one."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

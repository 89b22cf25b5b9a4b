"""One black and white PNG for each segment of each frame, for programs that read neither ids nor run lengths."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..config.sinks import RotationSettings
from ..frames import FrameResult
from ..tracks import TrackRow
from .base import Emission, StreamFacts
from .epochs import EpochFolders, block_bytes, frame_name
from .files import RUNS_ONLY, cannot_write, encode_picture, temporary_path
from .rotation import Parts, active_rotation, stream_seconds

__all__ = ["SegmentMasksSink"]


class SegmentMasksSink:
    """Writes `epoch-<n>/masks/<frame>/<id>.png`, 255 on the segment and 0 elsewhere; a frame's folder appears whole.

    A frame without segments has an empty folder.

    Args:
        facts: of the stream.
        rotation: when the folders are cut into parts.
    """

    name = "masks"
    external = False

    def __init__(self, facts: StreamFacts, rotation: RotationSettings | None = None) -> None:
        self._stream = facts.folder
        self._folders = EpochFolders(facts.folder, "masks")
        self._parts = Parts(active_rotation(rotation, live=facts.live))
        self._last: tuple[int, int] | None = None  # epoch and frame

    def open(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        self._parts.restore(state["parts"])
        self._last = None if state["last"] is None else (state["last"][0], state["last"][1])
        try:
            self._folders.go_back(self._parts.finished, self._last)
        except OSError as error:
            raise cannot_write(self._stream, error) from None

    def write(self, emission: Emission) -> None:
        result = emission.result
        masks, seconds = _encode_masks(result), stream_seconds(result)
        size = block_bytes(1) + sum(block_bytes(len(png)) for png in masks.values())  # the folder takes a block, too
        folder = self._folders.current(result.epoch) / frame_name(result.index)
        try:
            if self._parts.due(size, seconds):
                self._rotate()
            folder.parent.mkdir(parents=True, exist_ok=True)
            _write_folder(folder, masks)
        except OSError as error:
            raise cannot_write(folder, error) from None
        self._parts.add(size, seconds)
        self._last = (result.epoch, result.index)

    def state(self) -> dict[str, Any]:
        return {"last": self._last, "parts": self._parts.state()}

    def close(self, remaining: Sequence[TrackRow] = ()) -> None:
        """Nothing is left to do: every frame is whole."""

    def _rotate(self) -> None:
        self._folders.finish(self._parts.finished + 1)
        for number in self._parts.finish():
            self._folders.remove(number)


def _encode_masks(result: FrameResult) -> dict[str, bytes]:
    """PNGs by file name."""
    return {
        f"{segment.id}.png": encode_picture(".png", result.mask(segment.id).astype(np.uint8) * 255, RUNS_ONLY)
        for segment in result.segments
    }


def _write_folder(folder: Path, files: dict[str, bytes]) -> None:
    """All of the files, or no folder."""
    temporary = temporary_path(folder)
    try:
        temporary.mkdir()
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        temporary.replace(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise

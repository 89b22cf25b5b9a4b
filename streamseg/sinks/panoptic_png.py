"""One panoptic PNG for each frame, id = R + 256 G + 65536 B, and the JSON documents that say what the ids mean."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ..config.sinks import RotationSettings
from ..tracks import TrackRow
from .annotations import PANOPTIC, AnnotationLines, compile_documents, remove_documents
from .base import Emission, StreamFacts
from .epochs import EpochFolders, block_bytes, frame_name
from .files import atomic_write, cannot_write, encode_panoptic_png
from .rotation import Parts, active_rotation, stream_seconds

__all__ = ["PanopticPngSink"]


class PanopticPngSink:
    """Writes `epoch-<n>/panoptic/<frame>.png`, and at the end the documents of `streamseg/sinks/annotations.py`.

    A PNG is there as a whole or not at all, and listed if it is there. Where parts are cut, documents are left to
    `compile_documents`: to compile hours of annotations would hold up the stream, or its end.

    Args:
        facts: of the stream.
        rotation: when the folders are cut into parts.
    """

    name = "png"
    external = False

    def __init__(self, facts: StreamFacts, rotation: RotationSettings | None = None) -> None:
        self._stream = facts.folder
        self._folders = EpochFolders(facts.folder, PANOPTIC)
        self._parts = Parts(active_rotation(rotation, live=facts.live))
        self._last: tuple[int, int] | None = None  # epoch and frame
        self._epoch: int | None = None  # whose annotations are open
        self._annotations: AnnotationLines | None = None

    def open(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        self._parts.restore(state["parts"])
        self._last = None if state["last"] is None else (state["last"][0], state["last"][1])
        try:
            remove_documents(self._stream)
            whole = self._folders.go_back(self._parts.finished, self._last)
        except OSError as error:
            raise cannot_write(self._stream, error) from None
        if self._last is not None and state["annotations"] is not None and whole:
            self._open_annotations(self._last[0], state["annotations"])

    def write(self, emission: Emission) -> None:
        result = emission.result
        png, seconds = encode_panoptic_png(result.panoptic), stream_seconds(result)
        if self._parts.due(block_bytes(len(png)), seconds):
            self._rotate()
        annotations = self._enter(result.epoch)
        path = self._folders.current(result.epoch) / f"{frame_name(result.index)}.png"
        atomic_write(path, png)
        try:
            line_bytes = annotations.append(result, emission.vocabulary)
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise
        self._parts.add(block_bytes(len(png)) + line_bytes, seconds)
        self._last = (result.epoch, result.index)

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"last": self._last, "annotations": None, "parts": self._parts.state()}
        if self._annotations is not None and self._last is not None and self._last[0] == self._epoch:
            state["annotations"] = self._annotations.state()  # else no frame of this epoch could be written yet
        return state

    def close(self, remaining: Sequence[TrackRow] = ()) -> None:  # noqa: ARG002 - tracks have a sink of their own
        if self._annotations is not None:
            self._annotations.close()
        if self._parts.rotation is None:
            compile_documents(self._stream)

    def _enter(self, epoch: int) -> AnnotationLines:
        """The annotations of an epoch; its folder is made where it is new."""
        if self._annotations is not None and self._epoch == epoch:
            return self._annotations
        self._leave()
        try:
            self._folders.current(epoch).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self._folders.current(epoch), error) from None
        return self._open_annotations(epoch, None)

    def _open_annotations(self, epoch: int, state: dict[str, Any] | None) -> AnnotationLines:
        annotations = AnnotationLines(self._folders.current(epoch))
        annotations.open(state)
        self._epoch, self._annotations = epoch, annotations
        return annotations

    def _leave(self) -> None:
        annotations, self._annotations, self._epoch = self._annotations, None, None
        if annotations is not None:
            annotations.close()

    def _rotate(self) -> None:
        self._leave()
        try:
            self._folders.finish(self._parts.finished + 1)
            for number in self._parts.finish():
                self._folders.remove(number)
        except OSError as error:
            raise cannot_write(self._stream, error) from None

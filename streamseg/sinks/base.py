"""What every sink offers, and what it is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..frames import FrameResult
from ..tracks import TrackRow
from ..vocabulary import Vocabulary

__all__ = ["Emission", "Sink", "StreamFacts"]


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What a sink knows of its stream before the first frame.

    Attributes:
        stream_id: name of the stream.
        folder: OUT/<stream>, existing; all files of the sink go below it.
        model: name of the model.
        vocabulary: as the run begins; it may change, see `Emission.vocabulary`.
        live: whether the input has no end.
        fps: frames a second of the results (after stride and max_fps); None if not known.
        recording: the video file that frames come from, if there is one (its sound may be copied).
    """

    stream_id: str
    folder: Path
    model: str
    vocabulary: Vocabulary
    live: bool
    fps: Fraction | None = None
    recording: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Emission:
    """One frame's results, on their way out.

    Attributes:
        result: the frame's record and map.
        rgb: (H, W, 3) uint8, the frame's picture; its size may differ from the map's (`--output-size`).
        vocabulary: what the labels come from.
        ended: tracks that ended with this frame.
        replayed: it was emitted before the run was interrupted, and is computed again; sinks that give things away
            (HTTP, standard output) leave it out, sinks that own files write it again, to the same bytes.
    """

    result: FrameResult
    rgb: npt.NDArray[np.uint8]
    vocabulary: Vocabulary
    ended: tuple[TrackRow, ...] = ()
    replayed: bool = False


class Sink(Protocol):
    """Takes the results of one stream, in order, from one thread. Passive: it starts no thread.

    Attributes:
        name: its kind, for messages and counters.
        external: whether it gives things away to others who may be slow or gone (HTTP, a pipe). The runtime then calls
            it from a thread of its own, behind a bounded queue.
    """

    name: str
    external: bool

    def open(self, state: dict[str, Any] | None) -> None:
        """Called once, before anything else.

        Args:
            state: None starts afresh (whatever lies in the folder has been cleared); else what `state()` returned at
                the commit that the run goes on from: everything written later is to be cut off, since it comes again.
        """
        ...

    def write(self, emission: Emission) -> None:
        """Write one frame, and flush it to the operating system. SinkError where that fails."""
        ...

    def state(self) -> dict[str, Any]:
        """What `open` needs to go on from here, as plain JSON values, small; also after `close`.

        Everything written so far is with the operating system: it outlives the process, though not a power cut.
        """
        ...

    def close(self, remaining: Sequence[TrackRow] = ()) -> None:
        """Finish.

        Args:
            remaining: tracks that were alive when the stream ended; empty where a run was stopped and can be resumed.
        """
        ...

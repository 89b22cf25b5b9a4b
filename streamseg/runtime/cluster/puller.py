"""The thread of a worker that pulls one stream from its decoder, and survives its decoder's death."""

import logging
import threading
from typing import Any

import ray
from ray.exceptions import RayError

from ...errors import SourceError
from ..intake import Intake
from .wire import Pack, Place, PulledFrame, from_wall

__all__ = ["Puller"]

logger = logging.getLogger(__name__)

OBJECTS_AHEAD = 2  # packs of a recording that wait between the processes
WAKE_SECONDS = 0.5  # how long it takes to notice that it is to stop
RETRY_SECONDS = 0.2


class Puller:
    """Pulls one stream into a lane of the intake.

    Args:
        stream_id: its name.
        key: of the lane.
        lease: under which the stream is followed here.
        decoder: the actor.
        place: where to begin.
        live: whether the newest frames count, and not all.
        intake: where frames go.
        max_restarts: how often in a row the decoder may die without a frame in between.
    """

    def __init__(
        self,
        stream_id: str,
        key: str,
        lease: int,
        decoder: Any,
        place: Place,
        intake: Intake,
        *,
        live: bool,
        max_restarts: int,
    ) -> None:
        self.totals: dict[str, Any] | None = None
        self._stream_id = stream_id
        self._key = key
        self._lease = lease
        self._decoder = decoder
        self._place = place
        self._intake = intake
        self._ahead = 1 if live else OBJECTS_AHEAD
        self._max_restarts = max_restarts
        self._deaths = 0  # in a row
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pull {stream_id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and (wait := self._pull()) is not None:
                self._stop.wait(wait)
        except Exception as error:  # a bug, too, has to end the stream and not only this thread
            self._intake.end(self._key, error)

    def _pull(self) -> float | None:
        """One call, to its end; seconds until the next one, None where there is none to be."""
        generator = self._decoder.frames.options(
            num_returns="streaming", _generator_backpressure_num_objects=self._ahead
        ).remote(self._place, self._lease)
        try:
            return self._drain(generator)
        except RayError as error:
            return self._wait_after(error)
        finally:
            ray.cancel(generator)

    def _drain(self, generator: Any) -> float | None:
        while not self._stop.is_set():
            ready, _ = ray.wait([generator], timeout=WAKE_SECONDS, fetch_local=False)
            if not ready:
                continue
            try:
                reference = next(generator)
            except StopIteration:  # somebody else has the stream now
                return None
            pack = ray.get(reference)
            if self._take(pack, reference):
                return None
            if not pack.frames:
                return 0.0
        return None

    def _take(self, pack: Pack, reference: Any) -> bool:
        """Into the intake, waiting for room; whether the stream has ended."""
        for place, arrived in enumerate(pack.frames):
            self._deaths = 0
            self._place = Place.after(arrived)
            frame = PulledFrame(
                arrived.frame,
                arrived.number,
                from_wall(arrived),
                arrived.totals,
                arrived.origin_seconds,
                arrived.last_kept_seconds,
                self._key,
                (reference, place),
            )
            if self._intake.put(frame):  # the lane is over
                return True
        if pack.ended:
            self.totals = None if pack.totals is None else dict(pack.totals)
            self._intake.end(self._key, None if pack.fault is None else pack.fault.error())
        return pack.ended

    def _wait_after(self, error: RayError) -> float | None:
        """The decoder has died: it comes back by itself, unless it dies again and again."""
        self._deaths += 1
        if self._stop.is_set():
            return None
        if self._deaths > self._max_restarts:
            text = f"{self._stream_id}: its decoder died {self._deaths} times in a row: look at the source"
            self._intake.end(self._key, SourceError(text))
            return None
        logger.warning("%s: the decoder died (%s) and is replaced", self._stream_id, type(error).__name__)
        return min(5.0, RETRY_SECONDS * (1 + 2.0**self._deaths))

"""The thread of a worker that brings one stream's results to its emitter, in another process."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError

from ...metrics import StreamCounters
from ...vocabulary import Vocabulary
from ..channel import Channel
from ..emitter import Closing, Outgoing
from .wire import Fault, Parcel

__all__ = ["Courier"]

logger = logging.getLogger(__name__)

MOST_TOGETHER = 8


class Courier:
    """In the place of an emitter, for a follower.

    One call is on its way at a time, with all that has gathered meanwhile: so results stay in order, and many small
    ones cost as little as few large ones.

    Args:
        stream_id: its name.
        lease: under which the stream is followed here.
        emitter: the actor.
        queue: results that may wait.
        pictures: whether a sink draws on the pictures.
        lost: called once if the emitter does not take results any more: it has died, or somebody else has the lease.
    """

    def __init__(
        self,
        stream_id: str,
        lease: int,
        emitter: Any,
        *,
        queue: int,
        pictures: bool,
        lost: Callable[[], None],
    ) -> None:
        self.stream_id = stream_id
        self.counters = StreamCounters()  # what is dropped behind the decoder; the emitter finds that out by itself
        self.fault: Fault | None = None
        self.totals: Callable[[], Any] = lambda: None
        self.hand_over = False
        self._lease = lease
        self._emitter = emitter
        self._pictures = pictures
        self._lost = lost
        self._vocabulary: Vocabulary | None = None
        self._channel: Channel[Outgoing | Closing] = Channel(queue)
        self._thread = threading.Thread(target=self._run, name=f"bring {stream_id}")

    def start(self) -> None:
        self._thread.start()

    def put(self, item: Outgoing | Closing) -> bool:
        """The next result, waiting for room; False where nobody will take it any more."""
        return self._channel.put(item)

    def cancel(self) -> None:
        """Bring nothing more."""
        self._channel.cancel()

    def join(self) -> None:
        self._thread.join()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            for items in self._channel.several(MOST_TOGETHER):
                parcels = [self._parcel(item) for item in items if isinstance(item, Outgoing)]
                last = next((item for item in items if isinstance(item, Closing)), None)
                if not self._bring(parcels, last) or last is not None:
                    return
        except RayError as error:
            logger.info("%s: its emitter does not answer (%s)", self.stream_id, type(error).__name__)
            self._give_up()

    def _bring(self, parcels: list[Parcel], last: Closing | None) -> bool:
        emitter, lease = self._emitter, self._lease
        if parcels and not ray.get(emitter.take.remote(self.stream_id, lease, parcels)):
            self._give_up()
            return False
        if last is not None and self.hand_over and not last.finished and self.fault is None:
            ray.get(emitter.hand_over.remote(self.stream_id, lease, last.state))
        elif last is not None:
            totals = self.totals() if last.finished else None
            ray.get(emitter.close.remote(self.stream_id, lease, last, totals, self.fault))
        return True

    def _parcel(self, item: Outgoing) -> Parcel:
        vocabulary = item.emission.vocabulary
        told, self._vocabulary = self._vocabulary, vocabulary
        return Parcel.of(item, None if told is vocabulary else vocabulary, picture=self._pictures)

    def _give_up(self) -> None:
        self._channel.cancel()
        self._lost()

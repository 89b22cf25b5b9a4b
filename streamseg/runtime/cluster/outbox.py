"""Results on their way to the process that started the run."""

from collections.abc import Iterator

from ...frames import FrameResult
from ..channel import Channel
from .wire import PackedResult, pack_result

__all__ = ["Outbox"]

RESULTS_OF_A_CALL = 500  # Ray keeps half a kilobyte for each until the call ends


class Outbox(Channel[FrameResult]):
    """A channel that knows which of its items have arrived at the other process."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._given = 0
        self._arrived = 0

    def put(self, item: FrameResult) -> bool:
        with self._changed:
            taken = super().put(item)
            self._given += taken
            return taken

    def give(self) -> Iterator[PackedResult | None]:
        """For a streaming call: it asks for the next item when its owner has the one before.

        None comes last where there may be more, for another call.
        """
        items = iter(self)
        for _ in range(RESULTS_OF_A_CALL):
            item = next(items, None)
            if item is None:
                return
            yield pack_result(item)
            with self._changed:
                self._arrived += 1
                self._changed.notify_all()
        yield None

    def settle(self) -> None:
        """Returns when all that was put so far has arrived, or nothing will any more."""
        with self._changed:
            given = self._given
            self._changed.wait_for(lambda: self._arrived >= given or self.cancelled)

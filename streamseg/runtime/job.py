"""What every runtime's run offers, and how each of them ends."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from contextlib import suppress
from typing import Any

from ..errors import StreamsegError
from ..frames import FrameResult
from ..metrics import StreamTotals
from ..pipeline.plan import RunPlan
from ..runs.folder import RunFolder
from ..sinks.stdout import ReaderGoneError
from .channel import Channel

__all__ = ["Job", "note_end", "note_streams", "raise_failures"]

WAKE_SECONDS = 0.5  # how long the caller's thread may be deaf to signals, see `Channel`


class Job(ABC):
    """One run, in this process or in others: a thread conducts it, and the caller's thread takes its results.

    Signals reach the caller's thread alone, so whenever Ctrl-C comes, nothing is left half begun or half ended.

    Attributes:
        plan: what is run.
        folder: where sinks write; None for a run whose results only the caller takes.
        stream_errors: why streams ended, of those that failed.
    """

    def __init__(self, plan: RunPlan, folder: RunFolder | None = None) -> None:
        self.plan = plan
        self.folder = folder
        self.stream_errors: dict[str, Exception] = {}
        self._results: Channel[FrameResult] = Channel(plan.settings.batch.queue, wake_seconds=WAKE_SECONDS)
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._lock = threading.Lock()
        self._conductor = threading.Thread(target=self._conduct, name="conductor")
        self._caller: threading.Thread | None = None

    def results(self) -> Generator[FrameResult, None, None]:
        """Run to the end, giving each frame's result after its sinks have taken it.

        Streams are mixed as they come; each stream's frames are in order. Closing the iterator stops the run.

        Raises:
            StreamsegError: a stage failed, or, at the end, streams did; the message names them.
        """
        self._caller = threading.current_thread()
        try:
            self._conductor.start()
            yield from self._results
        finally:
            self.stop()
            while self._conductor.is_alive():
                self._conductor.join(WAKE_SECONDS)
        raise_failures(self._failure, self.stream_errors, len(self.plan.streams))

    @abstractmethod
    def stop(self) -> None:
        """End the run soon: what has been segmented is written, what waits is not. May be called from any thread."""

    @abstractmethod
    def totals(self) -> dict[str, StreamTotals]:
        """Counts by stream, at any time, from any thread."""

    @abstractmethod
    def losses(self) -> dict[str, dict[str, dict[str, int]]]:
        """What sinks could not take, by stream, sink and reason."""

    @abstractmethod
    def statuses(self) -> dict[str, str]:
        """What each stream is doing, for people."""

    @property
    def state(self) -> str:
        """How the run stands once it has ended: "finished", "stopped" or "failed"."""
        if self._failure is not None and not isinstance(self._failure, ReaderGoneError):
            return "failed"
        return "finished" if self._all_finished() else "stopped"

    @abstractmethod
    def _all_finished(self) -> bool:
        """Whether every stream has come to its end."""

    @abstractmethod
    def _run(self) -> None:
        """The run from its first stage to the end of the last."""

    def leave(self) -> None:  # noqa: B027 - a run in one process holds nothing
        """Let go of what the run holds beside its threads, however it ended."""

    def _conduct(self) -> None:
        try:
            self._run()
            note_end(self)
        except Exception as error:  # a bug, too, has to end the caller's loop
            self._failure = self._failure or error
        finally:
            self.leave()
            self._results.close()

    def _fail(self, error: Exception) -> None:
        """An error that ends the run; the first one counts."""
        with self._lock:
            self._failure = self._failure or error
        self.stop()

    def _stop_if_deserted(self) -> None:
        """A thread that died with the results in its hands will not take any more."""
        if self._caller is not None and not self._caller.is_alive():
            self.stop()


def note_end(job: Job) -> None:
    """Say in the run's folder how it ended."""
    if job.folder is not None:
        note_streams(job.folder, job.state, job.totals(), job.losses(), job.stream_errors)


def note_streams(
    folder: RunFolder,
    state: str,
    totals: Mapping[str, StreamTotals],
    losses: Mapping[str, Mapping[str, Mapping[str, int]]],
    errors: Mapping[str, Exception],
) -> None:
    """Say in a run's folder how it stands, and what has become of some of its streams."""
    folder.manifest["state"] = state
    for name, counts in totals.items():
        entry: dict[str, Any] = folder.manifest["streams"][name]
        entry["totals"] = counts.to_dict()
        if name in losses:
            entry["lost_by_sinks"] = {sink: dict(lost) for sink, lost in losses[name].items()}
        entry.pop("error", None)  # of the part before
        if name in errors:
            entry["error"] = " ".join(str(errors[name]).split())
    with suppress(StreamsegError):  # where the disk is full, the error that ended the run says so already
        folder.save()


def raise_failures(failure: Exception | None, errors: Mapping[str, Exception], streams: int) -> None:
    """The error of the run, or else of its streams, if there is any."""
    if failure is not None:
        raise failure
    if len(errors) == 1:
        raise next(iter(errors.values()))
    if errors:
        texts = "; ".join(" ".join(str(error).split()) for error in errors.values())
        raise StreamsegError(f"{len(errors)} of {streams} streams failed: {texts}")

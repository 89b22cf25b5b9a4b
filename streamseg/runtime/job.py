"""What every runtime's run offers, and how each of them ends."""

from collections.abc import Generator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from ..errors import StreamsegError
from ..frames import FrameResult
from ..metrics import StreamTotals
from ..pipeline.plan import RunPlan
from ..runs.folder import RunFolder

__all__ = ["Job", "note_end", "raise_failures"]


class Job(Protocol):
    """One run, in this process or in others.

    Attributes:
        plan: what is run.
        folder: where sinks write; None for a run whose results only the caller takes.
        stream_errors: why streams ended, of those that failed.
    """

    plan: RunPlan
    folder: RunFolder | None
    stream_errors: dict[str, Exception]

    def results(self) -> Generator[FrameResult, None, None]:
        """Run to the end; closing the iterator stops the run."""
        ...

    def stop(self) -> None:
        """End the run soon: what has been segmented is written. May be called from any thread."""
        ...

    def totals(self) -> dict[str, StreamTotals]:
        """Counts by stream, at any time, from any thread."""
        ...

    def losses(self) -> dict[str, dict[str, dict[str, int]]]:
        """What sinks could not take, by stream, sink and reason."""
        ...

    @property
    def state(self) -> str:
        """How the run stands once it has ended: "finished", "stopped" or "failed"."""
        ...

    def statuses(self) -> dict[str, str]:
        """What each stream is doing, for people."""
        ...


def note_end(job: Job) -> None:
    """Say in the run's folder how it ended."""
    if job.folder is None:
        return
    job.folder.manifest["state"] = job.state
    losses = job.losses()
    for name, totals in job.totals().items():
        entry: dict[str, Any] = job.folder.manifest["streams"][name]
        entry["totals"] = totals.to_dict()
        if name in losses:
            entry["lost_by_sinks"] = losses[name]
        entry.pop("error", None)  # of the part before
        if name in job.stream_errors:
            entry["error"] = " ".join(str(job.stream_errors[name]).split())
    with suppress(StreamsegError):  # where the disk is full, the error that ended the run says so already
        job.folder.save()


def raise_failures(failure: Exception | None, errors: Mapping[str, Exception], streams: int) -> None:
    """The error of the run, or else of its streams, if there is any."""
    if failure is not None:
        raise failure
    if len(errors) == 1:
        raise next(iter(errors.values()))
    if errors:
        texts = "; ".join(" ".join(str(error).split()) for error in errors.values())
        raise StreamsegError(f"{len(errors)} of {streams} streams failed: {texts}")

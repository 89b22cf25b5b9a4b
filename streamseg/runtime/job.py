"""What every runtime's run offers, and how each of them ends."""

from collections.abc import Generator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from ..errors import StreamsegError
from ..frames import FrameResult
from ..metrics import StreamTotals
from ..pipeline.plan import RunPlan
from ..runs.folder import RunFolder

__all__ = ["Job", "note_end", "note_streams", "raise_failures"]


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

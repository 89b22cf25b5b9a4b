"""A stream of a run, and where it is."""

from dataclasses import dataclass

from ...metrics import StreamTotals
from ...pipeline.plan import StreamPlan
from ...sources.address import redact
from ...vocabulary import Vocabulary
from .emitting import StreamReport
from .watching import Watched

__all__ = ["Placed"]

NOTHING = StreamTotals(0, 0, 0, {}, 0, 0, None)


@dataclass(slots=True, eq=False)
class Placed:
    """A stream, and where it is.

    Attributes:
        plan: of the stream.
        vocabulary: its words now.
        emitter: which one has it.
        decoder: its own.
        lease: the latest.
        worker: which one follows it; None while nobody does.
        placed_at: when it got there; `time.monotonic()`.
        opened: whether its emitter knows of it.
        paused: nobody is to follow it for now.
        report: the last that is known of it.
    """

    plan: StreamPlan
    vocabulary: Vocabulary
    emitter: int
    decoder: Watched
    lease: int = 0
    worker: int | None = None
    placed_at: float = 0.0
    opened: bool = False
    paused: bool = False
    report: StreamReport | None = None

    @property
    def ended(self) -> bool:
        return self.report is not None and self.report.ended

    @property
    def totals(self) -> StreamTotals:
        return NOTHING if self.report is None else self.report.totals

    @property
    def shown(self) -> str:
        """Its source for people, without passwords."""
        return redact(self.plan.settings.url)

    @property
    def status(self) -> str:
        """For people."""
        if self.ended and self.report is not None:
            return "failed" if self.report.fault is not None else "done" if self.report.finished else "stopped"
        if self.paused:
            return "paused"
        if self.worker is None:
            return "waiting for a worker"
        return self.decoder.report.status if self.decoder.report is not None else "starting"

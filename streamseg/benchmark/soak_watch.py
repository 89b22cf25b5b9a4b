"""Samples of what a run takes while it goes: memory of every process, the object store, processor time."""

import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Samples", "own_memory_bytes", "processor_seconds"]

PROC = Path("/proc")
Series = list[tuple[float, float]]


def own_memory_bytes(process: int) -> int | None:
    """Resident memory without what is shared with others, such as the object store; None where it has ended."""
    try:
        status = (PROC / str(process) / "status").read_text()
    except OSError:
        return None
    kilobytes = {name: int(size) for name, size in re.findall(r"^(VmRSS|RssShmem):\s+(\d+) kB", status, re.MULTILINE)}
    return 1024 * (kilobytes["VmRSS"] - kilobytes.get("RssShmem", 0)) if "VmRSS" in kilobytes else None


def processor_seconds(process: int) -> float | None:
    """Processor time that a process has taken so far; None where it has ended."""
    try:
        fields = (PROC / str(process) / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Samples:
    """See above.

    Attributes:
        processes: asked each time: process numbers by name.
        stored: asked each time: bytes in the object store.
        memory: by (name, process number), since a process that is replaced begins anew.
        store: the object store's.
        processor: seconds, by process number.
    """

    processes: Callable[[], Mapping[str, int]]
    stored: Callable[[], int]
    memory: dict[tuple[str, int], Series] = field(default_factory=lambda: defaultdict(list))
    store: Series = field(default_factory=list)
    processor: dict[int, float] = field(default_factory=dict)
    before: float | None = None  # processor seconds that all had taken when the first samples were

    def take(self) -> None:
        """One more of each."""
        now = time.monotonic()
        self.store.append((now, self.stored()))
        for name, number in self.processes().items():
            size, spent = own_memory_bytes(number), processor_seconds(number)
            if size is not None and spent is not None:
                self.memory[name, number].append((now, size))
                self.processor[number] = spent
        if self.before is None:
            self.before = sum(self.processor.values())

    def lives(self, kind: str) -> dict[object, Series]:
        """The memory of all processes whose name begins with a word."""
        return {life: series for life, series in self.memory.items() if life[0].split()[0] == kind}

    @property
    def cores(self) -> float:
        """Cores that were busy for the run, on average."""
        seconds = self.store[-1][0] - self.store[0][0]
        return (sum(self.processor.values()) - (self.before or 0.0)) / seconds if seconds else 0.0

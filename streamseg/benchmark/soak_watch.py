"""Samples of what a run takes while it goes: memory of every process, the object store, processor time."""

import os
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Samples", "Series", "descendants", "medians", "own_memory_bytes", "processor_seconds"]

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


def descendants(process: int) -> set[int]:
    """All processes that a process has started, and those that these have."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children[parent].append(int(entry.name))
    found: set[int] = set()
    open_ends = [process]
    while open_ends:
        new = set(children[open_ends.pop()]) - found
        found |= new
        open_ends += new
    return found


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:  # it has ended meanwhile
        return None


def medians(series: Series, width: float) -> Series:
    """Of samples, the median of every so many seconds, without a last part that is shorter."""
    bins: dict[int, Series] = defaultdict(list)
    for moment, value in series:
        bins[int((moment - series[0][0]) // width)].append((moment, value))
    whole = [zip(*each, strict=True) for each in list(bins.values())[:-1]]
    return [(statistics.median(moments), statistics.median(values)) for moments, values in whole]


@dataclass(slots=True)
class Samples:
    """See above.

    Attributes:
        processes: asked each time: process numbers by name.
        stored: asked each time: bytes in the object store.
        others: processes that this one has started, and that do not belong to the run.
        memory: by (name, process number), since a process that is replaced begins anew.
        store: the object store's.
        whole: the memory of this process and all that it has started, Ray's own among them.
        processor: seconds, by process number.
    """

    processes: Callable[[], Mapping[str, int]]
    stored: Callable[[], int]
    others: Set[int] = frozenset()
    memory: dict[tuple[str, int], Series] = field(default_factory=lambda: defaultdict(list))
    store: Series = field(default_factory=list)
    whole: Series = field(default_factory=list)
    processor: dict[int, float] = field(default_factory=dict)
    before: float | None = None  # processor seconds that all had taken when the first samples were

    def take(self) -> None:
        """One more of each."""
        now = time.monotonic()
        self.store.append((now, self.stored()))
        everybody = {os.getpid(), *descendants(os.getpid())} - self.others
        self.whole.append((now, sum(own_memory_bytes(number) or 0 for number in everybody)))
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

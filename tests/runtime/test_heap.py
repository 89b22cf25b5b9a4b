"""Freed memory stays in the process. Each case has a process of its own, since nothing takes this back."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from streamseg.runtime.heap import keep_heap

def frame():
    for block in [np.empty(3 << 20, np.float32) for _ in range(8)]:  # 12 MB each
        block.fill(0)

print(keep_heap())
frame()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    frame()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


KEPT = """
import numpy as np
from streamseg.benchmark.machine import resident_bytes
from streamseg.runtime import heap

kept = heap.KeptHeap()
blocks = [np.ones(1 << 20, np.uint8) for _ in range(64)]
last = np.ones(1 << 20, np.uint8)  # what is in use above holds the rest in the heap
held = resident_bytes()
del blocks
freed = held - resident_bytes()
early = kept.tend()
heap.TRIM_SECONDS = 0.0
late = kept.tend()
print(freed >> 20, early, late, (held - resident_bytes()) >> 20)
"""


def page_faults(environment: dict[str, str]) -> tuple[str, int]:
    """Whether memory is kept, and the faults of five times 96 MB."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    kept, faults = done.stdout.split()
    return kept, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    kept, faults = page_faults({})
    assert kept == "True"
    assert faults < 1000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_now_and_then_it_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True)
    freed, early, late, returned = done.stdout.split()
    assert (early, late) == ("False", "True")
    assert int(freed) < 8
    assert int(returned) >= 60


def test_the_environment_goes_first() -> None:
    kept, faults = page_faults({"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"})
    assert kept == "False"
    assert faults > 1000

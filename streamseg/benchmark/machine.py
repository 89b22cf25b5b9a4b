"""What the figures were measured on, and how much memory it took."""

import ctypes
import os
import platform
import re
import resource
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

__all__ = ["allocated_bytes", "describe_machine", "peak_memory_bytes", "reset_peak_memory", "resident_bytes"]

STATUS = Path("/proc/self/status")


def describe_machine() -> dict[str, Any]:
    """Hardware, versions and date, for the head of a table."""
    facts: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": _cpu_name(),
        "cpu_bf16": "avx512_bf16" in _cpu_flags() or "amx_bf16" in _cpu_flags(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "os": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "torchvision", "open_clip_torch", "timm", "numpy", "av")},
        "ray": _version_of("ray"),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
        facts["cuda"] = torch.version.cuda
    return facts


def peak_memory_bytes() -> int:
    """Most resident memory since the start, or since `reset_peak_memory` where the system has that."""
    if STATUS.exists():
        found = re.search(r"^VmHWM:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_bytes() -> int:
    """Resident memory now; where the system does not tell, the most there was."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE) if STATUS.exists() else None
    return int(found[1]) * 1024 if found else peak_memory_bytes()


def allocated_bytes() -> int | None:
    """What the process has asked malloc for and not given back, in all of its arenas; None without glibc 2.33.

    Resident memory holds more: what malloc keeps for the next time, the interpreter's small objects, libraries.
    """
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        return None
    mallinfo.restype = _MallInfo
    found = mallinfo()
    return int(found.uordblks + found.hblkhd)


class _MallInfo(ctypes.Structure):
    """`struct mallinfo2` of malloc.h."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def reset_peak_memory() -> None:
    """Begin a new peak (Linux); elsewhere the peak is that of the whole process."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def _version_of(extra: str) -> str | None:
    """Of a library that need not be there."""
    try:
        return version(extra)
    except PackageNotFoundError:
        return None


def _cpu_name() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", _cpu_info(), re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def _cpu_flags() -> frozenset[str]:
    found = re.search(r"^flags\s*:\s*(.+)$", _cpu_info(), re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


def _cpu_info() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""

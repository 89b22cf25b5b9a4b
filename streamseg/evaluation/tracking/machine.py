"""What the numbers were made on."""

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

__all__ = ["describe"]

CPU_FACTS = Path("/proc/cpuinfo")


def describe() -> dict[str, str]:
    """Hardware, versions and date."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": _cpu_name(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "lap")},
    }


def _cpu_name() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", CPU_FACTS.read_text(), re.MULTILINE) if CPU_FACTS.exists() else None
    return found[1] if found else platform.processor() or platform.machine()

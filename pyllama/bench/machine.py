"""The machine: the processor's name, and the memory of this process."""

from __future__ import annotations

import platform
import sys
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


@cache
def cpu_name() -> str:
    """What the processor calls itself, or at least its architecture."""
    for line in _read(_CPUINFO).splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def reset_peak() -> None:
    """Let peak memory begin anew, on Linux; elsewhere it is that since the process began."""
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:  # no such system, or not allowed: the peak then covers more
        return


def peak_bytes() -> int | None:
    """The most resident memory, in bytes, mapped weights included; None where nobody knows."""
    for line in _read(_STATUS).splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""

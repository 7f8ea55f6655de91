"""How many threads to use: physical performance cores that this process may use.

Hyper-threads share a core's vector units and efficiency cores hold the others up, so neither count.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_HYBRID = Path("/sys/devices/cpu_core/cpus")
_CGROUP = Path("/sys/fs/cgroup")


def default_threads() -> tuple[int, str]:
    """The number of threads and the reason for it."""
    allowed = _allowed()
    cores = _physical(_performance(allowed))
    count, reason = len(cores), f"{len(cores)} physical cores of {len(allowed)} allowed CPUs"
    quota = _cgroup_quota()
    if quota is not None and quota < count:
        count, reason = max(1, math.floor(quota)), f"cgroup quota of {quota:g} CPUs"
    return max(1, count), reason


def _allowed() -> set[int]:
    """CPUs of the affinity mask; where there is none, all of them."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def parse_cpu_list(text: str) -> set[int]:
    """``0-3,8`` as the kernel writes sets of CPUs."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first.strip().isdigit():
            cpus.update(range(int(first), int(last or first) + 1))
    return cpus


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _performance(cpus: set[int]) -> set[int]:
    """The fast CPUs of a hybrid processor; all of them elsewhere."""
    fast = parse_cpu_list(_read(_HYBRID)) & cpus
    if fast:
        return fast
    capacities = {cpu: _read(_CPUS / f"cpu{cpu}" / "cpu_capacity").strip() for cpu in cpus}
    if all(value.isdigit() for value in capacities.values()):
        highest = max(map(int, capacities.values()))
        return {cpu for cpu, value in capacities.items() if int(value) == highest}
    return cpus


def _physical(cpus: set[int]) -> set[frozenset[int]]:
    """One entry a core: the CPUs of ``cpus`` that share it."""
    siblings = {
        cpu: parse_cpu_list(_read(_CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list"))
        for cpu in cpus
    }
    return {frozenset((siblings[cpu] & cpus) | {cpu}) for cpu in cpus}


def _cgroup_quota() -> float | None:
    """CPUs that the control groups of this process allow, the strictest of them."""
    quotas = []
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        root = _CGROUP if number == "0" else _CGROUP / "cpu"
        if number == "0" or "cpu" in controllers.split(","):
            folder = root / group.lstrip("/")
            quotas += [_quota_of(f) for f in (folder, *folder.parents) if f.is_relative_to(root)]
    known = [quota for quota in quotas if quota is not None]
    return min(known, default=None)


def _quota_of(folder: Path) -> float | None:
    """``cpu.max`` of version 2, or the two files of version 1."""
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota = _read(folder / "cpu.cfs_quota_us").strip()
        period = _read(folder / "cpu.cfs_period_us").strip()
    if quota.isdigit() and period.isdigit() and int(period):
        return int(quota) / int(period)
    return None

"""Which CPUs the threads of a pool run on: anywhere, within a set, one CPU each, or by memory node.

A page of memory lies on the node of the thread that first writes to it, so caches and buffers of
placed threads are local to them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pyllama.cpus import parse_cpu_list
from pyllama.errors import UsageError

NUMA_MODES = ("distribute", "isolate", "numactl")

NODES = Path("/sys/devices/system/node")

MAX_CPUS = 1 << 16


@dataclass(frozen=True)
class Placement:
    """Thread ``i`` may run on the CPUs of ``sets[i % len(sets)]``; without sets, on all."""

    sets: tuple[frozenset[int], ...] = ()

    def place(self, thread: int) -> None:
        """Bind the calling thread, which is number ``thread`` of its pool."""
        if self.sets:
            os.sched_setaffinity(0, self.sets[thread % len(self.sets)])


ANYWHERE = Placement()


def parse_mask(text: str) -> frozenset[int]:
    """CPUs of a hexadecimal mask, CPU 0 being its lowest bit; UsageError where it is none."""
    digits = text.lower().removeprefix("0x")
    try:
        mask = int(digits, 16) if 4 * len(digits) <= MAX_CPUS else 0
    except ValueError:
        mask = 0
    if mask <= 0 or "_" in digits:
        raise UsageError(f"CPU mask {text!r}: must be a hexadecimal number with some bits set")
    return frozenset(cpu for cpu in range(mask.bit_length()) if mask >> cpu & 1)


def parse_range(text: str) -> frozenset[int]:
    """CPUs of a range ``LO-HI``, both included; UsageError where it is none."""
    low, dash, high = text.partition("-")
    if not (dash and low.isdigit() and high.isdigit() and int(low) <= int(high) < MAX_CPUS):
        raise UsageError(f"CPU range {text!r}: must be LO-HI, the first not above the second")
    return frozenset(range(int(low), int(high) + 1))


def within(cpus: Iterable[int], one_each: bool) -> Placement:
    """Threads on some CPUs: each on all of them, or one thread to a CPU in turn.

    Raises UsageError where the system cannot place threads or does not allow one of the CPUs.
    """
    chosen = frozenset(cpus)
    forbidden = chosen - _allowed()
    if forbidden:
        names = ", ".join(map(str, sorted(forbidden)))
        raise UsageError(f"CPU {names}: not there, or not allowed to this process")
    return Placement(tuple(frozenset({cpu}) for cpu in sorted(chosen)) if one_each else (chosen,))


def by_node(mode: str) -> Placement:
    """Threads by memory node: ``distribute`` them over all nodes, ``isolate`` them on the one that
    the process runs on, or leave them where ``numactl`` put the process.

    Raises UsageError where the system cannot place threads.
    """
    allowed = _allowed()
    nodes = [cpus & allowed for cpus in _nodes()]
    nodes = [cpus for cpus in nodes if cpus] or [allowed]
    if mode == "numactl":
        return Placement((allowed,))
    if mode == "distribute":
        return Placement(tuple(nodes))
    here = _current_cpu()
    return Placement((next((cpus for cpus in nodes if here in cpus), nodes[0]),))


def _allowed() -> frozenset[int]:
    if not hasattr(os, "sched_getaffinity"):
        raise UsageError("this system does not let a program place its threads")
    return frozenset(os.sched_getaffinity(0))


def _nodes() -> list[frozenset[int]]:
    """The CPUs of every memory node, in the order of their numbers."""
    folders = sorted(NODES.glob("node[0-9]*"), key=lambda folder: int(folder.name[4:]))
    return [frozenset(parse_cpu_list((folder / "cpulist").read_text())) for folder in folders]


def _current_cpu() -> int:
    """The CPU that the process runs on: field 39 of its status, see proc(5)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return int(fields[36])

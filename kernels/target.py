"""Which instruction set to use: by the features of the processor, never by its name."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

from pyllama.errors import TargetError
from pyllama.kernels.isa.arm import NEON
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.isa.x86 import AMX, AVX2, AVX512, AVXVNNI
from pyllama.kernels.llvm import host_features, host_triple

INSTRUCTION_SETS: tuple[type[ISA], ...] = (AMX, AVX512, AVXVNNI, AVX2, NEON)
"""Best first."""


_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _TILE_DATA = 158, 0x1023, 18


@cache
def tiles_permitted() -> bool:
    """Whether the operating system lets this process use tiles; Linux wants to be asked."""
    if sys.platform != "linux":
        return False
    try:
        system_call = ctypes.CDLL(None).syscall
    except (OSError, AttributeError):
        return False
    return bool(system_call(_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _TILE_DATA) == 0)


def available() -> list[type[ISA]]:
    """The instruction sets that this machine can run, best first."""
    features = host_features()
    return [
        isa
        for isa in INSTRUCTION_SETS
        if features.issuperset(isa.needs) and (not isa.has_tiles or tiles_permitted())
    ]


def candidates(name: str | None = None) -> list[ISA]:
    """The instruction sets to try, best first: all that this machine can run, or the named one.

    Raises TargetError as ``select`` does.
    """
    if name is not None:
        return [select(name)]
    select()  # says so when there is none
    return [isa(host_features(), host_triple()) for isa in available()]


def select(name: str | None = None) -> ISA:
    """The best instruction set of this machine, or the one with the given name.

    Raises TargetError when the name is unknown or this machine cannot run it.
    """
    runnable = available()
    names = ", ".join(isa.name for isa in runnable) or "none"
    if name is None:
        if not runnable:
            needs = " or ".join(sorted({AVX2.name, NEON.name}))
            raise TargetError(f"this processor is not supported: pyllama needs {needs}")
        return runnable[0](host_features(), host_triple())
    for isa in runnable:
        if isa.name == name:
            return isa(host_features(), host_triple())
    if name in {isa.name for isa in INSTRUCTION_SETS}:
        raise TargetError(f"this processor cannot run {name}; it can run: {names}")
    known = ", ".join(isa.name for isa in INSTRUCTION_SETS)
    raise TargetError(f"unknown instruction set {name!r}; known are: {known}")

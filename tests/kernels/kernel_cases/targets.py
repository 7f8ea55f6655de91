"""The targets that tests run on: instruction sets with what this machine has, or the least."""

from __future__ import annotations

import pytest

from pyllama.kernels.isa.arm import NEON
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.isa.x86 import AVX2, AVX512
from pyllama.kernels.llvm import host_features
from pyllama.kernels.target import INSTRUCTION_SETS, available

_MAIN = (AVX512, AVX2, NEON)
"""One instruction set for each way kernels are laid out; the others differ in single words."""


def target(name: str) -> ISA:
    """The instruction set of a name such as ``avx512``, ``avx512-least`` or ``portable``."""
    if name == ISA.name:
        return ISA()
    isa_name, _, least = name.partition("-")
    (isa,) = (isa for isa in INSTRUCTION_SETS if isa.name == isa_name)
    return isa(frozenset(isa.needs) if least else host_features())


def _params(isas: list[type[ISA]], suffixes: tuple[str, ...]) -> list[object]:
    return [
        pytest.param(isa.name + suffix, marks=pytest.mark.isa(isa.name), id=isa.name + suffix)
        for isa in isas
        for suffix in suffixes
        if isa.uses or not suffix
    ]


MAIN = _params([isa for isa in available() if isa in _MAIN], ("",))
EVERY = _params(available(), ("", "-least"))

TILES = _params([isa for isa in available() if isa.has_tiles], ("",))
"""Those that multiply tiles."""

PORTABLE = pytest.param(ISA.name, marks=pytest.mark.isa(AVX2.name), id=ISA.name)
"""The emission that instruction sets inherit; it is x86 code, for want of a machine of its own."""

"""What instructions kernels are made of."""

from __future__ import annotations

import re
import sys

import pytest
from kernel_cases.catalogue import matvecs, of_each_kind
from quick import in_turn

from pyllama.gguf.types import TensorType
from pyllama.kernels.executor import RUN
from pyllama.kernels.isa.arm import NEON
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.isa.x86 import AVX2, AVX512, AVXVNNI
from pyllama.kernels.jit import assembly_for
from pyllama.kernels.kernel import Kernel
from pyllama.kernels.matmul import matmul

BEYOND_AVX2 = re.compile(
    r"%zmm|%k[0-7]\b|%[xy]mm(1[6-9]|2\d|3[01])\b|\bvpternlog|\bvpdpbusd|\bvmovdqu(8|16|32|64)\b"
)
FOREIGN = re.compile(r"\b(?:callq|jmp)\t(\w+)@PLT|\bbl\t(\w+)")
ALLOWED = {"memset", "memcpy"}
"""What LLVM makes of loops that do nothing but write zeros, as a dot product of width 0 is, or
copy, as encoders do with signs."""

DOTS = matvecs(TensorType.Q8_0, TensorType.Q4_K, TensorType.IQ4_XS)

BATCH_DOTS = [
    matmul(type=t, panels="int8", rows="n_tokens", epilogue="none")
    for t in (TensorType.Q8_0, TensorType.Q6_K)
]


def symbol(kernel: Kernel) -> str:
    """A test id."""
    return kernel.symbol


def with_all(isa: type[ISA]) -> ISA:
    """An instruction set on a processor that has all it can use."""
    return isa(frozenset((*isa.needs, *isa.uses)))


def with_least(isa: type[ISA]) -> ISA:
    """An instruction set on a processor that has no more than it needs."""
    return isa(frozenset(isa.needs))


def foreign(text: str) -> set[str]:
    """Names of functions that code calls: LLVM's helpers for what the processor cannot do."""
    return {name for names in FOREIGN.findall(text) for name in names if name}


MACHINES = [
    pytest.param(with_all(AVX2), id="avx2"),
    pytest.param(with_least(AVX512), id="avx512-least"),
    pytest.param(with_least(NEON), id="neon-least"),
]


@pytest.mark.parametrize(("kernel", "isa"), in_turn(of_each_kind(), MACHINES, label=symbol))
def test_kernels_call_nothing(kernel: Kernel, isa: ISA) -> None:
    text = assembly_for(isa, kernel)
    assert foreign(text) <= ALLOWED
    assert isa.name != "avx2" or not BEYOND_AVX2.search(text)


@pytest.mark.parametrize("kernel", DOTS, ids=symbol)
@pytest.mark.parametrize(
    ("isa", "instruction"),
    [
        (with_all(AVX512), "vpdpbusd"),
        (with_least(AVX512), "vpmaddubsw"),
        (with_all(AVXVNNI), "vpdpbusd"),
        (with_all(AVX2), "vpmaddubsw"),
        (with_all(NEON), "sdot"),
        (with_least(NEON), "smull"),
    ],
    ids=["avx512", "avx512-least", "avxvnni", "avx2", "neon", "neon-least"],
)
def test_dot_products(isa: ISA, instruction: str, kernel: Kernel) -> None:
    text = assembly_for(isa, kernel)
    used = {name for name in ("vpdpbusd", "vpmaddubsw", "sdot", "smull") if f"\t{name}\t" in text}
    assert used == {instruction}
    assert isa.name == "avx512" or "%zmm" not in text


@pytest.mark.parametrize("kernel", BATCH_DOTS, ids=symbol)
@pytest.mark.parametrize(
    ("without", "instruction"),
    [(set(), "smmla"), ({"i8mm"}, "sdot"), ({"i8mm", "dotprod"}, "smull")],
    ids=["all", "dotprod", "least"],
)
def test_dot_products_of_batches_on_arm(
    without: set[str], instruction: str, kernel: Kernel
) -> None:
    text = assembly_for(NEON(frozenset((*NEON.needs, *NEON.uses)) - without), kernel)
    assert {name for name in ("smmla", "sdot", "smull") if f"\t{name}\t" in text} == {instruction}


def test_avx512_code_uses_whole_registers() -> None:
    for kernel in DOTS[1:]:
        assert "%zmm" in assembly_for(with_all(AVX512), kernel)


@pytest.mark.skipif(sys.platform != "linux", reason="the executor sleeps in a system call on Linux")
@pytest.mark.parametrize("isa", [with_all(AVX2), with_all(NEON)], ids=["avx2", "neon"])
def test_the_only_function_that_is_called_sleeps(isa: ISA) -> None:
    assert "syscall" in foreign(assembly_for(isa, RUN))
    assert "syscall" not in ALLOWED

"""The lane vocabulary: what every instruction set emits for a word against what the word means."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kernel_cases.functions import call
from kernel_cases.targets import EVERY, PORTABLE
from numpy.typing import NDArray

from pyllama.kernels.isa import meaning
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.jit import Library
from pyllama.kernels.language import Builder, Value
from pyllama.quants import KVALUES_IQ4NL, KVALUES_MXFP4

Check = Callable[[Library], None]

RNG = np.random.default_rng(11)
WITHOUT_MEANING = {"pause"}


def public(namespace: Any) -> set[str]:
    """Names of the functions that a module or class defines for others."""
    return {
        name
        for name, value in vars(namespace).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def word(name: str) -> Callable[..., Value]:
    """A word of the vocabulary as a function body."""

    def body(k: Builder, *operands: Value) -> Value:
        result: Value = getattr(k.isa, name)(k, *operands)
        return result

    return body


def same(library: Library, name: str, *operands: NDArray[Any]) -> None:
    """Emit, run, compare."""
    expected = getattr(meaning, name)(*operands)
    np.testing.assert_array_equal(call(library, word(name), operands, expected), expected)


def integers(low: int, high: int, size: int, dtype: str) -> NDArray[Any]:
    """Random integers from ``low`` to ``high`` with both among them."""
    values = RNG.integers(low, high + 1, size)
    values[:4] = low, high, low, high
    return values.astype(dtype)


def dot(library: Library) -> None:
    for size in {32, library.isa.dot_lanes}:
        totals = integers(-(10**6), 10**6, size // 4, "i4")
        x = integers(-127, 127, size, "i1")
        for low, high, kind in ((0, 127, "u1"), (-127, 127, "i1")):
            same(library, "dot", totals, integers(low, high, size, kind), x)
            for extreme in (low, high):
                same(library, "dot", totals, np.full(size, extreme, kind), np.full_like(x, -127))


def lookup(library: Library) -> None:
    index = RNG.permutation(np.arange(32) % 16).astype(np.uint8)
    for table in (KVALUES_IQ4NL, KVALUES_MXFP4, np.arange(-128, 128, 16)):
        values = tuple(int(v) for v in table)
        expected = meaning.lookup(values, index)

        def body(k: Builder, i: Value, values: tuple[int, ...] = values) -> Value:
            return k.isa.lookup(k, values, i)

        np.testing.assert_array_equal(call(library, body, (index,), expected), expected)


def bits(library: Library) -> None:
    for mask in (0, 1, 0x80000000, 0x01020408, 0xFFFFFFFF, 0x0F0F1234):
        expected = meaning.bits(mask).astype(np.uint8)
        operand = np.array([mask], np.uint32)
        np.testing.assert_array_equal(call(library, word("bits"), (operand,), expected), expected)


SPECIAL = np.array(
    [0, 0x80000000, 1, 0x3F800000, 0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F808001, 0x7F7FFFFF,
     0x7F800000, 0xFF800000, 0x7F800001, 0x7FC00000, 0xFF800001, 0x007FFFFF, 0x00008000],
    np.uint32,
)  # fmt: skip


def bf16_to_f32(library: Library) -> None:
    values = np.concatenate([SPECIAL >> 16, RNG.integers(0, 1 << 16, 16)]).astype(np.uint16)
    expected = meaning.bf16_to_f32(values)
    got = call(library, word("bf16_to_f32"), (values,), expected)
    np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))


def f32_to_bf16(library: Library) -> None:
    values = np.concatenate([SPECIAL, RNG.integers(0, 1 << 32, 16, np.uint32)]).astype(np.uint32)
    same(library, "f32_to_bf16", values.view(np.float32))


CHECKS: dict[str, Check] = {
    "dot": dot,
    "lookup": lookup,
    "bits": bits,
    "bf16_to_f32": bf16_to_f32,
    "f32_to_bf16": f32_to_bf16,
}


def test_every_word_has_a_meaning_and_is_checked() -> None:
    assert set(CHECKS) == public(meaning) == public(ISA) - WITHOUT_MEANING


@pytest.mark.parametrize("library", [*EVERY, PORTABLE], indirect=True)
@pytest.mark.parametrize("name", CHECKS)
def test_word(name: str, library: Library) -> None:
    CHECKS[name](library)

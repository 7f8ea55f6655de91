"""Runs of the lane vocabulary: each word on arrays, against its meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernel_cases.case import Case, Launch
from kernel_cases.functions import type_of
from kernel_cases.memory import Memory
from pyllama.kernels.isa import meaning
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import Type, boolean, u8, u32, u64
from pyllama.quants import KVALUES_IQ4NL, KVALUES_MXFP4

SPECIAL = np.array(
    [0, 0x80000000, 1, 0x3F800000, 0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F808001, 0x7F7FFFFF,
     0x7F800000, 0xFF800000, 0x7F800001, 0x7FC00000, 0xFF800001, 0x007FFFFF, 0x00008000],
    np.uint32,
)  # fmt: skip
"""Bits of float32 numbers: zeros, halfway between two bfloat16, largest, infinite, NaN, tiny."""


@kernel(a=Array(u8), b=Array(u8), c=Array(u8), out=Array(u8))
def lane_word(
    k: Builder,
    a: Fields,
    step: Fields,  # noqa: ARG001
    *,
    task: Value,  # noqa: ARG001
    thread: Value,  # noqa: ARG001
    word: str,
    operands: tuple[Type, ...],
    constants: tuple[Any, ...],
) -> None:
    """``out = word(*constants, a, b, c)``, without those that the word does not take."""
    values = [_loaded(place, type) for place, type in zip((a.a, a.b, a.c), operands, strict=False)]
    result = getattr(k.isa, word)(k, *constants, *values)
    if result.type.scalar == boolean:
        result = result.to(u8)
    a.out.of(result.type.scalar).store(0, result)


def _loaded(place: Pointer, type: Type) -> Value:
    """An operand; booleans are bytes in memory."""
    if type.scalar == boolean:
        return place.of(u8).load(0, type.lanes).differs(0)
    return place.of(type.scalar).load(0, type.lanes)


def word_case(
    word: str,
    *operands: NDArray[Any],
    constants: tuple[Any, ...] = (),
    alternative: NDArray[Any] | None = None,
) -> Case:
    """One word, once. Each element must be as the word means it, or as in ``alternative``."""
    memory = Memory()
    places = [memory.copy(x) for x in operands]
    expected = _bytes(getattr(meaning, word)(*constants, *operands))
    out = memory.empty(expected.shape, np.uint8)
    types = tuple(boolean * x.size if x.dtype == bool else type_of(x) for x in operands)
    names = dict.fromkeys("abc", 0) | dict(zip("abc", places, strict=False))
    launch = Launch(
        lane_word(word=word, operands=types, constants=constants), 1, names | {"out": out}
    )

    def compare() -> None:
        other = expected if alternative is None else _bytes(alternative)
        np.testing.assert_array_equal(out, np.where(out == other, other, expected))

    return Case(memory, (launch,), compare)


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """So that NaN are compared by their bits."""
    return np.ascontiguousarray(array).view(np.uint8)


def dot_cases(word: str, lanes: int) -> list[Case]:
    """Dot products: weights without and with sign, ordinary and extreme."""
    total, x = _integers(-(10**6), 10**6, lanes // 4, "i4"), _integers(-127, 127, lanes, "i1")
    cases = []
    for low, high, kind in ((0, 127, "u1"), (-127, 127, "i1")):
        weights = [
            _integers(low, high, lanes, kind),
            *(np.full(lanes, w, kind) for w in (low, high)),
        ]
        cases += [word_case(word, total, w, y) for w in weights for y in (x, np.full_like(x, -127))]
    return cases


def dots_cases(lanes: int) -> list[Case]:
    """Several vectors of small and of large weights, whose sums might not fit into 16 bits."""
    cases = []
    for largest, vectors in ((1, 4), (3, 4), (43, 4), (62, 2), (127, 2), (127, 1)):
        size = lanes * vectors
        total, x = _integers(-(10**6), 10**6, lanes // 4, "i4"), _integers(-127, 127, size, "i1")
        weights = [_integers(0, largest, size, "u1"), np.full(size, largest, "u1")]
        cases += [
            word_case("dots", total, w, y, constants=(largest,))
            for w in (*weights, weights[0].view("i1"))
            for y in (x, np.full_like(x, -127))
        ]
    return cases


def lookup_cases() -> list[Case]:
    """The tables that formats use, and the limits of bytes."""
    indices = [(np.arange(n) * 7 % 16).astype(np.uint8) for n in (32, 64)]
    tables = (KVALUES_IQ4NL, KVALUES_MXFP4, np.arange(-128, 128, 16), np.arange(127, -129, -17))
    return [word_case("lookup", i, constants=(tuple(t.tolist()),)) for t in tables for i in indices]


def pick_cases() -> list[Case]:
    """Indices in and beyond the table, which has numbers of every kind."""
    tables = (np.arange(8) * 1.5 - 3, [0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1, 3e38])
    indices = (np.arange(16) * 5, np.arange(8) + 0xFFFFFFF0, np.arange(32) << 28 | 3)
    return [
        word_case("pick", np.array(table, np.float32), (index & 0xFFFFFFFF).astype(np.uint32))
        for table in tables
        for index in indices
    ]


def times_power_cases() -> list[Case]:
    """Powers of both signs, up to the largest ones, whole vectors and less."""
    x = np.array([1, -1.5, 0.75, -0.0, 1.9999999, 1.25, -1, 1] * 4, np.float32)
    n = np.array([0, 1, -1, 5, -126, 127, -37, 12] * 4, np.float32)
    return [word_case("times_power", x[:size], n[:size]) for size in (4, 8, 16, 32)]


def gather_cases() -> list[Case]:
    """Both sizes of elements, whole vectors and less."""
    table = (0, 1, 1 << 31, (1 << 32) - 1)
    index = _integers(0, 3, 32, "u8")
    return [
        word_case("gather", index[:n].astype(element.numpy), constants=(element, table))
        for element in (u32, u64)
        for n in (8, 16, 32)
    ]


def bits_cases() -> list[Case]:
    """Single bits, none, all, and a mixture."""
    masks = (0, 1, 0x80000000, 0x01020408, 0xFFFFFFFF, 0x0F0F1234)
    words = [np.array([mask], np.uint32) for mask in masks]
    return [
        word_case("bits", w) for w in (*words, *(np.array([m << 32 | 7], np.uint64) for m in masks))
    ]


def fields_cases() -> list[Case]:
    """Fields that cross bytes, whole words, and bytes that are left out."""
    words = _integers(-(2**63), 2**63 - 1, 16, "i8").view(np.uint64)
    sevens = tuple((start, 7) for start in (9, 25, 41, 57))
    twos = tuple((start, 2) for start in (0, 2, 4, 30))
    long = (sevens, ((0, 8),), ((61, 3), None, (3, 8), (24, 1)), ((56, 8), *[None] * 6, (1, 2)))
    return [
        *(word_case("fields", words[:n], constants=(f,)) for f in long for n in (8, 16)),
        *(
            word_case("fields", words.view(np.uint32)[:n], constants=(f,))
            for f in (twos, ((5, 8), None, (24, 8)))
            for n in (8, 16, 32)
        ),
    ]


def negated_cases() -> list[Case]:
    """Some, none and all of the extremes of bytes."""
    x = _integers(-127, 127, 64, "i1")
    some = _integers(0, 1, 64, "u1").astype(bool)
    return [
        word_case("negated", x[:n], where[:n])
        for n in (32, 64)
        for where in (some, np.zeros_like(some), np.ones_like(some))
    ]


def bytes_at_cases() -> list[Case]:
    """Bytes that cross others, and the same one several times."""
    words = _integers(-(2**63), 2**63 - 1, 8, "i8").view(np.uint64)
    every = ((0, 7, 14, 21, 32, 39, 46, 53), (0, 0, 7, 7, 14, 14, 56, 56))
    return [word_case("bytes_at", words[:n], constants=(s,)) for s in every for n in (4, 8)]


def byte_lookup_cases() -> list[Case]:
    """Tables in one part and in several, and every number."""
    rng, index = np.random.default_rng(2), np.arange(256, dtype=np.uint8)
    return [
        word_case("byte_lookup", *parts, constants=(tuple(table.tolist()),))
        for bits in (0, 1, 2)
        for table in [rng.integers(0, 256, 64 << bits)]
        for n in (32, 64)
        for part in np.split(index, 256 // n)
        for parts in [(part, *(rng.integers(0, 2, (bits, n)) > 0))]
    ]


def even_bytes_cases() -> list[Case]:
    """All bytes."""
    every = np.arange(256, dtype=np.uint8)
    return [word_case("even_bytes", part) for n in (32, 64) for part in np.split(every, 256 // n)]


def parities_cases() -> list[Case]:
    """All bytes; bits that move, that are added up, and none."""
    every = np.arange(256, dtype=np.uint8)
    return [
        word_case("parities", part, constants=(rows,))
        for rows in ((128, 64, 32, 16, 8, 4, 2, 1), (0, 255, 0x7F, 3, 0xA5, 0, 1, 128))
        for n in (32, 64)
        for part in np.split(every, 256 // n)
    ]


def bf16_to_f32_cases() -> list[Case]:
    """Special and random numbers."""
    values = np.concatenate([SPECIAL >> 16, _integers(0, 0xFFFF, 16, "u2")])
    return [word_case("bf16_to_f32", values.astype(np.uint16))]


def f32_to_bf16_cases() -> list[Case]:
    """Special and random numbers. Those too small to be normal may become zero."""
    bits = np.concatenate([SPECIAL, _integers(0, 0xFFFFFFFF, 16, "u4")])
    values = bits.view(np.float32)
    flushed = np.where(bits & 0x7F800000, values, np.copysign(np.float32(0), values))
    alternative = meaning.f32_to_bf16(flushed)
    return [word_case("f32_to_bf16", values, alternative=alternative)]


def word_cases(dot_lanes: int) -> dict[str, list[Case]]:
    """Runs of every word; ``dot_lanes``: bytes that the target takes in one dot product."""
    return {
        **{
            word: [case for lanes in {32, dot_lanes} for case in dot_cases(word, lanes)]
            for word in ("dot", "dot_pairs")
        },
        "dots": dots_cases(dot_lanes),
        "lookup": lookup_cases(),
        "pick": pick_cases(),
        "times_power": times_power_cases(),
        "gather": gather_cases(),
        "bits": bits_cases(),
        "fields": fields_cases(),
        "negated": negated_cases(),
        "bytes_at": bytes_at_cases(),
        "byte_lookup": byte_lookup_cases(),
        "even_bytes": even_bytes_cases(),
        "parities": parities_cases(),
        "bf16_to_f32": bf16_to_f32_cases(),
        "f32_to_bf16": f32_to_bf16_cases(),
    }


def _integers(low: int, high: int, size: int, dtype: str) -> NDArray[Any]:
    """Random integers from ``low`` to ``high`` with both among them."""
    values = np.random.default_rng(size).integers(low, high, size, endpoint=True)
    values[:4] = low, high, low, high
    return values.astype(dtype)

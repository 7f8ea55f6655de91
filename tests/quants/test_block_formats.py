"""Every block format: its declaration, and its numbers against the gguf package or a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray

from pyllama.gguf.types import TensorType
from pyllama.quants import FORMATS, dequantize

NAME = attrgetter("name")

SPECIAL_HALVES = (0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x3C00, 0x7BFF, 0x7C00, 0xFC00, 0x7E01)

NOT_IN_GGUF_PACKAGE = {
    TensorType[name] for name in ("F64", "I8", "I16", "I32", "I64", "Q8_K", "Q1_0", "Q2_0")
}
IN_GGUF_PACKAGE = [type for type in FORMATS if type not in NOT_IN_GGUF_PACKAGE]


def random_blocks(type: TensorType, n: int, seed: int = 7) -> NDArray[np.void]:
    """Blocks of random bytes; the first ones with the special values of f16 in all f16 fields."""
    block_format = FORMATS[type]
    data = np.random.default_rng(seed).integers(0, 256, n * type.block_bytes, np.uint8)
    blocks = data.view(block_format.dtype)
    for name, (kind, *_) in (block_format.dtype.fields or {}).items():
        if kind == np.float16:
            for i, bits in enumerate(SPECIAL_HALVES):
                blocks[name][i : i + 1] = np.array([bits], np.uint16).view(np.float16)
    return blocks


def same_bits(got: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Both arrays hold the same bits, or a NaN, everywhere."""
    assert got.dtype == expected.dtype == np.float32
    assert got.shape == expected.shape
    differs = (got.view(np.uint32) != expected.view(np.uint32)) & ~(
        np.isnan(got) & np.isnan(expected)
    )
    assert not differs.any(), f"{differs.sum()} of {got.size} differ, first at {differs.argmax()}"


def test_every_current_type_has_a_format() -> None:
    assert set(TensorType) - set(FORMATS) == {TensorType.Q8_1}
    assert len(IN_GGUF_PACKAGE) == 26


@pytest.mark.parametrize("type", FORMATS, ids=NAME)
def test_fields_fill_the_block(type: TensorType) -> None:
    block_format = FORMATS[type]
    fields = block_format.dtype.fields
    assert fields is not None
    ends = 0
    for kind, offset, *_ in fields.values():
        assert offset == ends
        assert kind.base == kind.base.newbyteorder("<")
        ends += kind.itemsize
    assert ends == type.block_bytes == block_format.dtype.itemsize
    assert (block_format.type, block_format.block_size) == (type, type.block_size)


@pytest.mark.parametrize("type", IN_GGUF_PACKAGE, ids=NAME)
def test_decodes_like_the_gguf_package(type: TensorType) -> None:
    blocks = random_blocks(type, 700 if type.block_size > 1 else 100_000)
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(
            blocks.view(np.uint8), gguf.GGMLQuantizationType(int(type))
        )
    same_bits(FORMATS[type].dequantize(blocks).reshape(-1), expected)


@pytest.mark.parametrize("type", FORMATS, ids=NAME)
@pytest.mark.parametrize("n", [0, 1, 3])
def test_shape_of_few_blocks(type: TensorType, n: int) -> None:
    blocks = random_blocks(type, 20)
    some = FORMATS[type].dequantize(blocks[10 : 10 + n])
    assert some.shape == (n, type.block_size)
    same_bits(some, FORMATS[type].dequantize(blocks)[10 : 10 + n])


def q8_k(block: np.void) -> list[float]:
    return [float(block["d"] * np.float32(q)) for q in block["qs"]]


def q1_0(block: np.void) -> list[float]:
    d = float(block["d"])
    return [d if block["qs"][j // 8] >> (j % 8) & 1 else -d for j in range(128)]


def q2_0(block: np.void) -> list[float]:
    return [
        float(block["d"]) * (int(block["qs"][j // 4] >> 2 * (j % 4) & 3) - 1) for j in range(64)
    ]


LOOPS: dict[TensorType, Callable[[np.void], list[float]]] = {
    TensorType.Q8_K: q8_k,
    TensorType.Q1_0: q1_0,
    TensorType.Q2_0: q2_0,
}


@pytest.mark.parametrize("type", LOOPS, ids=NAME)
def test_decodes_like_a_plain_loop(type: TensorType) -> None:
    blocks = random_blocks(type, 60)
    with np.errstate(all="ignore"):
        expected = np.array([LOOPS[type](block) for block in blocks], np.float32)
    same_bits(FORMATS[type].dequantize(blocks), expected)


@pytest.mark.parametrize(
    ("type", "numbers"),
    [
        (TensorType.I8, np.array([-128, -1, 0, 127], "i1")),
        (TensorType.I16, np.array([-32768, -1, 0, 32767], "<i2")),
        (TensorType.I32, np.array([-(2**31), -1, 0, 2**24 + 1, 2**31 - 1], "<i4")),
        (TensorType.I64, np.array([-(2**63), -1, 0, 2**62 + 1], "<i8")),
        (TensorType.F64, np.array([-1e308, 1e-320, 0.1, np.inf, -np.inf], "<f8")),
    ],
)
def test_numbers_are_rounded_to_float32(type: TensorType, numbers: NDArray[np.generic]) -> None:
    with np.errstate(over="ignore"):
        expected = [np.float32(float(x)) for x in numbers]
    same_bits(dequantize(numbers, type, numbers.shape), np.array(expected, np.float32))

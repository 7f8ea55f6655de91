"""Bit fields in runs of bytes."""

from __future__ import annotations

import numpy as np
import pytest

from pyllama.quants.bits import bitfields, pack_planes, planes, signs


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("run", [1, 4, 16, 32])
def test_planes_are_runs_of_fields(bits: int, run: int) -> None:
    packed = np.random.default_rng(1).integers(0, 256, (3, 32), np.uint8)
    per_byte = 8 // bits
    expected = [
        [
            int(row[group * run + j]) >> field * bits & (1 << bits) - 1
            for group in range(32 // run)
            for field in range(per_byte)
            for j in range(run)
        ]
        for row in packed
    ]
    codes = planes(packed, bits, run)
    assert codes.tolist() == expected
    assert pack_planes(codes, bits, run).tolist() == packed.tolist()


def test_fields_of_words() -> None:
    words = np.array([[0x8FEDCBA9]], np.uint32)
    assert bitfields(words, bits=7, count=4).tolist() == [[[0x29, 0x17, 0x37, 0x7F]]]
    assert bitfields(words, bits=8, count=4).tolist() == [[[0xA9, 0xCB, 0xED, 0x8F]]]


def test_signs_are_negative_where_bits_are_set() -> None:
    masks = np.array([[0b0000_0001, 0b1000_0010]], np.uint8)
    assert signs(masks).tolist() == [[-1] + [1] * 7 + [1, -1] + [1] * 5 + [-1]]

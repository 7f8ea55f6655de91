"""Bit fields of blocks, unpacked into arrays.

Most formats spread the codes of consecutive elements over *runs* of bytes: with ``bits=4, run=16``
the low nibbles of 16 bytes hold elements 0..15 and their high nibbles elements 16..31; the next 16
bytes go on with element 32. ``run=1`` is the plain order, least significant bits first.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyllama.quants.block_format import Floats

Word = TypeVar("Word", np.uint8, np.uint16, np.uint32)


def bitfields(words: NDArray[Word], bits: int, count: int) -> NDArray[Word]:
    """The lowest ``count`` fields of ``bits`` bits of each word: shape (..., count)."""
    kind = words.dtype.type
    shifts = (np.arange(count) * bits).astype(kind)
    return (words[..., None] >> shifts) & kind((1 << bits) - 1)


def planes(packed: NDArray[np.uint8], bits: int, run: int) -> NDArray[np.uint8]:
    """Codes of ``bits`` bits in element order, from (n, bytes) to (n, bytes * 8 / bits)."""
    n, size = packed.shape
    per_byte = 8 // bits
    codes = bitfields(packed.reshape(n, size // run, run), bits, per_byte)
    return codes.swapaxes(-1, -2).reshape(n, size * per_byte)


def pack_planes(codes: NDArray[np.uint8], bits: int, run: int) -> NDArray[np.uint8]:
    """The inverse of ``planes``, from (n, codes) to (n, codes * bits / 8); codes < 2**bits."""
    n, size = codes.shape
    per_byte = 8 // bits
    shifts = (np.arange(per_byte) * bits).astype(np.uint8)
    parts = codes.reshape(n, size // (run * per_byte), per_byte, run) << shifts[:, None]
    packed: NDArray[np.uint8] = np.bitwise_or.reduce(parts, axis=2)
    return packed.reshape(n, size // per_byte)


def signs(masks: NDArray[np.uint8]) -> NDArray[np.int8]:
    """-1 for each set bit and 1 for each clear one, lowest bit first: (n, m) to (n, 8 * m)."""
    return np.int8(1) - np.int8(2) * planes(masks, bits=1, run=1).view(np.int8)


def column(values: NDArray[Any]) -> Floats:
    """One number a block, (n,), as a float32 column that broadcasts over the block: (n, 1)."""
    return values.astype(np.float32)[:, None]


def scaled(scales: Floats, values: NDArray[Any]) -> Floats:
    """Each of g equal groups of values (n, k) times its scale (n, g): float32 (n, k)."""
    n, groups = scales.shape
    grouped = values.astype(np.float32).reshape(n, groups, values.shape[1] // groups)
    return (scales[:, :, None] * grouped).reshape(values.shape)

"""Formats of few levels: one bit, and three or four levels around zero.

    TQ1_0   qs 48 bytes | qh 4 | d f16         256 elements      w = d * (t - 1),  t in 0..2
    TQ2_0   qs 64 bytes | d f16                256 elements      w = d * (q - 1)
    Q1_0    d f16 | qs 16 bytes                128 elements      w = d where the bit is set, else -d
    Q2_0    d f16 | qs 16 bytes                 64 elements      w = d * (q - 1)

TQ1_0 packs five digits of base 3 into a byte as a fraction: with N = 0..242 the number they form,
most significant digit first, the byte is ceil(N * 256 / 243). Multiplying by 3 moves one digit
above the point, so digit k is floor(3 * (byte * 3**k mod 256) / 256). Of the elements

      0..159    are in qs[0:32],   five digits a byte: digit k of byte j is element 32 k + j
    160..239    are in qs[32:48],  five digits a byte: 160 + 16 k + j
    240..255    are in qh,         four digits a byte: 240 + 4 k + j

TQ2_0 has its codes in planes of runs of 32 bytes (see ``bits``); code 3 is not in use. Q1_0 and
Q2_0 are in plain order, least significant bits first. (Forks of ggml have a Q2_0 of 128 elements
under the same type number; the sizes of such tensors do not fit this one.)

Encoding TQ1_0 and TQ2_0: d is the largest magnitude, digits are x * (1 / d) rounded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf.types import TensorType
from pyllama.quants.bits import column, pack_planes, planes, signs
from pyllama.quants.block_format import (
    BlockFormat,
    Blocks,
    Encodable,
    Floats,
    assemble,
    register,
)


@register
class TQ1_0(Encodable):
    """Ternary digits, five a byte."""

    type = TensorType.TQ1_0
    dtype = np.dtype([("qs", "u1", 48), ("qh", "u1", 4), ("d", "<f2")])

    def _decode(self, blocks: Blocks) -> Floats:
        parts = [_trits(blocks["qs"][:, :32], 5), _trits(blocks["qs"][:, 32:], 5)]
        trits = np.concatenate([*parts, _trits(blocks["qh"], 4)], axis=1)
        return column(blocks["d"]) * (trits.astype(np.float32) - 1)

    def _encode(self, values: Floats) -> Blocks:
        d, codes = _ternary_codes(values)
        parts = [_pack_trits(codes[:, :160], 5), _pack_trits(codes[:, 160:240], 5)]
        qh = _pack_trits(codes[:, 240:], 4)
        return assemble(self.dtype, qs=np.concatenate(parts, axis=1), qh=qh, d=d)


@register
class TQ2_0(Encodable):
    """Ternary digits, four a byte."""

    type = TensorType.TQ2_0
    dtype = np.dtype([("qs", "u1", 64), ("d", "<f2")])

    def _decode(self, blocks: Blocks) -> Floats:
        codes = planes(blocks["qs"], bits=2, run=32)
        return column(blocks["d"]) * (codes.astype(np.float32) - 1)

    def _encode(self, values: Floats) -> Blocks:
        d, codes = _ternary_codes(values)
        return assemble(self.dtype, qs=pack_planes(codes, bits=2, run=32), d=d)


@register
class Q1_0(BlockFormat):
    """Signs."""

    type = TensorType.Q1_0
    dtype = np.dtype([("d", "<f2"), ("qs", "u1", 16)])

    def _decode(self, blocks: Blocks) -> Floats:
        return column(blocks["d"]) * -signs(blocks["qs"]).astype(np.float32)


@register
class Q2_0(BlockFormat):
    """2-bit codes: -1, 0, 1, 2 times the scale."""

    type = TensorType.Q2_0
    dtype = np.dtype([("d", "<f2"), ("qs", "u1", 16)])

    def _decode(self, blocks: Blocks) -> Floats:
        codes = planes(blocks["qs"], bits=2, run=1)
        return column(blocks["d"]) * (codes.astype(np.float32) - 1)


def _trits(packed: NDArray[np.uint8], digits: int) -> NDArray[np.uint16]:
    """The first ``digits`` base-3 digits of each byte, (n, digits * bytes), digit by digit."""
    n, size = packed.shape
    powers = np.array([3**k for k in range(digits)], np.uint8)
    fractions = packed[:, None, :] * powers[:, None]  # modulo 256: what is left of the fraction
    trits: NDArray[np.uint16] = fractions.astype(np.uint16) * np.uint16(3) >> np.uint16(8)
    return trits.reshape(n, digits * size)


def _ternary_codes(values: Floats) -> tuple[Floats, NDArray[np.uint8]]:
    """Scale (n,), the largest magnitude, and codes 0, 1, 2: x / d rounded, ties away from zero."""
    d = np.abs(values).max(axis=1)
    inverse = np.where(d == 0, np.float32(0), 1 / d)[:, None]
    exact = values * inverse
    positive, negative = exact >= np.float32(0.5), exact <= np.float32(-0.5)
    return d, np.uint8(1) + positive - negative


def _pack_trits(codes: NDArray[np.uint8], digits: int) -> NDArray[np.uint8]:
    """The inverse of ``_trits``: (n, digits * bytes) to (n, bytes)."""
    rows = codes.reshape(len(codes), digits, -1).astype(np.uint16)
    powers = np.array([3 ** (4 - k) for k in range(digits)], np.uint16)
    numbers = (rows * powers[:, None]).sum(axis=1, dtype=np.uint16)
    wide = numbers.astype(np.uint32) * np.uint32(256) + np.uint32(242)
    packed: NDArray[np.uint8] = (wide // np.uint32(243)).astype(np.uint8)
    return packed

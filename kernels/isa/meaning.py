"""The lane vocabulary in plain NumPy: what each method of ``ISA`` means."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyllama.kernels.types import Type

Array = np.ndarray[Any, Any]


def dot(total: Array, w: Array, x: Array) -> Array:
    """total: (n,) i32; w: (4n,) u8 or i8; x: (4n,) i8 -> (n,) i32."""
    products = w.astype(np.int32) * x.astype(np.int32)
    return total + products.reshape(-1, 4).sum(axis=1, dtype=np.int32)


def dots(largest: int, total: Array, w: Array, x: Array) -> Array:
    """total: (n,) i32; w: (4nm,) u8 or i8 up to ``largest``; x: (4nm,) i8 -> (n,) i32."""
    assert w.max() <= largest
    parts = (a.reshape(-1, 4 * len(total)) for a in (w, x))
    for one, other in zip(*parts, strict=True):
        total = dot(total, one, other)
    return total


def dot_pairs(total: Array, w: Array, x: Array) -> Array:
    """total: (n,) i32, w: (4n,) u8 or i8, x: (4n,) i8 -> (n,) i32: 2 by 2 in 16 bytes each."""
    rows, columns = (v.astype(np.int32).reshape(-1, 2, 8) for v in (w, x))
    return total + (rows @ columns.transpose(0, 2, 1)).reshape(-1)


def lookup(table: tuple[int, ...], index: Array) -> Array:
    """index: (n,) u8 below 16 -> (n,) i8."""
    return np.array(table, np.int8)[index]


def pick(table: Array, index: Array) -> Array:
    """table: (8,) f32, index: (n,) u32 -> (n,) f32."""
    return table[index % 8]


def gather(element: Type, table: tuple[int, ...], index: Array) -> Array:
    """index: (n,) u32 -> (n,) u32 or u64."""
    return np.array(table, element.numpy)[index]


def times_power(x: Array, n: Array) -> Array:
    """(n,) f32 each -> (n,) f32."""
    return np.ldexp(x, n.astype(np.int32))


def bits(mask: Array) -> Array:
    """A u32 or u64 -> (32,) or (64,) booleans, lowest bit first."""
    return np.unpackbits(mask.view(np.uint8), bitorder="little").astype(bool)


def fields(fields: tuple[tuple[int, int] | None, ...], words: Array) -> Array:
    """words: (n,) u32 or u64 -> the same."""
    result, number = np.zeros_like(words), words.dtype.type
    for place, field in enumerate(fields):
        if field:
            value = words >> number(field[0]) & number((1 << field[1]) - 1)
            result |= value << number(8 * place)
    return result


def negated(x: Array, where: Array) -> Array:
    """x: (n,) i8, where: (n,) booleans -> (n,) i8."""
    return np.where(where, -x, x)


def bytes_at(starts: tuple[int, ...], words: Array) -> Array:
    """words: (n,) u64 -> (8n,) u8."""
    return (words[:, None] >> np.array(starts, np.uint64)).astype(np.uint8).ravel()


def even_bytes(sevens: Array) -> Array:
    """(n,) u8 -> (n,) u8: seven bits, and bit 7 set where the number of set ones is odd."""
    kept = sevens & np.uint8(127)
    odd = np.unpackbits(kept).reshape(-1, 8).sum(axis=1) % 2
    return kept | (odd << 7).astype(np.uint8)


def parities(rows: tuple[int, ...], value: Array) -> Array:
    """rows: 8 u8, value: (n,) u8 -> (n,) u8."""
    chosen: Array = value[:, None] & np.array(rows, np.uint8)
    odd = np.unpackbits(chosen[..., None], axis=2).sum(axis=2) % 2
    return np.packbits(odd.astype(np.uint8), axis=1, bitorder="little").ravel()


def byte_lookup(table: tuple[int, ...], index: Array, *upper: Array) -> Array:
    """index: (n,) u8, upper: (n,) booleans each -> (n,) u8."""
    part = sum(bit.astype(int) << i for i, bit in enumerate(upper))
    return np.array(table, np.uint8)[index % 64 + 64 * part]


def bf16_to_f32(value: Array) -> Array:
    """(n,) u16 -> (n,) f32."""
    return (value.astype(np.uint32) << 16).view(np.float32)


def f32_to_bf16(value: Array) -> Array:
    """(n,) f32 -> (n,) u16, nearest even; a NaN stays a NaN."""
    bits = value.view(np.uint32)
    rounded = bits + 0x7FFF + ((bits >> 16) & 1)
    chosen = np.where((bits & 0x7FFFFFFF) > 0x7F800000, bits | 0x400000, rounded)
    return (chosen >> 16).astype(np.uint16)

"""Turns numbers round: from tokens one after the other to tokens side by side, and back.

Batches are multiplied with tokens in the lanes of a vector, so that one weight meets many of them.
"""

from __future__ import annotations

from collections.abc import Callable

from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import f32, i64


def transpose(k: Builder, rows: list[Value]) -> list[Value]:
    """n vectors of n lanes, turned round: log2(n) perfect shuffles of all their elements."""
    n = len(rows)
    low = [lane for i in range(n // 2) for lane in (i, n + i)]
    high = [n // 2 + lane for lane in low]
    for _ in range(n.bit_length() - 1):
        pairs = zip(rows[: n // 2], rows[n // 2 :], strict=True)
        rows = [k.shuffle(a, b, half) for a, b in pairs for half in (low, high)]
    return rows


@kernel(x=Array(f32), out=Array(f32), width=i64)
def pack(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, tokens: int) -> None:
    """x: (tokens, width) -> tiles of tokens, element by element. One task a tile.

    Elements are 32 bits of any kind.
    """
    rows = [a.x.at((task * tokens + i) * a.width) for i in range(tokens)]
    pack_rows(k, rows, a.width, a.out.at(task * tokens * a.width))


def pack_rows(k: Builder, rows: list[Pointer], width: Value, tile: Pointer) -> None:
    """Write the rows of a tile of tokens element by element, as large as those of ``tile`` are."""
    lanes, tokens = k.isa.vector_bytes // tile.element.bytes, len(rows)
    whole = width // lanes * lanes
    for first in range(0, tokens, lanes):
        part = rows[first : first + lanes]
        with k.loop(0, whole, lanes) as i:
            columns = transpose(k, [row.load(i, lanes) for row in part])
            for c, column in enumerate(columns):
                tile.store((i + c) * tokens + first, column)
        with k.loop(whole, width) as i:
            for t, row in enumerate(part):
                tile[i * tokens + first + t] = row[i]


def write_sums(
    k: Builder,
    put: Callable[[Value, Value, Value], None],
    sums: Pointer,
    first: Value,
    count: Value,
    tokens: Value,
    stride: Value,
) -> None:
    """Turn the sums round and put them out, token by token.

    ``put(token, n, total)`` gets one sum, or as many neighbouring ones as ``total`` has lanes.
    """
    lanes = k.f32_lanes
    whole = count // lanes * lanes
    with k.loop(0, tokens, lanes) as t:
        here = k.min(tokens - t, k.const(i64, lanes))
        with k.loop(0, whole, lanes) as r:
            block = [sums.at((r + i) * stride).load(t, lanes) for i in range(lanes)]
            columns = transpose(k, block)
            for c, column in enumerate(columns):
                with k.when(here > c):
                    put(t + c, first + r, column)
        with k.loop(whole, count) as r, k.loop(t, t + here) as token:
            put(token, first + r, sums[r * stride + token])

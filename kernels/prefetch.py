"""Software prefetch of what is read once, from memory: the hardware's own stops at every page."""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.language import Builder, Pointer, Value

LINE_BYTES = 64

PREFETCH_BYTES = {1: 1024, 2: 4096}
"""How far prefetch into each cache level runs ahead. The first level can wait for few lines at a
time, too few for the latency of memory; the second can wait for more (measured: 23 instead of 19
GB/s for Q4_K on two cores that read 32)."""


def prefetch_ahead(k: Builder, place: Pointer, n_bytes: int) -> None:
    """Ask for what a stream's loads will want some time after the ``n_bytes`` at this place."""
    for level, ahead in PREFETCH_BYTES.items():
        for line in range(0, n_bytes, LINE_BYTES):
            k.prefetch(place, ahead + line, level)


PREFETCH_ROWS = 4
"""How many rows prefetch runs ahead of unpacking."""


def prefetch_rows(
    k: Builder,
    type: TensorType,
    row: Pointer,
    row_bytes: Value,
    start: Value,
    depth: int,
) -> None:
    """Ask for the same part of a row further on: the jumps from row to row are hard to foresee."""
    place = row.at(row_bytes * PREFETCH_ROWS + start // type.block_size * type.block_bytes)
    for line in range(0, depth // type.block_size * type.block_bytes, LINE_BYTES):
        k.prefetch(place, line, level=1)

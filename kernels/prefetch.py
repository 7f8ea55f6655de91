"""Software prefetch of what is read once, from memory: the hardware's own stops at every page."""

from __future__ import annotations

from pyllama.kernels.language import Builder, Pointer

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

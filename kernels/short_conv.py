"""Short convolutions over the positions of a sequence, whose inputs a cache keeps.

One sequence owns a slab of ``capacity`` cells as it does for keys and values; cell ``i`` holds the
input at position ``i``, so that a sequence can be cut off anywhere::

    cells   [slab][cell][element]
"""

from __future__ import annotations

from pyllama.kernels.cache_types import NUMBERS
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, i64, u8


@kernel(
    x=Array(f32),  # (tokens, 3, width)
    cells=Array(u8),  # the cache
    width=i64,
    capacity=i64,
)
def conv_store(
    k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, type: str
) -> None:
    """Keep the convolution's input: the first part of a row times the third. One task a token."""
    cache = NUMBERS[type]
    place = step.slabs[task].to(i64) * a.capacity + step.positions[task].to(i64)
    cells = a.cells.of(cache.element).at(place * a.width)
    gate = a.x.at(task * 3 * a.width)
    value = gate.at(a.width * 2)
    whole = a.width // k.f32_lanes * k.f32_lanes
    for start, stop, lanes in ((0, whole, k.f32_lanes), (whole, a.width, 1)):
        with k.loop(start, stop, lanes) as i:
            product = gate.load(i, lanes) * value.load(i, lanes)
            cells.store(i, cache.write(k, product))


@kernel(
    x=Array(f32),  # (tokens, 3, width)
    cells=Array(u8),  # the cache
    weight=Array(f32),  # (width, taps), the last tap for the position itself
    width=i64,
    capacity=i64,
    out=Array(f32),  # (tokens, width)
)
def short_conv(
    k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, type: str, taps: int
) -> None:
    """The second part of a row times the convolution of the cells. One task a token."""
    cache = NUMBERS[type]
    position = step.positions[task].to(i64)
    slab = a.cells.of(cache.element).at(step.slabs[task].to(i64) * a.capacity * a.width)
    gate, out = a.x.at((task * 3 + 1) * a.width), a.out.at(task * a.width)
    back = list(range(taps - 1, -1, -1))
    cells = [slab.at(k.max(position - n, 0) * a.width) for n in back]
    whole = a.width // k.f32_lanes * k.f32_lanes
    for start, stop, lanes in ((0, whole, k.f32_lanes), (whole, a.width, 1)):
        with k.loop(start, stop, lanes) as i:
            weights = a.weight.load(i * taps, lanes * taps)
            total = k.zero(f32 * lanes)
            for tap, n in enumerate(back):
                x = cache.read(k, cells[tap].load(i, lanes))
                x = k.select(position >= n, x, k.zero(x.type))
                total = k.fma(x, weights.take(range(tap, lanes * taps, taps)), total)
            out.store(i, total * gate.load(i, lanes))

"""Writing keys and values of new tokens to the memory of attention, see ``cache_layout``."""

from __future__ import annotations

from pyllama.kernels.cache_layout import CELLS, NewHeads, Side, keys_of, latents_of, values_of
from pyllama.kernels.cache_types import CACHE_TYPES
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import f32, i64, u8


@kernel(
    key=Array(f32),  # (tokens, kv_heads, head_dim)
    value=Array(f32),
    keys=Array(u8),  # the cache
    values=Array(u8),
    kv_heads=i64,
    capacity=i64,
)
def kv_store(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    head_dim: int,
    key_type: str,
    value_type: str,
) -> None:
    """Write the keys and values of new tokens into their cells.

    One task: ``CELLS`` tokens, so that threads seldom write to the same cache line.
    """
    keys = keys_of(a, CACHE_TYPES[key_type], head_dim)
    values = values_of(a, CACHE_TYPES[value_type], head_dim)
    for x, side in ((a.key, keys), (a.value, values)):
        _store(k, x, side, step, task, thread)


@kernel(
    key=Array(f32),  # (tokens, kv_heads, head_dim)
    keys=Array(u8),  # the cache
    kv_heads=i64,
    capacity=i64,
)
def latent_store(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    head_dim: int,
    key_type: str,
) -> None:
    """The same where values are part of the keys."""
    _store(k, a.key, latents_of(a, CACHE_TYPES[key_type], head_dim), step, task, thread)


def _store(k: Builder, x: Pointer, side: Side, step: Fields, task: Value, thread: Value) -> None:
    """Write the heads of a task's tokens."""
    first = task * CELLS
    end = k.min(first + CELLS, step.n_tokens)
    scratch = step.scratch.at(thread * step.scratch_stride)
    side.type.store(k, NewHeads(x, first, end, side, step, scratch))

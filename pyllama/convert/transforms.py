"""What becomes of tensors between checkpoint and file; nothing is read before its turn.

A transform gets the configuration and the tensors of its rule, and makes one tensor of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from operator import mul
from typing import Protocol

import numpy as np

from pyllama.convert.config import Config
from pyllama.convert.tensor import Array, LazyTensor, to_floats
from pyllama.errors import ConversionError
from pyllama.gguf import TensorType


class Transform(Protocol):
    """Makes one tensor of one or several, without reading them yet."""

    def __call__(self, config: Config, /, *tensors: LazyTensor) -> LazyTensor:
        """Raises ConversionError, which names the tensor, where shapes do not fit."""


Size = Callable[[Config], int]
"""A number of rows, heads or columns that the configuration tells."""


def query_heads(config: Config) -> int:
    """Number of query heads."""
    return config.heads


def key_heads(config: Config) -> int:
    """Number of key heads."""
    return config.kv_heads


def as_it_is(config: Config, /, *tensors: LazyTensor) -> LazyTensor:
    """The tensor; several are stacked, which is what the experts of a layer need."""
    return tensors[0] if len(tensors) == 1 else stack(config, *tensors)


def stack(config: Config, /, *tensors: LazyTensor) -> LazyTensor:
    """Tensors of one shape along a new first dimension: (n, *shape)."""
    first = tensors[0]
    for tensor in tensors:
        if tensor.shape != first.shape:
            raise misfit(config, tensor, f"is not {_text(first.shape)} as {first.name}")
    type = _common_type(tensors)

    def pieces() -> Iterator[Array]:
        for tensor in tensors:
            yield _as_type(tensor, type)[None]

    return LazyTensor(first.name, (len(tensors), *first.shape), type, pieces)


def join(config: Config, /, *tensors: LazyTensor) -> LazyTensor:
    """Tensors one after the other along the first dimension: rows of one matrix."""
    first = tensors[0]
    for tensor in tensors:
        if tensor.shape[1:] != first.shape[1:]:
            raise misfit(config, tensor, f"has other rows than {first.name}")
    type = _common_type(tensors)

    def pieces() -> Iterator[Array]:
        return (_as_type(tensor, type) for tensor in tensors)

    shape = (sum(tensor.shape[0] for tensor in tensors), *first.shape[1:])
    return LazyTensor(first.name, shape, type, pieces)


def interleaved(heads: Size) -> Transform:
    """Rows of every head from (half, pair) to (pair, half): partners of a rotation side by side.

    transformers turns elements that are half a head apart, llama.cpp's NORM rotation neighbours.
    Works for weights (heads * d, in) and biases (heads * d,).
    """

    def transform(config: Config, /, *tensors: LazyTensor) -> LazyTensor:
        (tensor,) = tensors
        n = heads(config)
        _require_rows(config, tensor, 2 * n, f"a pair for each of {n} heads")
        half = tensor.shape[0] // n // 2

        def move(rows: Array) -> Array:
            return rows.reshape(n, 2, half, -1).swapaxes(1, 2).reshape(tensor.shape)

        return tensor.rearranged(tensor.shape, move)

    return transform


interleaved_queries = interleaved(query_heads)
interleaved_keys = interleaved(key_heads)


def plus_one(_: Config, /, *tensors: LazyTensor) -> LazyTensor:
    """x + 1 in float32: norms that are stored as their distance from one."""
    (tensor,) = tensors
    return tensor.computed(lambda values: values + np.float32(1))


def transposed(config: Config, /, *tensors: LazyTensor) -> LazyTensor:
    """The last two dimensions exchanged: (in, out) of GPT-2's Conv1D -> (out, in)."""
    (tensor,) = tensors
    if len(tensor.shape) < 2:
        raise misfit(config, tensor, "is no matrix")
    *outer, rows, columns = tensor.shape
    return tensor.rearranged((*outer, columns, rows), lambda array: array.swapaxes(-1, -2))


def rows(start: Size, count: Size) -> Transform:
    """Rows ``start`` to ``start + count`` of a fused tensor: the first dimension is cut."""

    def transform(config: Config, /, *tensors: LazyTensor) -> LazyTensor:
        (tensor,) = tensors
        first, n = start(config), count(config)
        if not tensor.shape or not 0 <= first <= first + n <= tensor.shape[0]:
            raise misfit(config, tensor, f"has no rows {first} to {first + n}")
        return tensor.rearranged((n, *tensor.shape[1:]), lambda array: array[first : first + n])

    return transform


def half(index: int, axis: int = 0) -> Transform:
    """The first (0) or second (1) half along a dimension: gate and up of a fused tensor."""

    def transform(config: Config, /, *tensors: LazyTensor) -> LazyTensor:
        (tensor,) = tensors
        if axis >= len(tensor.shape) or tensor.shape[axis] % 2:
            raise misfit(config, tensor, "has no two halves")
        n = tensor.shape[axis] // 2
        shape = (*tensor.shape[:axis], n, *tensor.shape[axis + 1 :])
        cut = (*[slice(None)] * axis, slice(index * n, (index + 1) * n))
        return tensor.rearranged(shape, lambda array: array[cut])

    return transform


def reordered_rows(shape: Callable[[Config], tuple[int, ...]], *order: int) -> Transform:
    """Rows seen as ``shape``, its dimensions put into another order.

    For fused tensors that hold (head, part, d) where (part, head, d) is wanted, and the like.
    """

    def transform(config: Config, /, *tensors: LazyTensor) -> LazyTensor:
        (tensor,) = tensors
        parts = shape(config)
        if not tensor.shape or reduce(mul, parts, 1) != tensor.shape[0]:
            raise misfit(config, tensor, f"has no {' x '.join(map(str, parts))} rows")

        def move(array: Array) -> Array:
            grouped = array.reshape(*parts, -1)
            return grouped.transpose(*order, len(parts)).reshape(tensor.shape)

        return tensor.rearranged(tensor.shape, move)

    return transform


def ungrouped(heads: Size, key_heads: Size = key_heads) -> Transform:
    """Fused rows of groups, each with its queries, a key and a value -> all of each in turn.

    (key_heads, heads / key_heads + 2, d) -> queries (heads, d), keys and values (key_heads, d).
    """

    def transform(config: Config, /, *tensors: LazyTensor) -> LazyTensor:
        (tensor,) = tensors
        groups = key_heads(config)
        shared = heads(config) // groups
        _require_rows(config, tensor, groups * (shared + 2), f"{groups} groups of heads")

        def move(array: Array) -> Array:
            grouped = array.reshape(groups, shared + 2, -1, *array.shape[1:])
            parts = grouped[:, :shared], grouped[:, -2], grouped[:, -1]
            return np.concatenate([part.reshape(-1, *array.shape[1:]) for part in parts])

        return tensor.rearranged(tensor.shape, move)

    return transform


def reshaped(shape: Callable[[Config, tuple[int, ...]], tuple[int, ...]]) -> Transform:
    """The same elements in another shape, which depends on the configuration and the old one."""

    def transform(config: Config, /, *tensors: LazyTensor) -> LazyTensor:
        (tensor,) = tensors
        new = shape(config, tensor.shape)
        if reduce(mul, new, 1) != reduce(mul, tensor.shape, 1):
            raise misfit(config, tensor, f"cannot be seen as {_text(new)}")
        return tensor.rearranged(new, lambda array: array.reshape(new))

    return transform


def then(*steps: Transform) -> Transform:
    """One transform after the other; the first one gets all tensors of the rule."""

    def transform(config: Config, /, *tensors: LazyTensor) -> LazyTensor:
        first, *others = steps
        return reduce(lambda tensor, step: step(config, tensor), others, first(config, *tensors))

    return transform


def _common_type(tensors: tuple[LazyTensor, ...]) -> TensorType:
    """Their type, or float32 where they differ."""
    types = {tensor.type for tensor in tensors}
    return types.pop() if len(types) == 1 else TensorType.F32


def _as_type(tensor: LazyTensor, type: TensorType) -> Array:
    return tensor.read() if tensor.type is type else to_floats(tensor.read(), tensor.type)


def _require_rows(config: Config, tensor: LazyTensor, divisor: int, why: str) -> None:
    if not tensor.shape or tensor.shape[0] % divisor:
        raise misfit(config, tensor, f"has no rows for {why}")


def misfit(config: Config, tensor: LazyTensor, problem: str) -> ConversionError:
    """The error for a tensor whose shape a rule cannot use."""
    return ConversionError(
        config.path.parent,
        f"tensor {tensor.name} of shape {_text(tensor.shape)} {problem}",
        "its shape and config.json contradict each other: get the checkpoint again",
    )


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "()"

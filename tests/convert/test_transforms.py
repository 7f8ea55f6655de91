"""What becomes of tensors, against what it means element by element; and nothing is read early."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_checkpoint import Array, bf16

from pyllama.convert import transforms
from pyllama.convert.config import Config
from pyllama.convert.tensor import LazyTensor, held
from pyllama.convert.transforms import Transform
from pyllama.errors import ConversionError
from pyllama.gguf import TensorType

CONFIG = Config(
    Path("folder/config.json"),
    {"num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 24},
)
RNG = np.random.default_rng(0)


def drawn(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def lazy(name: str, array: Array, pieces: int = 1) -> LazyTensor:
    parts = np.array_split(array, pieces)
    return LazyTensor(name, array.shape, TensorType.F32, lambda: iter(parts))


def unreadable(*shape: int) -> LazyTensor:
    def pieces() -> Iterator[Array]:
        raise AssertionError("read before its turn")

    return LazyTensor("a", shape, TensorType.F32, pieces)


def test_interleaved_rows() -> None:
    weight = drawn(24, 5)
    result = transforms.interleaved_queries(CONFIG, lazy("q", weight, pieces=3)).read()
    for head in range(4):
        for pair in range(3):
            for half in range(2):
                row = result[head * 6 + 2 * pair + half]
                np.testing.assert_array_equal(row, weight[head * 6 + 3 * half + pair])


def test_interleaved_keys_have_other_heads_and_biases_go_along() -> None:
    bias = np.arange(8, dtype=np.float32)
    result = transforms.interleaved_keys(CONFIG, lazy("k", bias)).read()
    np.testing.assert_array_equal(result, [0, 2, 1, 3, 4, 6, 5, 7])


def test_bits_of_bf16_move_unchanged() -> None:
    bits = bf16(drawn(24, 5))
    tensor = LazyTensor("q", bits.shape, TensorType.BF16, lambda: iter([bits]))
    result = transforms.interleaved_queries(CONFIG, tensor)
    assert result.type is TensorType.BF16
    np.testing.assert_array_equal(result.read()[1], bits[3])


def test_stack() -> None:
    arrays = [drawn(3, 4) for _ in range(5)]
    tensors = [lazy(f"e{i}", array, pieces=2) for i, array in enumerate(arrays)]
    result = transforms.stack(CONFIG, *tensors)
    assert result.shape == (5, 3, 4)
    np.testing.assert_array_equal(result.read(), arrays)
    assert len(list(result.pieces())) == 5


def test_tensors_of_several_types_become_float32() -> None:
    values = drawn(3, 4)
    bits = bf16(values)
    other = LazyTensor("b", bits.shape, TensorType.BF16, lambda: iter([bits]))
    result = transforms.join(CONFIG, lazy("a", values), other)
    assert result.type is TensorType.F32
    assert result.shape == (6, 4)
    np.testing.assert_array_equal(result.read()[3:], other.floats())


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (transforms.transposed, lambda a: a.T),
        (transforms.rows(lambda _: 1, lambda c: c.heads), lambda a: a[1:5]),
        (transforms.half(0), lambda a: a[:3]),
        (transforms.half(1), lambda a: a[3:]),
        (transforms.half(1, axis=1), lambda a: a[:, 2:]),
        (transforms.plus_one, lambda a: a + np.float32(1)),
        (
            transforms.reordered_rows(lambda c: (c.kv_heads, 3), 1, 0),
            lambda a: a[[0, 3, 1, 4, 2, 5]],
        ),
        (transforms.reshaped(lambda _, shape: (*shape, 1)), lambda a: a[..., None]),
        (transforms.then(transforms.half(1), transforms.transposed), lambda a: a[3:].T),
    ],
)
def test_meaning(transform: Transform, expected: Any) -> None:
    array = drawn(6, 4)
    result = transform(CONFIG, lazy("a", array, pieces=2))
    assert result.shape == expected(array).shape
    np.testing.assert_array_equal(result.read(), expected(array))
    assert transform(CONFIG, unreadable(6, 4)).shape == result.shape


@pytest.mark.parametrize(
    ("transform", "shapes", "problem"),
    [
        (transforms.interleaved_queries, [(12, 4)], "has no rows for a pair for each of 4 heads"),
        (transforms.interleaved_queries, [()], "has no rows"),
        (transforms.transposed, [(4,)], "is no matrix"),
        (transforms.stack, [(2, 3), (3, 2)], "is not 2 x 3 as a"),
        (transforms.join, [(2, 3), (3, 2)], "has other rows than a"),
        (transforms.half(0), [(3, 2)], "has no two halves"),
        (transforms.half(0, axis=2), [(4, 2)], "has no two halves"),
        (transforms.rows(lambda _: 2, lambda _: 3), [(4, 2)], "has no rows 2 to 5"),
        (transforms.reordered_rows(lambda _: (2, 3), 1, 0), [(5, 2)], "has no 2 x 3 rows"),
        (transforms.reshaped(lambda *_: (7,)), [(5, 2)], "cannot be seen as 7"),
    ],
)
def test_shapes_that_do_not_fit(
    transform: Transform, shapes: list[tuple[int, ...]], problem: str
) -> None:
    with pytest.raises(ConversionError, match=problem) as caught:
        transform(CONFIG, *(unreadable(*shape) for shape in shapes))
    assert caught.value.path == "folder"


def test_held() -> None:
    array = drawn(3)
    assert held("x", array).read() is array
    assert transforms.as_it_is(CONFIG, held("x", array)).read() is array

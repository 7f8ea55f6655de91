"""Whole tensors: shapes, buffers, chunks, and what is refused."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from operator import attrgetter

import numpy as np
import pytest

from pyllama.errors import PyllamaError
from pyllama.gguf.types import TensorType
from pyllama.quants import FORMATS, codec, dequantize, quantize

NAME = attrgetter("name")


def values(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(2).standard_normal(shape).astype(np.float32)


def test_shape_is_kept_and_rows_are_contiguous() -> None:
    tensor = values(3, 5, 64)
    stored = quantize(tensor, TensorType.Q8_0)
    assert (stored.dtype, stored.shape) == (np.dtype(np.uint8), (3 * 5 * 2 * 34,))
    decoded = dequantize(stored, TensorType.Q8_0, (3, 5, 64))
    assert (decoded.dtype, decoded.shape) == (np.dtype(np.float32), (3, 5, 64))
    np.testing.assert_array_equal(
        decoded[2, 1], dequantize(quantize(tensor[2, 1], TensorType.Q8_0), TensorType.Q8_0, (64,))
    )


@pytest.mark.parametrize("shape", [(0,), (4, 0), (0, 32)])
def test_empty_tensors(shape: tuple[int, ...]) -> None:
    stored = quantize(np.empty(shape), TensorType.Q4_0)
    assert stored.shape == (0,)
    assert dequantize(stored, TensorType.Q4_0, shape).shape == shape
    assert dequantize(b"", TensorType.Q4_0, shape).shape == shape


def test_a_scalar_is_one_element() -> None:
    assert dequantize(quantize(1.5, TensorType.F16), TensorType.F16, ()) == np.float32(1.5)


def test_any_buffer_or_array_will_do() -> None:
    stored = quantize(values(2, 32), TensorType.Q5_1)
    expected = dequantize(stored, TensorType.Q5_1, (2, 32))
    aligned_by_one = np.concatenate([np.zeros(1, np.uint8), stored])[1:]
    read_only = stored.copy()
    read_only.flags.writeable = False
    blocks = stored.view(FORMATS[TensorType.Q5_1].dtype)
    every_other = np.repeat(stored, 2)[::2]
    arrays = (aligned_by_one, read_only, blocks, every_other)
    for data in (stored.tobytes(), memoryview(stored.tobytes()), *arrays):
        np.testing.assert_array_equal(dequantize(data, TensorType.Q5_1, (2, 32)), expected)


def test_values_may_be_of_other_types() -> None:
    tensor = values(2, 32).astype(np.float16)
    expected = quantize(tensor.astype(np.float32), TensorType.Q4_1).tobytes()
    assert quantize(tensor, TensorType.Q4_1).tobytes() == expected
    assert quantize(tensor.astype(np.float64).tolist(), TensorType.Q4_1).tobytes() == expected
    assert np.isinf(quantize(np.array([1e300]), TensorType.F32).view(np.float32)).all()


@pytest.mark.parametrize("type", [TensorType.F16, TensorType.Q4_0, TensorType.Q8_0], ids=NAME)
def test_chunks_join_seamlessly(type: TensorType, monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = values(7, 320)
    stored = quantize(tensor, type)
    decoded = dequantize(stored, type, tensor.shape)
    monkeypatch.setattr(codec, "CHUNK_ELEMENTS", 96)
    assert quantize(tensor, type).tobytes() == stored.tobytes()
    np.testing.assert_array_equal(dequantize(stored, type, tensor.shape), decoded)


@pytest.mark.parametrize("type", FORMATS, ids=NAME)
def test_temporary_memory_is_bounded(type: TensorType) -> None:
    """Beyond its result, decoding takes a few megabytes, not a multiple of the tensor."""
    elements = 1 << 20
    stored = np.zeros(elements // type.block_size * type.block_bytes, np.uint8)
    dequantize(stored[: type.block_bytes], type, (type.block_size,))  # tables are built once
    tracemalloc.start()
    dequantize(stored, type, (elements,))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - 4 * elements < 2 << 20


def refusal(action: str, type: TensorType, shape: tuple[int, ...], size: int = 0) -> str:
    """The message with which the action is refused, on ``size`` bytes or values of a shape."""
    actions: dict[str, Callable[[], object]] = {
        "dequantize": lambda: dequantize(bytes(size), type, shape),
        "quantize": lambda: quantize(np.zeros(shape), type),
    }
    with pytest.raises(PyllamaError) as error:
        actions[action]()
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("size", [0, 17, 19, 18 * 4 - 1, 18 * 5])
def test_wrong_byte_count_is_refused(size: int) -> None:
    message = refusal("dequantize", TensorType.Q4_0, (2, 64), size)
    assert message == f"q4_0 tensor of shape 2x64 takes 72 bytes, but {size} are given"


def test_nothing_is_allocated_for_a_shape_that_the_bytes_do_not_justify() -> None:
    tracemalloc.start()
    refusal("dequantize", TensorType.TQ1_0, (1 << 40, 256), 54)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("action", ["dequantize", "quantize"])
@pytest.mark.parametrize("shape", [(33,), (32, 16), (2, 31), ()])
def test_shape_that_blocks_do_not_divide_is_refused(action: str, shape: tuple[int, ...]) -> None:
    message = refusal(action, TensorType.Q5_0, shape, 22 * 16)
    assert "does not fit q5_0: the last dimension must be a multiple of 32" in message


def test_negative_sizes_are_refused() -> None:
    assert "shape -1x-32 does not fit q4_0" in refusal("dequantize", TensorType.Q4_0, (-1, -32), 18)


def test_type_without_a_format_is_refused() -> None:
    message = refusal("dequantize", TensorType.Q8_1, (32,), 36)
    assert message.startswith("cannot dequantize tensor type q8_1; known types: f32, f16, q4_0,")


@pytest.mark.parametrize("type", [TensorType.Q8_K, TensorType.I32, TensorType.Q8_1], ids=NAME)
def test_type_without_an_encoder_is_refused(type: TensorType) -> None:
    message = refusal("quantize", type, (256,))
    assert message.startswith(
        f"cannot quantize to tensor type {type.label}; possible: f32, f16, q4_0, q4_1,"
    )

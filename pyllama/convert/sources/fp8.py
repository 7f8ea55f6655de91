"""Weights of eight bits with a scale for each block, as DeepSeek V3 and Qwen 3 FP8 store them.

    NAME              F8_E4M3 or F8_E5M2 (rows, columns)
    NAME_scale_inv    F32 (rows / 128, columns / 128), rounded up; or one number for all of it
    weight            NAME * NAME_scale_inv

E4M3 has 4 bits of exponent (bias 7) and 3 of fraction, no infinities, NaN at 0x7f and 0xff; E5M2 is
the upper half of an IEEE half. Sources: Micikevicius et al. 2022; DeepSeek-V3's weight format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from pyllama.convert.sources.stored import StoredTensor
from pyllama.convert.tensor import Array, LazyTensor
from pyllama.gguf import TensorType
from pyllama.quants import Floats

SCALE = "_scale_inv"
"""What the name of a scale has more than that of its weight."""

Block = tuple[int, int]
"""Rows and columns that share a scale."""

DEFAULT_BLOCK: Block = (128, 128)


_PIECE_BYTES = 1 << 23
"""Read at a time, of which four times as many are made, and as many of scales."""


def _e4m3() -> Floats:
    codes = np.arange(256)
    sign = np.where(codes & 0x80, -1.0, 1.0)
    exponent, fraction = (codes >> 3) & 0xF, (codes & 7) / 8
    values = np.where(exponent, (1 + fraction) * 2.0 ** (exponent - 7), fraction * 2.0**-6)
    values[(codes & 0x7F) == 0x7F] = np.nan
    return (sign * values).astype(np.float32)


def _e5m2() -> Floats:
    return (np.arange(256, dtype=np.uint16) << 8).view(np.float16).astype(np.float32)


VALUES: Mapping[str, Floats] = {"F8_E4M3": _e4m3(), "F8_E5M2": _e5m2()}
"""What each of the 256 codes stands for, by dtype."""


def fuse_scales(stored: Mapping[str, StoredTensor], block: Block) -> dict[str, LazyTensor]:
    """The tensors by name, with those of eight bits times their scales, which vanish."""
    scaled = {name for name, tensor in stored.items() if tensor.dtype in VALUES}
    scales = {name + SCALE for name in scaled}
    return {
        name: _scaled(tensor, stored.get(name + SCALE), block) if name in scaled else tensor.lazy()
        for name, tensor in stored.items()
        if name not in scales
    }


def _scaled(tensor: StoredTensor, scale: StoredTensor | None, block: Block) -> LazyTensor:
    """Float32 weights; the scales are read when the weights are."""
    if scale is None:
        raise tensor.error(f"is {tensor.dtype} without a tensor {tensor.name}{SCALE} of scales")
    scales = scale.lazy()
    is_single = all(n == 1 for n in scale.shape)
    *outer, rows, columns = (1, 1, *tensor.shape)[-max(2, len(tensor.shape)) :]
    expected = (*outer, -(-rows // block[0]), -(-columns // block[1]))
    if not is_single and (len(tensor.shape) < 2 or scale.shape != expected):
        problem = f"has the shape {scale.shape}, where blocks of {block} make {expected}"
        raise scale.error(problem)

    def pieces() -> Iterator[Array]:
        factors = scales.floats()
        first, n_rows = 0, block[0] if len(tensor.shape) == 2 else 1
        for codes in tensor.pieces(np.dtype(np.uint8), n_rows, _PIECE_BYTES):
            values = VALUES[tensor.dtype].take(codes)
            if is_single:
                values *= factors.reshape(())
            else:
                _scale(values, factors[first // n_rows :], block)
            first += len(codes)
            yield values

    return LazyTensor(tensor.name, tensor.shape, TensorType.F32, pieces)


def _scale(values: Floats, factors: Floats, block: Block) -> None:
    """Multiply each block by its factor, in place; of more than two dimensions matrix by matrix."""
    if values.ndim > 2:
        for matrix, of_matrix in zip(values, factors, strict=False):
            _scale(matrix, of_matrix, block)
        return
    for start, row in zip(range(0, len(values), block[0]), factors, strict=False):
        values[start : start + block[0]] *= row.repeat(block[1])[: values.shape[1]]

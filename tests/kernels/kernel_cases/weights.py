"""Random weights of every format, as bytes and as the numbers that they mean."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernel_cases.memory import Memory
from pyllama import quants
from pyllama.gguf.types import TensorType
from pyllama.kernels.isa.meaning import bf16_to_f32, f32_to_bf16

EXTREME = np.array([0, -0.0, 6e-8, -6e-8, 6.1e-5, 1, 65504, -65504], np.float16)
POISON = np.array([np.inf, -np.inf, np.nan], np.float16)

_EXTREME_EXPONENTS = np.array([0, 1, 2, 3, 60, 127, 200, 230], np.uint8)
_NO_HALVES = frozenset({TensorType.F32, TensorType.BF16, TensorType.MXFP4, TensorType.NVFP4})


def has_half_scales(type: TensorType) -> bool:
    """Whether the scales of a format can be infinite or not a number."""
    return type not in _NO_HALVES


class Weights:
    """A random matrix: ``data`` as a file holds it, ``values`` (rows, width) in float64."""

    def __init__(
        self,
        memory: Memory,
        type: TensorType,
        shape: tuple[int, int],
        rng: np.random.Generator,
        scales: NDArray[np.float16] | None = None,
    ) -> None:
        """``scales``: which f16 scales occur; by default numbers around 0.01."""
        self.row_bytes = shape[1] // type.block_size * type.block_bytes
        if quants.FORMATS[type].dtype.itemsize <= 4:
            values = rng.normal(0, 1, shape) if scales is None else rng.choice(scales, shape)
            data = quants.quantize(values, type)
        else:
            data = _blocks(type, shape, rng, scales)
        self.data = memory.copy(data)
        self.values = quants.dequantize(data, type, shape).astype(np.float64)
        with np.errstate(invalid="ignore"):
            self.largest = np.abs(self.values).max(axis=1)

    def rounded(self) -> Weights:
        """The same weights, their values rounded to bfloat16."""
        other = copy(self)
        other.values = bf16_to_f32(f32_to_bf16(self.values.astype(np.float32))).astype(np.float64)
        return other


def _blocks(
    type: TensorType,
    shape: tuple[int, int],
    rng: np.random.Generator,
    scales: NDArray[np.float16] | None,
) -> NDArray[np.uint8]:
    """Random bytes with chosen scales."""
    n = shape[0] * shape[1] // type.block_size
    dtype = quants.FORMATS[type].dtype
    blocks = rng.integers(0, 256, n * type.block_bytes, np.uint8).view(dtype)

    def halves() -> NDArray[np.float16]:
        if scales is None:
            return rng.normal(0, 0.01, n).astype(np.float16)
        return rng.choice(scales, n)

    for name in dtype.names or ():
        if dtype[name] == np.dtype("<f2"):
            blocks[name] = halves()
    if type is TensorType.IQ1_M:
        _spread_half(blocks, halves())
    if type is TensorType.MXFP4:
        blocks["e"] = rng.integers(118, 132, n) if scales is None else rng.choice(
            _EXTREME_EXPONENTS, n
        )  # fmt: skip
    return blocks.view(np.uint8)


def _spread_half(blocks: NDArray[Any], halves: NDArray[np.float16]) -> None:
    """Put the nibbles of a scale into the top nibbles of the four words of IQ1_M's scales."""
    bits = halves.view(np.uint16)[:, None] >> np.array([0, 4, 8, 12], np.uint16)
    blocks["scales"] = blocks["scales"] & 0x0FFF | (bits & 15) << 12

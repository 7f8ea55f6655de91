"""Weights of the tiny checkpoints, drawn by name and shape from seeded generators.

The golden files hold the names, shapes and logits; the script that makes them and the tests draw
the same weights, so that the repository stores none.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def draw_all(case: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """The tensors of a case's checkpoint."""
    return {name: draw(case, name, shape) for name, shape in shapes.items()}


def draw(case: str, name: str, shape: tuple[int, ...]) -> Array:
    """Values that keep activations near one, with no vector of ones and none of zeros."""
    # RandomState, because NumPy promises its streams to stay as they are; Generator's may change.
    generator = np.random.RandomState(zlib.crc32(f"{case}/{name}".encode()))
    if name.endswith(("correction_bias", "expert_bias")):  # less than what experts differ by
        return (0.1 * generator.standard_normal(shape)).astype(np.float32)
    if name.endswith("bias"):
        return (0.5 * generator.standard_normal(shape)).astype(np.float32)
    if len(shape) == 1:
        return generator.uniform(0.5, 1.5, shape).astype(np.float32)
    return (generator.standard_normal(shape) / math.sqrt(shape[-1])).astype(np.float32)


def draw_tokens(case: str, count: int, vocabulary: int) -> NDArray[np.int32]:
    """(count,) ids."""
    generator = np.random.RandomState(zlib.crc32(f"{case}/tokens".encode()))
    return generator.randint(0, vocabulary, count).astype(np.int32)

"""Adapters of random numbers, and models into which they are merged in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from models.tiny import read_tiny
from numpy.typing import NDArray

from pyllama.gguf import GGUFFile, TensorType, write_gguf
from pyllama.quants import dequantize, quantize

Array = NDArray[np.float32]
EMBEDDING = "token_embd.weight"


@dataclass(frozen=True)
class Drawn:
    """Pairs (a, b) by the names of the tensors that they adapt, as their file holds them."""

    pairs: Mapping[str, tuple[Array, Array]]
    alpha: float = 8.0

    def delta(self, name: str) -> Array:
        """What is added to a matrix, with a scale of 1."""
        a, b = self.pairs[name]
        factor = self.alpha / b.shape[1] if self.alpha else 1.0
        return (factor * (a @ b.T if name == EMBEDDING else b @ a)).astype(np.float32)


def draw(
    shapes: Mapping[str, tuple[int, ...]],
    names: Iterable[str],
    rank: int = 4,
    alpha: float = 8.0,
    seed: int = 0,
) -> Drawn:
    """Pairs for tensors of these shapes, large enough to matter."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> Array:
        return (0.3 * rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    pairs = {}
    for name in names:
        n_out, n_in = shapes[name]
        pairs[name] = (
            (normal(n_out, rank), normal(n_in, rank))
            if name == EMBEDDING
            else (normal(rank, n_in), normal(n_out, rank))
        )
    return Drawn(pairs, alpha)


def write_adapter(
    path: Path,
    architecture: str,
    drawn: Drawn,
    types: str = "F32",
    changes: Mapping[str, Any] | None = None,
) -> Drawn:
    """Write the file; returns the pairs as its types hold them. ``changes``: of metadata."""
    keys = {
        "general.architecture": architecture,
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": float(drawn.alpha),
        **(changes or {}),
    }
    table, held = {}, {}
    for name, pair in drawn.pairs.items():
        stored = [_stored(array, TensorType[types]) for array in pair]
        for end, (type, data, array) in zip("ab", stored, strict=True):
            table[f"{name}.lora_{end}"] = (array.shape, type, data)
        held[name] = stored[0][2], stored[1][2]
    write_gguf(path, keys, table)
    return Drawn(held, drawn.alpha)


def _stored(array: Array, type: TensorType) -> tuple[TensorType, NDArray[Any], Array]:
    """Type, data and what they stand for; float32 where blocks do not divide rows."""
    if array.shape[-1] % type.block_size:
        type = TensorType.F32
    data = quantize(array, type)
    return type, data, dequantize(data.reshape(-1).view(np.uint8), type, array.shape)


def merge(base: Path, path: Path, adapters: Iterable[tuple[Drawn, float]]) -> Path:
    """Write a model of float32 with adapters, each times its scale, added to its weights."""
    metadata, tensors = read_tiny(base)
    for drawn, scale in adapters:
        for name in drawn.pairs:
            if name == EMBEDDING and "output.weight" not in tensors:
                tensors["output.weight"] = tensors[name].copy()  # is not adapted with it
            tensors[name] = tensors[name] + np.float32(scale) * drawn.delta(name)
    table = {name: (array.shape, TensorType.F32, array) for name, array in tensors.items()}
    write_gguf(path, metadata, table)
    return path


def shapes(base: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a model's tensors."""
    with GGUFFile.open(base) as file:
        return {name: info.shape for name, info in file.tensors.items()}


def matrices(base: Path) -> list[str]:
    """Its matrices, but for those of experts."""
    return [name for name, shape in shapes(base).items() if len(shape) == 2]

"""A tensor that is read when its turn comes, piece by piece.

    checkpoint (mapped) -> LazyTensor -> transforms -> LazyTensor -> encoded, written

Nothing is computed before ``pieces`` is iterated over, so that a conversion holds one tensor at a
time however large the model is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf import TensorType
from pyllama.quants import Floats, dequantize

Array = NDArray[Any]

ELEMENTS: dict[TensorType, np.dtype[Any]] = {
    TensorType.F64: np.dtype("<f8"),
    TensorType.F32: np.dtype("<f4"),
    TensorType.F16: np.dtype("<f2"),
    TensorType.BF16: np.dtype("<u2"),
    TensorType.I8: np.dtype("i1"),
    TensorType.I16: np.dtype("<i2"),
    TensorType.I32: np.dtype("<i4"),
    TensorType.I64: np.dtype("<i8"),
}
"""How NumPy holds an element; BF16 as its bits. Quantized types are held as uint8, their bytes."""


@dataclass(frozen=True)
class LazyTensor:
    """A tensor to be read.

    Attributes:
        name: in the checkpoint, for messages.
        shape: NumPy order; a linear weight is ``(n_out, n_in)``.
        type: of the elements as they are read.
        pieces: makes the parts along the first dimension, in order: ``(n, *shape[1:])`` of the
            dtype in ``ELEMENTS``; of a quantized type, whose last dimension counts bytes. They may
            be views of a mapped file, and are not to be written to.
    """

    name: str
    shape: tuple[int, ...]
    type: TensorType
    pieces: Callable[[], Iterator[Array]]

    @property
    def n_elements(self) -> int:
        """Elements, not blocks."""
        return math.prod(self.shape)

    def read(self) -> Array:
        """All elements as stored, ``shape``; a view where the tensor is one piece."""
        parts = list(self.pieces())
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def loaded(self) -> LazyTensor:
        """The same, read now and kept in memory."""
        array = np.array(self.read())
        return replace(self, pieces=lambda: iter((array,)))

    def floats(self) -> Floats:
        """All elements as float32, ``shape``."""
        return to_floats(self.read(), self.type)

    def rearranged(self, shape: tuple[int, ...], move: Callable[[Array], Array]) -> LazyTensor:
        """The same elements in other places: ``move`` gets the whole tensor as stored."""
        return LazyTensor(self.name, shape, self.type, lambda: iter((move(self.read()),)))

    def computed(self, function: Callable[[Floats], Floats]) -> LazyTensor:
        """A float32 tensor of the same shape: ``function`` of every piece, element by element."""

        def pieces() -> Iterator[Array]:
            return (function(to_floats(piece, self.type)) for piece in self.pieces())

        return LazyTensor(self.name, self.shape, TensorType.F32, pieces)


def to_floats(piece: Array, type: TensorType) -> Floats:
    """Elements as stored -> float32."""
    if type is TensorType.F32:
        return piece
    columns = piece.shape[-1] if piece.ndim else 1
    elements = columns // type.block_bytes * type.block_size if piece.dtype == np.uint8 else columns
    return dequantize(piece, type, (*piece.shape[:-1], elements) if piece.ndim else ())


def held(name: str, array: Array, type: TensorType = TensorType.F32) -> LazyTensor:
    """An array that is there already, as a tensor."""
    return LazyTensor(name, array.shape, type, lambda: iter((array,)))

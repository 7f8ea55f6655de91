"""A tensor as a checkpoint's file stores it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pyllama.convert.sources.mapped import AGAIN, MappedFile
from pyllama.convert.tensor import ELEMENTS, Array, LazyTensor
from pyllama.errors import ConversionError
from pyllama.gguf import TensorType
from pyllama.gguf.wording import quoted

WIDTHS = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "I16": 2,
    "U16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "C64": 8,
    "F64": 8,
    "I64": 8,
    "U64": 8,
}
"""Bytes of an element, by the names of safetensors."""

TYPES = {
    "F64": TensorType.F64,
    "F32": TensorType.F32,
    "F16": TensorType.F16,
    "BF16": TensorType.BF16,
    "I64": TensorType.I64,
    "I32": TensorType.I32,
    "I16": TensorType.I16,
    "I8": TensorType.I8,
    "U8": TensorType.I8,  # bytes, of which only a transform knows what they mean
    "BOOL": TensorType.I8,
}
"""What GGUF has for them."""

PIECE_BYTES = 1 << 26
"""Of a tensor that is mapped at a time, about."""

MAX_DIMS = 8


@dataclass(frozen=True)
class StoredTensor:
    """A tensor's place in a file.

    Attributes:
        name: in the checkpoint.
        shape: NumPy order, elements in C order.
        dtype: one of ``WIDTHS``.
        file: that holds it.
        start: of its bytes in the file; they are within it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    file: MappedFile
    start: int

    @property
    def n_bytes(self) -> int:
        """Its size."""
        return math.prod(self.shape) * WIDTHS[self.dtype]

    def pieces(
        self, dtype: np.dtype[np.generic], rows: int = 1, n_bytes: int = PIECE_BYTES
    ) -> Iterator[Array]:
        """Its elements as ``dtype``: views of about ``n_bytes``, of multiples of ``rows``."""
        outer, inner = (self.shape[0], self.shape[1:]) if self.shape else (1, ())
        row_bytes = math.prod(inner) * WIDTHS[self.dtype]
        step = max(1, n_bytes // max(1, row_bytes * rows)) * rows
        for first in range(0, max(1, outer), step):
            n = min(step, outer - first)
            begin, end = self.start + first * row_bytes, self.start + (first + n) * row_bytes
            shape = (n, *inner) if self.shape else ()
            yield self.file.bytes(begin, end).view(dtype).reshape(shape)
            self.file.release()

    def lazy(self) -> LazyTensor:
        """The tensor as it is. Raises ConversionError for a dtype that GGUF does not have."""
        type = TYPES.get(self.dtype)
        if type is None:
            raise self.error(f"is {self.dtype}, which cannot be converted", "get it in BF16 or F16")
        return LazyTensor(self.name, self.shape, type, lambda: self.pieces(ELEMENTS[type]))

    def error(self, problem: str, remedy: str = AGAIN) -> ConversionError:
        """The error for it."""
        return ConversionError(self.file.path, f"tensor {quoted(self.name)} {problem}", remedy)

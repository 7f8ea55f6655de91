"""What a block format is: named fields, and what they mean as numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf.types import TensorType

Blocks: TypeAlias = NDArray[np.void]
"""Structured array of shape (blocks,), of a format's ``dtype``."""

Floats: TypeAlias = NDArray[np.float32]


class BlockFormat(ABC):
    """A tensor type whose elements are stored in blocks of ``block_size``.

    ``dtype`` is the block as it lies in the file: packed, little-endian, its fields named as in
    ggml's structs, so that code which reads blocks elsewhere can say ``qs`` instead of an offset.
    """

    type: ClassVar[TensorType]
    dtype: ClassVar[np.dtype[np.void]]

    @property
    def block_size(self) -> int:
        """Elements in a block."""
        return self.type.block_size

    def dequantize(self, blocks: Blocks) -> Floats:
        """The numbers that ``blocks``, shape (n,), stand for: float32 of shape (n, block_size).

        Scales may be infinite or NaN; the result then is what IEEE arithmetic makes of them.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return self._decode(blocks)

    @abstractmethod
    def _decode(self, blocks: Blocks) -> Floats:
        """The formula of the format, on (n,) blocks; float32 of shape (n, block_size)."""


class Encodable(BlockFormat):
    """A block format that numbers can be converted to."""

    def quantize(self, values: Floats) -> Blocks:
        """The blocks nearest to ``values``, float32 of shape (n, block_size), as ggml rounds them.

        Values that overflow the format become whatever its scale type makes of them (infinity);
        elements of a block without a finite reciprocal scale get code 0.
        """
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            return self._encode(values)

    @abstractmethod
    def _encode(self, values: Floats) -> Blocks:
        """The inverse of ``_decode``, on float32 of shape (n, block_size); blocks of shape (n,)."""


class Weighable(Encodable):
    """A format that is encoded better where it is known how much each column matters."""

    def quantize_rows(self, rows: Floats, importance: Floats) -> Blocks:
        """The blocks of ``rows``, float32 (r, c), row by row; c is a multiple of ``block_size``.

        ``importance``: float32 (c,), finite and not negative, the weight of the squared error of
        each column.
        """
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            return self._encode_rows(rows, importance)

    @abstractmethod
    def _encode_rows(self, rows: Floats, importance: Floats) -> Blocks:
        """The nearest blocks by weighted error, shape (r * c / block_size,)."""


_formats: dict[TensorType, BlockFormat] = {}

FORMATS: Mapping[TensorType, BlockFormat] = MappingProxyType(_formats)
"""Every block format by its tensor type."""


def assemble(dtype: np.dtype[np.void], **fields: NDArray[np.generic]) -> Blocks:
    """Blocks from their fields, each of shape (n,) or (n, length)."""
    blocks = np.empty(len(next(iter(fields.values()))), dtype)
    for name, values in fields.items():
        blocks[name] = values
    return blocks


FormatClass = TypeVar("FormatClass", bound=type[BlockFormat])


def register(cls: FormatClass) -> FormatClass:
    """Class decorator: check the declaration of a format and enter it into ``FORMATS``."""
    block_format = cls()
    assert block_format.type not in _formats, f"{cls.__name__} is declared twice"
    assert block_format.dtype.itemsize == block_format.type.block_bytes, f"{cls.__name__} has gaps"
    _formats[block_format.type] = block_format
    return cls

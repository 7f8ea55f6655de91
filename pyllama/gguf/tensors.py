"""What a GGUF file says about a tensor, and the rules for it that reader and writer share."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pyllama.gguf.types import TensorType

MAX_DIMS = 4
MAX_NAME_BYTES = 63  # ggml keeps names in 64 bytes with a closing NUL
MAX_ALIGNMENT = 2**24  # beyond every page size; padding to it is still cheap
_MAX_INT64 = 2**63 - 1


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Name, shape, type and place of a tensor.

    Attributes:
        name: the tensor's name, unique in the file.
        shape: NumPy order, outermost first; a linear weight is ``(n_out, n_in)``.
        type: element or block type.
        n_bytes: size of the data without padding.
        offset: of the data, in bytes from the start of the file that holds it.
        part: which file of a split model holds it, from 0.
    """

    name: str
    shape: tuple[int, ...]
    type: TensorType
    n_bytes: int
    offset: int
    part: int = 0

    @property
    def dims(self) -> tuple[int, ...]:
        """The file's order: innermost (contiguous) dimension first."""
        return self.shape[::-1]

    @property
    def n_elements(self) -> int:
        """Elements, not blocks."""
        return math.prod(self.shape)


def tensor_bytes(shape: tuple[int, ...], type: TensorType) -> int:
    """Size in bytes of a tensor's data.

    Raises ``ValueError``, with the problem as its text, for a shape that GGUF does not allow.
    """
    if len(shape) > MAX_DIMS:
        raise ValueError(f"has {len(shape)} dimensions, GGUF allows {MAX_DIMS}")
    if any(n < 0 for n in shape):
        raise ValueError(f"has a negative dimension in its shape {shape}")
    row = shape[-1] if shape else 1
    if row % type.block_size:
        raise ValueError(
            f"has rows of {row} elements, {type.label} needs a multiple of {type.block_size}"
        )
    # An empty dimension must not hide an overflow of the others: strides are computed from them.
    elements = math.prod(max(n, 1) for n in shape)
    if max(elements, elements // type.block_size * type.block_bytes) > _MAX_INT64:
        raise ValueError(f"has more elements than 64 bits can count in its shape {shape}")
    return math.prod(shape) // type.block_size * type.block_bytes


def padded(position: int, alignment: int) -> int:
    """The next multiple of ``alignment``."""
    return -(-position // alignment) * alignment


def is_alignment(value: int) -> bool:
    """Whether tensors may be aligned so: to a power of two, within reason."""
    return 0 < value <= MAX_ALIGNMENT and value & (value - 1) == 0

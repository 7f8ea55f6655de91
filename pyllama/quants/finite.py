"""Whether the numbers in blocks are finite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf.types import TensorType
from pyllama.quants.block_format import FORMATS

_INFINITY = {TensorType.F16: 0x7C00, TensorType.BF16: 0x7F80}
"""The bits of infinity; those of NaN are more, but for the sign."""


def is_finite(packed: NDArray[np.uint8], type: TensorType) -> bool:
    """Whether the floats in blocks, scales or the weights themselves, are neither infinite nor NaN.

    ``packed``: whole blocks, uint8 (bytes,).
    """
    infinity = _INFINITY.get(type)
    if infinity is not None:  # by its bits, which takes a tenth of the time
        return int((packed.view("<u2") & 0x7FFF).max(initial=0)) < infinity
    block_format = FORMATS.get(type)
    if block_format is None:
        return True
    blocks = packed.view(block_format.dtype)
    fields = (blocks[name] for name in block_format.dtype.names or ())
    return all(bool(np.isfinite(field).all()) for field in fields if field.dtype.kind == "f")

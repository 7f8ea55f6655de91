"""The types of cached keys and values."""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.cache_blocks import Blocks
from pyllama.kernels.cache_numbers import Numbers
from pyllama.kernels.types import f16, f32, u16

NUMBERS = {t.name: t for t in (Numbers("f32", f32), Numbers("f16", f16), Numbers("bf16", u16))}
"""By name, those that are not quantized."""

BLOCKS = {
    t.name: t
    for t in (
        Blocks(TensorType.Q8_0),
        Blocks(TensorType.Q5_1),
        Blocks(TensorType.Q5_0, center=16),
        Blocks(TensorType.Q4_1),
        Blocks(TensorType.Q4_0, center=8),
        Blocks(TensorType.IQ4_NL),
    )
}
"""By name, those that are quantized."""

CACHE_TYPES: dict[str, Numbers | Blocks] = {**NUMBERS, **BLOCKS}
"""By name."""

"""The tensor types that kernels read in place, one class each."""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats.float4 import MXFP4, NVFP4
from pyllama.kernels.formats.floats import BF16, F16, F32, FloatFormat
from pyllama.kernels.formats.iq1 import IQ1_M, IQ1_S
from pyllama.kernels.formats.iq2 import IQ2_S, IQ2_XS, IQ2_XXS
from pyllama.kernels.formats.iq3 import IQ3_S, IQ3_XXS
from pyllama.kernels.formats.iq4 import IQ4_NL, IQ4_XS
from pyllama.kernels.formats.k_quants import Q2_K, Q3_K, Q4_K, Q5_K, Q6_K
from pyllama.kernels.formats.simple import Q4_0, Q4_1, Q5_0, Q5_1, Q8_0
from pyllama.kernels.formats.ternary import Q1_0, Q2_0, TQ1_0, TQ2_0

from pyllama.kernels.formats.base import Block, Format, QuantizedFormat  # isort: skip

__all__ = ["FORMATS", "Block", "FloatFormat", "Format", "QuantizedFormat"]

_CLASSES: tuple[type[FloatFormat] | type[QuantizedFormat], ...] = (
    F32, F16, BF16,
    Q4_0, Q4_1, Q5_0, Q5_1, Q8_0,
    Q2_K, Q3_K, Q4_K, Q5_K, Q6_K,
    IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, IQ4_NL, IQ4_XS,
    TQ1_0, TQ2_0, Q1_0, Q2_0, MXFP4, NVFP4,
)  # fmt: skip

FORMATS: dict[TensorType, FloatFormat | QuantizedFormat] = {c.type: c() for c in _CLASSES}
"""By tensor type."""

"""Encoders: rows of float32 to blocks of every tensor type, bit for bit as ``pyllama.quants``.

``ENCODERS`` has one class for each type; ``encode`` the kernels that run them.
"""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.encode.base import Encoder
from pyllama.kernels.encode.float4 import MXFP4
from pyllama.kernels.encode.grids import IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS
from pyllama.kernels.encode.iq1 import IQ1_M, IQ1_S
from pyllama.kernels.encode.iq4 import IQ4_NL, IQ4_XS
from pyllama.kernels.encode.k_quants import Q2_K, Q3_K, Q4_K, Q5_K, Q6_K
from pyllama.kernels.encode.simple import Q4_0, Q4_1, Q5_0, Q5_1, Q8_0
from pyllama.kernels.encode.ternary import TQ1_0, TQ2_0

_CLASSES: tuple[type[Encoder], ...] = (
    Q4_0, Q4_1, Q5_0, Q5_1, Q8_0,
    Q2_K, Q3_K, Q4_K, Q5_K, Q6_K,
    IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, IQ4_NL, IQ4_XS, TQ1_0, TQ2_0, MXFP4,
)  # fmt: skip

ENCODERS: dict[TensorType, Encoder] = {c.type: c() for c in _CLASSES}
"""By tensor type."""

"""Lists of kernels, for tests that look at code and do not run it."""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.activation import quantize
from pyllama.kernels.attention import attend
from pyllama.kernels.elementwise import add, embedding, rms_norm, select_rows, swiglu
from pyllama.kernels.int8_matmul import gated_int8_matmul, int8_matmul
from pyllama.kernels.kernel import Kernel
from pyllama.kernels.kv_cache import CACHE_TYPES, kv_store
from pyllama.kernels.matmul import gated_matmul, matmul, pack
from pyllama.kernels.matvec import gated_matvec, matvec
from pyllama.kernels.rope import STYLES, rope


def matvecs(*types: TensorType) -> list[Kernel]:
    """Decode matmuls of one token."""
    return [matvec(type=t, columns=1, rows="n_tokens", epilogue="none") for t in types]


_FORMATS = [
    TensorType[name]
    for name in (
        "F32", "F16", "BF16", "Q4_0", "Q5_1", "Q8_0", "Q3_K", "Q6_K", "IQ1_M", "IQ2_XXS", "IQ3_S",
        "IQ4_XS", "TQ1_0", "Q1_0", "NVFP4",
    )
]  # fmt: skip
"""One of each way to unpack."""


def of_each_kind() -> list[Kernel]:
    """Every kernel, cache type and style, and most formats, but not in all combinations."""
    integer = (TensorType.Q5_0, TensorType.Q6_K)
    batch = (TensorType.F16, TensorType.Q4_K, TensorType.IQ3_S)
    return [
        *matvecs(*_FORMATS),
        *(matmul(type=t, rows="n_tokens", epilogue="residual") for t in batch),
        *(int8_matmul(type=t, rows="n_tokens", epilogue="bias") for t in integer),
        *(gated_int8_matmul(type=t, rows="n_tokens") for t in integer),
        *(gated_matmul(type=t, rows="n_tokens") for t in batch),
        *(gated_matvec(type=t, columns=1, rows="n_tokens") for t in batch),
        *(embedding(type=t) for t in batch),
        *(kv_store(head_dim=64, key_type=t, value_type=t) for t in CACHE_TYPES),
        *(
            attend(head_dim=64, heads_per_kv=4, tokens=1, parts=2, key_type=t, value_type=t)
            for t in CACHE_TYPES
        ),
        *(rope(style=style, pairs=32) for style in STYLES),
        pack(tokens=16),
        *(make() for make in (quantize, rms_norm, swiglu, add, select_rows)),
    ]

"""Lists of kernels, for tests that look at code and do not run it."""

from __future__ import annotations

from itertools import cycle

from pyllama.gguf.types import TensorType
from pyllama.graph.ops.elements import FUNCTIONS
from pyllama.kernels.activation import quantize
from pyllama.kernels.attention import attend
from pyllama.kernels.cache_types import CACHE_TYPES
from pyllama.kernels.decode import decode
from pyllama.kernels.draw import draw
from pyllama.kernels.elementwise import (
    add,
    each,
    embedding,
    gate,
    layer_norm,
    rms_norm,
    row_gate,
    select_rows,
)
from pyllama.kernels.encode import ENCODERS
from pyllama.kernels.encode.encode import encode_blocks, encode_floats
from pyllama.kernels.encode.weighting import mean_squares
from pyllama.kernels.expert_matmul import expert_matmul, gated_expert_matmul, pack_groups
from pyllama.kernels.expert_matvec import expert_matvec, gated_expert_matvec
from pyllama.kernels.hadamard import hadamard
from pyllama.kernels.heads import head_join, head_matmul, head_matvec, head_part, pack_heads
from pyllama.kernels.int8_panels import pack_records
from pyllama.kernels.kernel import Kernel
from pyllama.kernels.kv_cache import kv_store, latent_store
from pyllama.kernels.matmul import gated_matmul, matmul
from pyllama.kernels.matvec import gated_matvec, matvec
from pyllama.kernels.orders import DIGITS, EIGHTHS, HALVES, PLAIN, QUARTERS, STRIPES
from pyllama.kernels.rope import STYLES, rope
from pyllama.kernels.routing import SCORES, group, route
from pyllama.kernels.score_changes import CHANGES
from pyllama.kernels.scores import combine_scores, partial_scores
from pyllama.kernels.short_conv import conv_store, short_conv
from pyllama.kernels.square_sums import expert_square_sums, square_sums
from pyllama.kernels.transpose import pack

GATED = {"rows": "n_tokens", "activation": "silu"}


def matvecs(*types: TensorType) -> list[Kernel]:
    """Decode matmuls of one token."""
    return [matvec(type=t, columns=1, rows="n_tokens", epilogue="none") for t in types]


UNPACKINGS = [
    TensorType[name]
    for name in (
        "F32", "F16", "BF16", "Q4_0", "Q5_1", "Q8_0", "Q3_K", "Q6_K", "IQ1_M", "IQ2_XXS", "IQ3_S",
        "IQ4_XS", "TQ1_0", "Q1_0", "NVFP4",
    )
]  # fmt: skip
"""One of each way to unpack."""

ENCODINGS = [
    TensorType[name]
    for name in ("Q5_1", "Q8_0", "Q3_K", "IQ4_XS", "IQ3_S", "IQ1_M", "MXFP4")
]  # fmt: skip
"""One of each way to encode."""


def conversions() -> list[Kernel]:
    """Encoders of every kind of format, and decoders."""
    return [
        *(encode_blocks(type=t, weighted=ENCODERS[t].takes_importance) for t in ENCODINGS),
        *(encode_floats(type=TensorType[name]) for name in ("F16", "BF16")),
        *(decode(type=TensorType[name]) for name in ("BF16", "Q4_K")),
        mean_squares(),
    ]


def of_experts_and_heads() -> list[Kernel]:
    """Mixtures of experts, heads with matrices of their own, and short convolutions."""
    type, rows = TensorType.Q4_K, "n_tokens"
    experts = {"type": type, "experts": 8, "biased": True}
    choice = {"experts": 8, "used": 2}
    down = {**experts, "rows": rows, "used": 2, "has_residual": True}
    return [
        *(
            route(
                **choice, score=score, biased=True, normalized=True,
                groups=4, groups_used=2, group_best=2,
            )
            for score in SCORES
        ),
        group(**choice, rows=rows, block=16),
        gated_expert_matvec(**experts, used=2, columns=1, activation="clamped"),
        expert_matvec(**down, columns=2),
        *(pack_groups(panels=way, experts=8, share=2) for way in ("int8", "floats")),
        *(
            gated_expert_matmul(**experts, panels=way, activation="silu", packed=False)
            for way in ("int8", "floats")
        ),
        expert_matmul(**down, panels="floats"),
        head_part(),
        head_join(),
        head_matvec(type=type, columns=1, rows=rows),
        pack_heads(panels="floats"),
        head_matmul(type=type, rows=rows, panels="floats"),
        hadamard(size=64),
        conv_store(type="f16"),
        short_conv(type="f16", taps=3),
        row_gate(),
        square_sums(rows=rows),
        expert_square_sums(experts=8, share=2),
    ]  # fmt: skip


_ATTENTION = (*((change, 0) for change in CHANGES), ("none", 32))
"""What happens to scores, and elements of a latent head."""


def of_each_kind() -> list[Kernel]:
    """Every kernel, cache type and style, and most formats, but not in all combinations."""
    integer = (TensorType.Q5_0, TensorType.Q6_K)
    batch = (TensorType.F16, TensorType.Q4_K, TensorType.IQ3_S)
    return [
        *matvecs(*UNPACKINGS),
        *(matmul(type=t, panels="floats", rows="n_tokens", epilogue="residual") for t in batch),
        *(matmul(type=t, panels="int8", rows="n_tokens", epilogue="bias") for t in integer),
        *(gated_matmul(type=t, panels="int8", packed=False, **GATED) for t in integer),
        *(gated_matmul(type=t, panels="floats", packed=False, **GATED) for t in batch),
        *(gated_matvec(type=t, columns=1, **GATED) for t in batch),
        *(embedding(type=t, of="tokens") for t in batch),
        *(kv_store(head_dim=64, key_type=t, value_type=t) for t in CACHE_TYPES),
        *(
            attend(
                head_dim=64,
                latent=latent,
                heads_per_kv=4,
                tokens=1,
                parts=2,
                key_type=t,
                value_type=t,
                change=change,
                has_sinks=change == "none",
            )
            for t, (change, latent) in zip(CACHE_TYPES, cycle(_ATTENTION), strict=False)
        ),
        *(latent_store(head_dim=64, key_type=t) for t in CACHE_TYPES),
        *(rope(style=style, pairs=32) for style in STYLES),
        *(
            partial_scores(type=t, panels=panels, biased=False, changes=(("softcap", 30.0),))
            for t, panels in ((TensorType.Q6_K, "int8"), (TensorType.F16, "floats"))
        ),
        combine_scores(),
        *conversions(),
        pack(tokens=16),
        pack_records(),
        *(each(function=name) for name in FUNCTIONS),
        gate(activation="gelu"),
        layer_norm(biased=True),
        *(quantize(order=o) for o in (PLAIN, STRIPES, QUARTERS, EIGHTHS, HALVES, DIGITS)),
        *(make() for make in (rms_norm, add, select_rows)),
        draw(steps="top_p+min_p+temperature"),
        *of_experts_and_heads(),
    ]

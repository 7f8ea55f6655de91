"""The operations of a model's graph, each with its plain NumPy meaning.

Activations are ``(rows, width)`` float32, where the rows are the tokens of a step, or those tokens
whose logits are wanted. An op's ``meaning`` is its definition; kernels are tested against it.
"""

from pyllama.graph.ops.attention import Attention, Rope
from pyllama.graph.ops.base import (
    Array,
    Op,
    Rows,
    StepState,
    Tensor,
    Weight,
    describe,
)
from pyllama.graph.ops.linear import GatedLinear, Linear
from pyllama.graph.ops.rows import Add, Embedding, RMSNorm, SelectRows, SwiGLU

__all__ = [
    "Add",
    "Array",
    "Attention",
    "Embedding",
    "GatedLinear",
    "Linear",
    "Op",
    "RMSNorm",
    "Rope",
    "Rows",
    "SelectRows",
    "StepState",
    "SwiGLU",
    "Tensor",
    "Weight",
    "describe",
]

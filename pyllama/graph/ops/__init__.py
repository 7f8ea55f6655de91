"""The operations of a model's graph, each with its plain NumPy meaning.

Activations are ``(rows, width)`` float32, where the rows are the tokens of a step, or those tokens
whose logits are wanted. An op's ``meaning`` is its definition; kernels are tested against it.
"""

from pyllama.graph.ops.attention import Attention, Rope, alibi_slopes
from pyllama.graph.ops.base import (
    Array,
    Op,
    Rows,
    StepState,
    Tensor,
    Weight,
    describe,
)
from pyllama.graph.ops.elements import Each, Gate
from pyllama.graph.ops.experts import GatedExperts, Route, RowGate, SumExperts
from pyllama.graph.ops.heads import HeadJoin, HeadLinear, HeadPart
from pyllama.graph.ops.linear import GatedLinear, Linear
from pyllama.graph.ops.rows import Add, Embedding, LayerNorm, RMSNorm, SelectRows
from pyllama.graph.ops.scores import SCORE_WIDTH, TokenScores, token_scores
from pyllama.graph.ops.short_conv import ShortConv
from pyllama.graph.ops.square_sums import SquareSums

__all__ = [
    "SCORE_WIDTH",
    "Add",
    "Array",
    "Attention",
    "Each",
    "Embedding",
    "Gate",
    "GatedExperts",
    "GatedLinear",
    "HeadJoin",
    "HeadLinear",
    "HeadPart",
    "LayerNorm",
    "Linear",
    "Op",
    "RMSNorm",
    "Rope",
    "Route",
    "RowGate",
    "Rows",
    "SelectRows",
    "ShortConv",
    "SquareSums",
    "StepState",
    "SumExperts",
    "Tensor",
    "TokenScores",
    "Weight",
    "alibi_slopes",
    "describe",
    "token_scores",
]

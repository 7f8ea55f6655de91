"""Phi 1, 1.5 and 2: attention and feed-forward side by side behind one norm, biases everywhere."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, FeedForward, ParallelResidual
from pyllama.models.traits import Traits

PHI2 = Architecture(
    name="phi2",
    blocks=(
        ParallelResidual(
            ("attn_norm",), Attention(rope="halves"), ("attn_norm",), FeedForward("gelu")
        ),
    ),
    traits=Traits(norm="layer"),
)

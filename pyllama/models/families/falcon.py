"""Falcon: attention and feed-forward side by side, behind one norm (7B) or two (40B, 180B)."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, FeedForward, ParallelResidual
from pyllama.models.traits import Traits

FALCON = Architecture(
    name="falcon",
    blocks=(
        ParallelResidual(
            ("attn_norm_2", "attn_norm"),
            Attention(rope="halves"),
            ("attn_norm",),
            FeedForward("gelu_erf"),
        ),
    ),
    traits=Traits(norm="layer"),
)

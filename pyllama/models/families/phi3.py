"""Phi 3, 3.5 and 4: fused projections; factors of frequencies for short and long contexts."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual

PHI3 = Architecture(
    name="phi3",
    blocks=(
        Residual("attn_norm", Attention(rope="halves")),
        Residual("ffn_norm", GatedFeedForward(fused=True)),
    ),
)

"""EXAONE 3 and 3.5."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual

EXAONE = Architecture(
    name="exaone",
    blocks=(
        Residual("attn_norm", Attention(rope="halves")),
        Residual("ffn_norm", GatedFeedForward()),
    ),
)

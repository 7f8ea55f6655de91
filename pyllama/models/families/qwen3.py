"""Qwen 3: queries and keys are normed head by head."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual

QWEN3 = Architecture(
    name="qwen3",
    blocks=(
        Residual("attn_norm", Attention(rope="halves", head_norms="always")),
        Residual("ffn_norm", GatedFeedForward()),
    ),
)

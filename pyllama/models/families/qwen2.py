"""Qwen 2 and 2.5: biases on queries, keys and values (the file has the tensors)."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual

QWEN2 = Architecture(
    name="qwen2",
    blocks=(
        Residual("attn_norm", Attention(rope="halves")),
        Residual("ffn_norm", GatedFeedForward()),
    ),
)

"""Arcee Foundation Models: Llama with a plain feed-forward of squared ReLUs."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, FeedForward, Residual

ARCEE = Architecture(
    name="arcee",
    blocks=(
        Residual("attn_norm", Attention(rope="interleaved")),
        Residual("ffn_norm", FeedForward("relu2")),
    ),
)

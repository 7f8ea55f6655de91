"""StarCoder 2: LayerNorm, biases and a plain feed-forward on Llama's plan."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, FeedForward, Residual
from pyllama.models.traits import Traits

STARCODER2 = Architecture(
    name="starcoder2",
    blocks=(
        Residual("attn_norm", Attention(rope="halves")),
        Residual("ffn_norm", FeedForward("gelu")),
    ),
    traits=Traits(norm="layer"),
)

"""MiniCPM: Llama with scaled embeddings, additions to the stream and logits."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual
from pyllama.models.traits import Traits

MINICPM = Architecture(
    name="minicpm",
    blocks=(
        Residual("attn_norm", Attention(rope="interleaved")),
        Residual("ffn_norm", GatedFeedForward()),
    ),
    traits=Traits(
        required=("embedding_scale", "residual_scale", "logit_scale"), logits_divided=True
    ),
)

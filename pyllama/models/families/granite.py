"""Granite 3: embeddings, scores, additions to the stream and logits have scales of their own."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual
from pyllama.models.traits import Traits

GRANITE = Architecture(
    name="granite",
    blocks=(
        Residual("attn_norm", Attention(rope="interleaved")),
        Residual("ffn_norm", GatedFeedForward()),
    ),
    traits=Traits(required=("logit_scale",), logits_divided=True),
)

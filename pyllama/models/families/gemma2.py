"""Gemma 2: norms on both sides of a block, softcaps, a window in every other layer."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual
from pyllama.models.traits import Traits

GEMMA2 = Architecture(
    name="gemma2",
    blocks=(
        Residual("attn_norm", Attention(rope="halves"), post_norm="post_attention_norm"),
        Residual("ffn_norm", GatedFeedForward("gelu"), post_norm="post_ffw_norm"),
    ),
    traits=Traits(
        window=4096,
        global_every=2,
        root_embeddings=True,
        attention_softcap=50.0,
        logit_softcap=30.0,
        wide_score_layers=46,  # the model of 27 billion parameters
    ),
)

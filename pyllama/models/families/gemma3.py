"""Gemma 3 (text): normed heads; layers with a window rotate by a base of their own."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual
from pyllama.models.traits import Traits

GEMMA3 = Architecture(
    name="gemma3",
    blocks=(
        Residual(
            "attn_norm",
            Attention(rope="halves", head_norms="always"),
            post_norm="post_attention_norm",
        ),
        Residual("ffn_norm", GatedFeedForward("gelu"), post_norm="post_ffw_norm"),
    ),
    traits=Traits(
        global_every=6,
        local_rope_base=10000.0,
        local_rope_scaled=False,
        root_embeddings=True,
        wide_score_layers=62,  # the model of 27 billion parameters
    ),
)

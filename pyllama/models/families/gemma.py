"""Gemma 1: embeddings scaled by the root of their width, a feed-forward gated by GELU."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual
from pyllama.models.traits import Traits

GEMMA = Architecture(
    name="gemma",
    blocks=(
        Residual("attn_norm", Attention(rope="halves")),
        Residual("ffn_norm", GatedFeedForward("gelu")),
    ),
    traits=Traits(root_embeddings=True),
)

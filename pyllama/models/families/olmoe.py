"""OLMoE: experts, and norms of all queries and of all keys."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, Residual, mixture

OLMOE = Architecture(
    name="olmoe",
    blocks=(Residual("attn_norm", Attention(rope="halves", head_norms="always")), mixture()),
)

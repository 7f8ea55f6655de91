"""Qwen 3 with experts."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, Residual, mixture
from pyllama.models.traits import Traits

QWEN3MOE = Architecture(
    name="qwen3moe",
    blocks=(Residual("attn_norm", Attention(rope="halves", head_norms="always")), mixture()),
    traits=Traits(experts_normalized=True),
)

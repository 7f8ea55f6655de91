"""DeepSeek V2, V2-Lite, V3 and R1: latent attention, dense layers first, then experts."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import LatentAttention, Residual, mixture
from pyllama.models.traits import Traits

DEEPSEEK2 = Architecture(
    name="deepseek2",
    blocks=(Residual("attn_norm", LatentAttention(rope="interleaved")), mixture()),
    traits=Traits(has_latent=True),
)

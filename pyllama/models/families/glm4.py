"""GLM 4-0414: norms on both sides of a block; half of a head rotates."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual

GLM4 = Architecture(
    name="glm4",
    blocks=(
        Residual("attn_norm", Attention(rope="interleaved"), post_norm="post_attention_norm"),
        Residual("ffn_norm", GatedFeedForward(fused=True), post_norm="post_ffw_norm"),
    ),
)
